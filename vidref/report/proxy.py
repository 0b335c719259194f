"""The moving picture of a compare page: both clips in one H.264 stream, one above the other.

One stream cannot fall out of step with itself: whatever the browser does, both halves are of the
same frame, and both were compressed by the same encoder at the same quality.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidref.errors import OutputError
from vidref.media.colour import FULL_RANGE, LIMITED_RANGE, UNSPECIFIED, usual_matrix
from vidref.media.frames import Passing
from vidref.media.probe import Picture
from vidref.pipeline.footage import usable_aspect
from vidref.pipeline.upright import quarter_turns
from vidref.report.pairs import Pair, Pairs

QUALITY = {"preset": "veryfast", "crf": "20"}
KEY_EVERY_S = 1
"""Stepping backwards decodes from the last key: a second is not felt."""
CLOCK = Fraction(1, 90_000)
BLOCK = 16
SOUND_RATE, SOUND_BITS = 48_000, 96_000
Planes = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Shape:
    """A clip as it is shown, in square pixels, and where its halves lie in the proxy."""

    width: int
    height: int
    stored_width: int
    stored_height: int
    second_y: int
    """Row of the proxy at which the lower half, the restored clip, begins."""


@dataclass
class Proxy:
    """A proxy that has been written: when each frame is shown, and its shape."""

    shape: Shape
    has_sound: bool
    times_s: list[float] = field(default_factory=list)
    end_s: float = 0.0
    first_jpeg: bytes = b""
    """The first frame as it is in the stream, to be looked at before that can be played."""


def write_proxy(
    pairs: Pairs, path: Path, longest_side: int, threads: int, on_frame: Callable[[], None]
) -> Proxy:
    """Encode every pair into `path`; frames larger than `longest_side` are made smaller."""
    picture = pairs.before.clip.picture
    halves = _Halves(picture, pairs.after.clip.picture, longest_side)
    try:
        with av.open(str(path), "w", format="mp4", options={"movie_timescale": "90000"}) as out:
            video: Any = out.add_stream("libx264", rate=picture.average_rate, options=QUALITY)
            video.width, video.height = halves.size
            video.pix_fmt = "yuv420p"
            context = video.codec_context
            context.time_base = CLOCK
            context.thread_count = threads
            context.gop_size = max(1, round(picture.average_rate * KEY_EVERY_S))
            _tag(context, picture)
            sound = _Sound(pairs, out)
            proxy = Proxy(halves.shape, sound.is_there)
            for item in pairs:
                if isinstance(item, Passing):
                    sound.hear(item)
                    continue
                image = halves.stacked(item)
                proxy.first_jpeg = proxy.first_jpeg or _jpeg(image, context)
                image.pts, image.time_base = round(item.time_s / CLOCK), CLOCK
                out.mux(video.encode(image))
                proxy.times_s.append(float(item.time_s))
                proxy.end_s = float(item.time_s + item.duration_s)
                on_frame()
            out.mux(video.encode(None))
            sound.finish()
    except (av.error.FFmpegError, OSError) as error:
        told = (getattr(error, "strerror", None) or str(error)).lower()
        raise OutputError(f"The page's copy of the clips could not be written: {told}.") from error
    return proxy


class _Halves:
    """Turns a pair into one picture, upright, 8 bit, 4:2:0."""

    def __init__(self, picture: Picture, after: Picture, longest_side: int) -> None:
        shrink = min(Fraction(1), Fraction(longest_side, max(picture.width, picture.height)))
        self._width = max(2, round(picture.width * shrink))
        self._height = max(2, round(picture.height * shrink))
        self._turns = quarter_turns(picture.rotation)
        self._turns_after = quarter_turns(after.rotation)
        self._matrix = "ITU709" if usual_matrix(picture.height) == 1 else "ITU601"
        aspect = usable_aspect(picture.sample_aspect)
        shown = (round(picture.width * aspect), picture.height)
        across, down = self._width, self._height
        if self._turns % 2:
            across, down, shown = down, across, (shown[1], shown[0])
        second_y = second_half(down)
        self.size = (_up(across, 2), second_y + _up(down, BLOCK))
        self.shape = Shape(*shown, across, down, second_y)

    def stacked(self, pair: Pair) -> Any:
        width, height = self.size
        frame = av.VideoFrame(width, height, "yuv420p")
        before = self._planes(pair.before.image, self._turns)
        after = self._planes(pair.after, self._turns_after)
        both = zip(before, after, strict=True)
        for number, (plane, (upper, lower)) in enumerate(zip(frame.planes, both, strict=True)):
            part = 2 if number else 1
            into = np.frombuffer(cast(Any, plane), np.uint8).reshape(plane.height, plane.line_size)
            across, below = width // part, (self.shape.second_y - BLOCK // 2) // part
            into[:below, :across] = _padded(upper, across, 0, below)
            down = height // part - below
            into[below : below + down, :across] = _padded(lower, across, BLOCK // 2 // part, down)
        return frame

    def _planes(self, image: Any, turns: int) -> Planes:
        """8-bit 4:2:0 samples in the picture's own matrix and range, turned as it is shown."""
        size = (self._width, self._height)
        if turns % 2 != self._turns % 2:  # the other clip is stored upright, or on its side
            size = (self._height, self._width)
        is_ready = image.format.name in ("yuv420p", "yuvj420p")
        if not is_ready or (image.width, image.height) != size:
            how: dict[str, Any] = {"threads": 1}
            if image.format.is_rgb:
                how |= {"dst_colorspace": self._matrix, "dst_color_range": "MPEG"}
            elif image.color_range:
                how |= {"src_color_range": image.color_range, "dst_color_range": image.color_range}
            image = image.reformat(*size, "yuv420p", **how)
        return [np.rot90(_samples(plane), turns) for plane in image.planes]


