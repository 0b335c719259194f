"""Small clips with everything a real file can hold, made on the spot.

The picture and the sound are made with PyAV (`write_clip`); what PyAV has no route for (subtitles
next to chapters next to cover art, field order, real trims) is muxed by the ffmpeg binary
(`remux`) or patched into the bytes (`rewrite_edit_list`, `with_captions`), so that every edge
case in the tests is a real one.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from vidref.media.scheduling import own_scheduling

SAMPLE_RATE = 48_000


@dataclass(frozen=True)
class Sound:
    """One audio track: a chord that changes over time, so that a shift would be heard."""

    codec: str = "aac"
    language: str | None = None
    title: str | None = None
    pitch_hz: float = 330.0
    layout: str = "stereo"
    disposition: int | None = None


@dataclass(frozen=True)
class Colour:
    """The colour tags of a picture, as libav numbers them."""

    primaries: int = 2
    transfer: int = 2
    matrix: int = 2
    full_range: bool | None = None


BT601 = Colour(primaries=6, transfer=6, matrix=6, full_range=False)
BT709 = Colour(primaries=1, transfer=1, matrix=1, full_range=False)
BT2020 = Colour(primaries=9, transfer=14, matrix=9, full_range=False)
HDR10 = Colour(primaries=9, transfer=16, matrix=9, full_range=False)
HLG = Colour(primaries=9, transfer=18, matrix=9, full_range=False)
FULL_RANGE = Colour(primaries=1, transfer=1, matrix=5, full_range=True)


def picture(index: int, width: int, height: int, *, scene: int = 0) -> NDArray[np.uint16]:
    """Frame `index` of a moving, coloured, 16-bit picture; another `scene` looks different."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    phase = index * 0.35 + scene * 1.7
    red = 0.5 + 0.35 * np.sin(x / 9 + phase) * np.cos(y / 13 - phase / 2)
    green = 0.5 + 0.35 * np.cos((x + y) / (11 + scene % 5) + phase)
    blue = (x / width + y / height) / 2 if scene % 2 == 0 else 1 - y / height
    image = np.stack([red, green, np.broadcast_to(blue, red.shape)], axis=-1)
    left = (3 * index + 17 * scene) % max(1, width - 12)
    top = (2 * index + 29 * scene) % max(1, height - 10)
    image[top : top + 10, left : left + 12] = ((0.95, 0.2, 0.1), (0.1, 0.3, 0.9))[scene % 2]
    return (np.clip(image, 0, 1) * 65535).astype(np.uint16)


def video_frame(index: int, width: int, height: int, pix_fmt: str, colour: Colour, scene: int):
    """`picture` as a PyAV frame in `pix_fmt`, converted with the matrix that its tags name."""
    image = picture(index, width, height, scene=scene)
    if pix_fmt in ("argb", "rgba", "bgra") or pix_fmt.startswith("yuva"):
        alpha = np.full((height, width, 1), 65535, np.uint16)
        alpha[: height // 2, :, 0] = np.linspace(0, 65535, width).astype(np.uint16)
        frame = av.VideoFrame.from_ndarray(
            np.concatenate([image, alpha], axis=-1), format="rgba64le"
        )
    else:
        frame = av.VideoFrame.from_ndarray(image, format="rgb48le")
    matrix = {1: Colorspace.ITU709, 9: Colorspace.ITU709}.get(colour.matrix, Colorspace.ITU601)
    full = colour.full_range or pix_fmt.startswith("yuvj")
    return frame.reformat(
        format=pix_fmt,
        dst_colorspace=matrix,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        threads=1,
    )


def _samples(sound: Sound, seconds: float) -> NDArray[np.int16]:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * sound.pitch_hz * time * (1 + 0.2 * time))
    wave += 0.4 * np.sin(2 * np.pi * sound.pitch_hz * 2.01 * time)
    channels = [wave * 9000] if sound.layout == "mono" else [wave * 9000, wave[::-1] * 7000]
    return np.stack(channels, axis=-1).astype(np.int16)