def _jpeg(image: Any, context: Any) -> bytes:
    how = {
        "src_colorspace": "ITU709" if context.colorspace == 1 else "ITU601",
        "src_color_range": "JPEG" if context.color_range == FULL_RANGE else "MPEG",
        "dst_color_range": "JPEG",
    }
    file = io.BytesIO()
    rgb = image.reformat(format="rgb24", **how).to_ndarray()
    Image.fromarray(rgb).save(file, "JPEG", quality=90)
    return file.getvalue()


def _samples(plane: Any) -> NDArray[np.uint8]:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]


def second_half(height: int) -> int:
    """Where the lower half begins: at a whole block, with half a block of each one's own edge
    between them, so that neither compression nor scaling mixes the two."""
    return _up(height, BLOCK) + BLOCK


def _padded(samples: NDArray[np.uint8], width: int, above: int, height: int) -> NDArray[np.uint8]:
    """The first row, the last one and the last column once more, as often as needed."""
    below, across = height - above - samples.shape[0], width - samples.shape[1]
    return np.pad(samples, ((above, below), (0, across)), "edge")


def _up(number: int, step: int) -> int:
    return -(-number // step) * step


def _tag(context: Any, picture: Picture) -> None:
    """The colours that the browser must read the samples by: the clip's own."""
    colour = picture.colour
    if picture.is_rgb:
        matrix, told_range = usual_matrix(picture.height), LIMITED_RANGE
    else:
        full = colour.range == FULL_RANGE or picture.pix_fmt.startswith("yuvj")
        told_range = FULL_RANGE if full else LIMITED_RANGE
        matrix = colour.matrix
        if matrix == UNSPECIFIED:  # a stack of two would be guessed by its own height
            matrix = usual_matrix(picture.height)
    context.colorspace, context.color_range = matrix, told_range
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer


class _Sound:
    """The original's first sound track as AAC, for whoever wants to hear what they see."""

    def __init__(self, pairs: Pairs, out: Any) -> None:
        self._out, self._index = out, -1
        self._stream: Any = None
        reader = pairs.before
        self._origin = (reader.first_pts or 0) * reader.clip.picture.time_base
        for stream in pairs.before.container.streams.audio:
            self._index = stream.index
            self._source = stream
            layout = "mono" if stream.codec_context.channels == 1 else "stereo"
            self._stream = out.add_stream("aac", rate=SOUND_RATE, layout=layout)
            self._stream.bit_rate = SOUND_BITS
            self._resampler = av.AudioResampler("fltp", layout, SOUND_RATE)
            self._written = 0
            break
        self.is_there = self._stream is not None

    def hear(self, item: Passing) -> None:
        if item.stream_index != self._index:
            return
        try:
            frames = self._source.codec_context.decode(item.packet)
        except av.error.FFmpegError:
            return  # a damaged packet is a short silence in a copy that is only for looking
        for frame in frames:
            self._encode(frame)

    def _encode(self, frame: Any) -> None:
        if frame.pts is None:
            return
        at = frame.pts * frame.time_base - self._origin
        if at + Fraction(frame.samples, frame.sample_rate) <= 0:
            return
        frame.pts = None
        for piece in self._resampler.resample(frame):
            if self._written == 0 and at > 0:
                self._written = round(at * SOUND_RATE)
            piece.pts, piece.time_base = self._written, Fraction(1, SOUND_RATE)
            self._written += piece.samples
            self._out.mux(self._stream.encode(piece))

    def finish(self) -> None:
        if self._stream is not None and self._written:
            self._out.mux(self._stream.encode(None))