def _sound_packets(
    sound: Sound, track: AudioStream, seconds: float
) -> Iterator[tuple[Fraction, list[av.Packet]]]:
    """The track's packets bit by bit, each with the moment up to which it has been encoded."""
    samples = _samples(sound, seconds)
    for start in range(0, len(samples), 1152):
        block = np.ascontiguousarray(samples[start : start + 1152].reshape(1, -1))
        piece = av.AudioFrame.from_ndarray(block, format="s16", layout=sound.layout)
        piece.sample_rate, piece.pts = SAMPLE_RATE, start
        piece.time_base = Fraction(1, SAMPLE_RATE)
        yield Fraction(start + 1152, SAMPLE_RATE), track.encode(piece)
    yield Fraction(len(samples), SAMPLE_RATE), track.encode(None)


def write_clip(
    path: Path | str,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = (96, 64),
    frames: int = 12,
    rate: int | Fraction = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    gop: int = 6,
    b_frames: int | None = None,
    colour: Colour = Colour(),
    sample_aspect: Fraction | None = None,
    sounds: Sequence[Sound] = (Sound(),),
    rotation: int | None = None,
    metadata: Mapping[str, str] | None = None,
    video_metadata: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    format: str | None = None,
    frames_per_scene: int | None = None,
) -> Path:
    """Write a clip; `pts` (in `time_base`) gives every frame its own timestamp."""
    path = Path(path)
    width, height = size
    time_base = time_base or 1 / Fraction(rate)
    times = (
        list(pts)
        if pts is not None
        else [int(i / Fraction(rate) / time_base) for i in range(frames)]
    )
    # SVT-AV1 would make the tests real-time threads, and starve whatever else runs on the core.
    with (
        own_scheduling(),
        av.open(
            str(path), "w", format=format, container_options=dict(container_options or {})
        ) as out,
    ):
        out.metadata.update(metadata or {})
        video = out.add_stream(codec, rate=rate, options=dict(options or {}))
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.codec_context.time_base = time_base
        video.codec_context.gop_size = gop
        if b_frames is not None:
            video.codec_context.max_b_frames = b_frames
        video.codec_context.thread_count = 1
        context = video.codec_context
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        context.colorspace = colour.matrix
        if colour.full_range is not None:
            context.color_range = 2 if colour.full_range else 1
        if sample_aspect is not None:
            context.sample_aspect_ratio = sample_aspect
        if rotation is not None:
            video.set_display_rotation(rotation)
        video.metadata.update(video_metadata or {})
        tracks = []
        for sound in sounds:
            track = out.add_stream(sound.codec, rate=SAMPLE_RATE, layout=sound.layout)
            if sound.language:
                track.metadata["language"] = sound.language
            if sound.title:
                track.metadata["title"] = sound.title
            if sound.disposition is not None:
                track.disposition = sound.disposition
            tracks.append(track)
        seconds = (times[-1] - min(times[0], 0)) * time_base + 1 / Fraction(rate)
        voices = [
            _sound_packets(sound, track, float(seconds))
            for sound, track in zip(sounds, tracks, strict=True)
        ]
        for index, tick in enumerate(times):
            for voice in voices:
                for end, packets in voice:
                    out.mux(packets)
                    if end > tick * time_base:
                        break
            scene = index // frames_per_scene if frames_per_scene else 0
            frame = video_frame(index, width, height, pix_fmt, colour, scene)
            frame.pts, frame.time_base = tick, time_base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for voice in voices:
            for _, packets in voice:
                out.mux(packets)
    return path


def ffmpeg(*arguments: str | Path) -> None:
    """Run the ffmpeg binary, and fail the test with its words if it does."""
    command = ["ffmpeg", "-hide_banner", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


def remux(source: Path, path: Path, *arguments: str | Path) -> Path:
    """`source` copied into `path` by the ffmpeg binary, with whatever `arguments` add to it."""
    ffmpeg("-i", source, *_inputs_first(arguments), path)
    return path


def _inputs_first(arguments: Sequence[str | Path]) -> list[str | Path]:
    """Further inputs, then "copy everything", then the options that may say otherwise."""
    at = max((i + 2 for i, a in enumerate(arguments) if a == "-i"), default=0)
    return [*arguments[:at], "-c", "copy", *arguments[at:]]


def _boxes(data: bytes, name: bytes) -> list[int]:
    """Where the content of each box called `name` begins."""
    found, at = [], data.find(name)
    while at >= 0:
        found.append(at + 4)
        at = data.find(name, at + 4)
    return found


def rewrite_edit_list(path: Path, change: Callable[[int, int], tuple[int, int]]) -> None:
    """Patch the video track's one edit in an MP4: (duration, media time) -> (duration, media time).

    The duration is in movie ticks, the media time in ticks of the track.
    """
    data = bytearray(path.read_bytes())
    place = _boxes(bytes(data), b"elst")[0]
    version = data[place]
    layout = ">qq" if version == 1 else ">ii"
    at = place + 8
    duration, media_time = struct.unpack_from(layout, data, at)
    struct.pack_into(layout, data, at, *change(duration, media_time))
    path.write_bytes(bytes(data))


def with_captions(source: Path, path: Path) -> Path:
    """`source` (H.264 in MP4) with one CEA-608 caption pair in an SEI message of every frame."""
    with av.open(str(source)) as read, av.open(str(path), "w") as out:
        tracks = {s.index: out.add_stream_from_template(s) for s in read.streams}
        count = 0
        for packet in read.demux():
            if packet.dts is None:
                continue
            index = packet.stream.index
            if packet.stream.type == "video":
                pair = b"\xfc" + bytes([0x80 | (0x41 + count % 26), 0xC2])
                triplets = pair + b"\xf9\x80\x80"
                payload = b"\xb5\x00\x31GA94\x03" + bytes([0x42]) + b"\xff" + triplets + b"\xff"
                sei = bytes([0x06, 0x04, len(payload)]) + payload + b"\x80"
                marked = av.Packet(struct.pack(">I", len(sei)) + sei + bytes(packet))
                marked.pts, marked.dts, marked.time_base = packet.pts, packet.dts, packet.time_base
                marked.duration, marked.is_keyframe = packet.duration, packet.is_keyframe
                packet, count = marked, count + 1
            packet.stream = tracks[index]
            out.mux(packet)
    return path


SRT = """1
00:00:00,040 --> 00:00:00,200
First line

2
00:00:00,240 --> 00:00:00,440
Second, with <i>style</i>
"""

ASS = """[Script Info]
ScriptType: v4.00+
PlayResX: 96
PlayResY: 64

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, \
Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Vidref Sans,20,&H00FFFFFF,&H0,&H0,&H0,0,0,0,0,100,100,0,0,1,2,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.04,0:00:00.20,Default,,0,0,0,,{\\pos(10,10)}Placed
Dialogue: 0,0:00:00.24,0:00:00.44,Default,,0,0,0,,Second
"""

CHAPTERS = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=200
title=Opening
[CHAPTER]
TIMEBASE=1/1000
START=200
END=480
title=Second half, with ümlaut
"""


def planes(path: Path) -> bytes:
    """Every frame's samples as PyAV decodes them, for formats newer than the outside judge."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            for plane, component in zip(frame.planes, frame.format.components, strict=True):
                rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
                found.append(rows[:, : plane.width * -(-component.bits // 8)].tobytes())
    return b"".join(found)


def write_text(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_photo(path: Path, *, size: tuple[int, int] = (48, 48), index: int = 0) -> Path:
    """An 8-bit picture by Pillow, in the format that the suffix names."""
    from PIL import Image

    Image.fromarray((picture(index, *size) >> 8).astype(np.uint8)).save(path)
    return path


@dataclass(frozen=True)
class Gathered:
    """Paths of the extras that go beside a clip: made once, used by many cases."""

    folder: Path
    srt: Path = field(init=False)
    ass: Path = field(init=False)
    chapters: Path = field(init=False)
    cover: Path = field(init=False)
    font: Path = field(init=False)

    def __post_init__(self) -> None:
        made = {
            "srt": write_text(self.folder / "lines.srt", SRT),
            "ass": write_text(self.folder / "lines.ass", ASS),
            "chapters": write_text(self.folder / "chapters.txt", CHAPTERS),
            "cover": write_photo(self.folder / "cover.jpg", size=(40, 56)),
            "font": self.folder / "vidref-sans.ttf",
        }
        made["font"].write_bytes(b"\x00\x01\x00\x00" + bytes(range(256)) * 5)
        for name, path in made.items():
            object.__setattr__(self, name, path)
