"""The outside judge: what ffprobe, ffmpeg and mkvmerge see in a file, and where two files differ.

Nothing here uses PyAV or vidref: a file is what Debian's tools read in it. Time is exact
(`Fraction` seconds), pictures are raw bytes in the stream's own pixel format, and every other
stream is the MD5 of each packet.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MILLISECOND = Fraction(1, 1000)

# Words about the file that wrote it, not about what is in it.
WRITER_TAGS = {
    "encoder",
    "duration",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "vendor_id",
    "creation_time",  # checked on its own: see `_container_differences`
    # Statistics that mkvmerge counted from the packets it wrote.
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "_statistics_writing_app",
    "_statistics_writing_date_utc",
    "_statistics_tags",
    "source_id",
    # MXF numbers every file anew.
    "file_package_umid",
    "material_package_umid",
}
# What a muxer writes when nobody named the handler.
DEFAULT_HANDLERS = {"VideoHandler", "SoundHandler", "SubtitleHandler", "DataHandler"}
# Both names say "8-bit YUV"; the range is a tag of its own and is compared as such.
FULL_RANGE_NAMES = {"yuvj420p": "yuv420p", "yuvj422p": "yuv422p", "yuvj444p": "yuv444p"}
KEEPS_MILLISECONDS = {"matroska,webm"}
# Their timestamps are a broadcast clock, which may start at any hour, even before zero.
CLOCKED = {"mpegts", "mpeg"}


def require_tools(*names: str) -> None:
    """Skip the test where a tool is missing, or fail it where VIDREF_REQUIRE_TOOLS says so."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        words = f"not installed: {', '.join(missing)}"
        if os.environ.get("VIDREF_REQUIRE_TOOLS") == "1":
            pytest.fail(words)
        pytest.skip(words)


def _run(*command: str | Path) -> bytes:
    done = subprocess.run([str(c) for c in command], capture_output=True)
    if done.returncode != 0:
        words = " ".join(str(c) for c in command)
        raise AssertionError(f"{words}\n{done.stderr.decode(errors='replace')}")
    return done.stdout


@dataclass(frozen=True)
class Packet:
    """One packet of a stream that is copied: when, how long, and the MD5 of its bytes."""

    time: Fraction | None
    duration: Fraction | None
    hash: str
    side: tuple[str, ...]


@dataclass(frozen=True)
class Probe:
    """Everything that ffprobe reads in a file."""

    path: Path
    streams: list[dict[str, Any]]
    format: dict[str, Any]
    chapters: list[dict[str, Any]]
    packets: dict[int, list[Packet]]
    frames: dict[int, list[dict[str, Any]]]

    @property
    def picture(self) -> dict[str, Any]:
        """The video stream that is not a cover."""
        for stream in self.streams:
            if stream["codec_type"] == "video" and not stream["disposition"]["attached_pic"]:
                return stream
        raise AssertionError(f"{self.path} has no picture")

    @property
    def times(self) -> list[Fraction | None]:
        """When each frame of the picture is shown, in seconds.

        None where the file does not say: several small frames in one MPEG-PS packet share a time.
        """
        tick = Fraction(self.picture["time_base"])
        said = [f.get("best_effort_timestamp") for f in self.frames[self.picture["index"]]]
        if not said:  # a stream that this ffprobe is too old to decode
            return sorted(p.time for p in self.packets[self.picture["index"]])  # type: ignore
        return [None if ticks is None else int(ticks) * tick for ticks in said]

    def others(self) -> list[dict[str, Any]]:
        """Every stream but the picture."""
        return [s for s in self.streams if s is not self.picture]


def _side_words(entry: dict[str, Any]) -> tuple[str, ...]:
    words = []
    for side in entry.get("side_data_list", ()):
        words.append(", ".join(f"{k}={v}" for k, v in sorted(side.items()) if k != "displaymatrix"))
    return tuple(sorted(words))


def probe(path: Path | str) -> Probe:
    """What ffprobe reads in `path`, packets and frames included."""
    said = json.loads(
        _run(
            "ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_chapters",
            "-show_packets", "-show_frames", "-show_data_hash", "md5", "-of", "json", path,
        )
    )  # fmt: skip
    ticks = {s["index"]: Fraction(s["time_base"]) for s in said["streams"]}
    packets: dict[int, list[Packet]] = {i: [] for i in ticks}
    frames: dict[int, list[dict[str, Any]]] = {i: [] for i in ticks}
    for entry in said.get("packets_and_frames", ()):
        index = entry.get("stream_index")
        if index is None:  # ffprobe lists decoded subtitles without a stream
            continue
        if entry["type"] == "frame":
            frames[index].append(entry)
            continue
        tick = ticks[index]
        packets[index].append(
            Packet(
                time=int(entry["pts"]) * tick if "pts" in entry else None,
                duration=int(entry["duration"]) * tick if "duration" in entry else None,
                hash=entry.get("data_hash", "empty"),
                side=_side_words(entry),
            )
        )
    return Probe(Path(path), said["streams"], said["format"], said["chapters"], packets, frames)


def pixels(path: Path | str, pix_fmt: str | None = None, *, stream: int | None = None) -> bytes:
    """The raw bytes of every presented frame, in the picture's own pixel format."""
    wanted = f"0:{stream}" if stream is not None else "0:v:0"
    convert = ["-pix_fmt", pix_fmt] if pix_fmt else []
    return _run(
        "ffmpeg", "-v", "error", "-nostdin", "-noautorotate", "-i", path, "-map", wanted,
        "-fps_mode", "passthrough", *convert, "-c:v", "rawvideo", "-f", "rawvideo", "-",
    )  # fmt: skip


def sound(path: Path | str, track: int = 0) -> bytes:
    """The samples that a player would play."""
    return _run(
        "ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", f"0:a:{track}",
        "-c:a", "pcm_s16le", "-f", "s16le", "-",
    )  # fmt: skip


def stream_hash(path: Path | str, stream: int) -> str:
    """The MD5 of all bytes of a stream, however they are cut into packets."""
    said = _run(
        "ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", f"0:{stream}", "-c", "copy",
        "-f", "streamhash", "-hash", "md5", "-",
    )  # fmt: skip
    return said.decode().split("=")[-1].strip()


def psnr_db(a: bytes, b: bytes, pix_fmt: str) -> float:
    """PSNR over all planes of two equally long runs of raw frames."""
    bits = bit_depth(pix_fmt)
    kind = np.dtype("<u2") if bits > 8 else np.dtype("u1")
    left, right = (np.frombuffer(x, kind).astype(np.float64) for x in (a, b))
    error = float(np.mean((left - right) ** 2))
    return 99.0 if error == 0 else float(10 * np.log10((2**bits - 1) ** 2 / error))


def bit_depth(pix_fmt: str) -> int:
    for bits in (9, 10, 12, 14, 16):
        if pix_fmt.endswith((f"{bits}le", f"{bits}be")):
            return bits
    return 16 if pix_fmt in ("rgb48le", "rgba64le") else 8


def sha256(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# ---------------------------------------------------------------- where two files differ


def _plain(tags: dict[str, str] | None) -> dict[str, str]:
    """Tags that say something about the content, by lower-case name."""
    kept = {}
    for key, value in (tags or {}).items():
        name = key.lower()
        if name in WRITER_TAGS or name.startswith("duration"):
            continue
        if name == "handler_name" and value in DEFAULT_HANDLERS:
            continue
        if name == "language" and value == "und":  # the same as saying nothing
            continue
        kept[name] = value
    return kept


def _tag_differences(where: str, source: Any, output: Any) -> Iterable[str]:
    before, after = _plain(source), _plain(output)
    for name, value in before.items():
        if after.get(name) != value:
            yield f"{where}: tag {name} was {value!r} and is {after.get(name)!r}"


def _times_match(a: Fraction | None, b: Fraction | None, slack: Fraction) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= slack


def _common_shift(source: Probe, output: Probe) -> Fraction:
    """What every timestamp of every stream may have lost alike, because of the containers.

    A broadcast clock's arbitrary start, which only its own kind of file has to keep; and a start
    before zero (the priming of AAC in MP4), which Matroska has no way to store: mkvmerge moves
    everything by as much.
    """
    kinds = source.format["format_name"], output.format["format_name"]
    if kinds[0] in CLOCKED and kinds[1] not in CLOCKED:
        kept = [s["index"] for s in source.streams if s["codec_type"] in ("video", "audio")]
        start = min(p.time for i in kept for p in source.packets[i] if p.time is not None)
        first, now = source.times[0], output.times[0]
        moved = first is not None and now is not None and abs(first - start - now) <= MILLISECOND
        return start if moved else Fraction(0)
    if kinds[1] in KEEPS_MILLISECONDS and kinds[0] not in KEEPS_MILLISECONDS:
        sounds = [s["index"] for s in source.streams if s["codec_type"] == "audio"]
        heard = [p.time for i in sounds for p in source.packets[i]]
        start = min(t for t in [*source.times, *heard] if t is not None)
        return min(Fraction(0), Fraction(round(start * 1000), 1000))
    return Fraction(0)


def _slack(source: Probe, output: Probe) -> Fraction:
    """Half a tick of the output where it counts in milliseconds and the source does not."""
    if output.format["format_name"] in KEEPS_MILLISECONDS and (
        source.format["format_name"] not in KEEPS_MILLISECONDS
    ):
        return MILLISECOND / 2
    return Fraction(0)


def _picture_differences(
    source: Probe, output: Probe, slack: Fraction, start: Fraction
) -> Iterable[str]:
    a, b = [None if t is None else t - start for t in source.times], output.times
    if len(a) != len(b):
        yield f"frame count was {len(a)} and is {len(b)}"
    wrong = [
        (i, x, y)
        for i, (x, y) in enumerate(zip(a, b, strict=False))
        if x is not None and not (y is None and None in a) and not _times_match(x, y, slack)
    ]
    if wrong:
        at, x, y = wrong[0]
        yield f"{len(wrong)} frame times moved; frame {at} was at {x} s and is at {y} s"
    before, after = source.picture, output.picture
    for name in (
        "width",
        "height",
        "sample_aspect_ratio",
        "field_order",
        "color_range",
        "color_space",
        "color_transfer",
        "color_primaries",
        "chroma_location",
    ):
        was, now = before.get(name), after.get(name)
        if name == "sample_aspect_ratio":  # square pixels are also what saying nothing means
            was, now = was or "1:1", now or "1:1"
        if name == "color_range" and was is None and now == "tv":
            continue  # limited range is what saying nothing means
        if name == "field_order" and was in (None, "unknown") and now == "progressive":
            frame = next(iter(source.frames.get(before["index"], [])), {})
            if not frame.get("interlaced_frame"):
                continue
        if name == "field_order" and was == "progressive" and now in (None, "unknown"):
            continue  # some codecs have no way to say it, and it is what saying nothing means
        if name == "chroma_location" and (was is None or now is None):
            continue
        if was != now:
            yield f"picture: {name} was {was} and is {now}"
    if before["disposition"] != after["disposition"]:
        yield f"picture: disposition {_set(before)} became {_set(after)}"
    yield from _tag_differences("picture", before.get("tags"), after.get("tags"))
    if _rotation(source) != _rotation(output):
        yield f"picture: rotation was {_rotation(source)} and is {_rotation(output)}"


def _rotation(report: Probe) -> float:
    for side in report.picture.get("side_data_list", ()):
        if side["side_data_type"] == "Display Matrix":
            return float(side["rotation"])
    return 0.0


def light(report: Probe) -> dict[str, float]:
    """Mastering display and content light level, from the stream or from its first frame."""
    found: dict[str, float] = {}
    frames = report.frames.get(report.picture["index"], [])
    for holder in [*frames[:1], report.picture]:
        for side in holder.get("side_data_list", ()):
            kind = side["side_data_type"]
            if kind == "Mastering display metadata":
                for key, value in side.items():
                    if key != "side_data_type":
                        found[key] = float(Fraction(value))
            elif kind == "Content light level metadata":
                found["max_content"] = float(side["max_content"])
                found["max_average"] = float(side["max_average"])
    return found


def _same_light(was: dict[str, float], now: dict[str, float]) -> bool:
    """Equal to the coarser of the units in which HEVC and AV1 store these numbers."""
    if was.keys() != now.keys():
        return False
    unit = {k: 1e-4 if "luminance" in k else 2e-5 for k in was}
    return all(abs(was[k] - now[k]) <= unit[k] for k in was)


def has_captions(report: Probe) -> list[bool]:
    """For each frame, whether it carries closed captions."""
    return [
        any("Closed Captions" in s["side_data_type"] for s in f.get("side_data_list", ()))
        for f in report.frames[report.picture["index"]]
    ]


def _set(stream: dict[str, Any]) -> list[str]:
    return [name for name, value in stream["disposition"].items() if value]


def _stream_differences(
    source: Probe, output: Probe, slack: Fraction, start: Fraction
) -> Iterable[str]:
    before, after = source.others(), output.others()
    if [s["codec_type"] for s in before] != [s["codec_type"] for s in after]:
        yield (
            f"other streams were {[s['codec_type'] for s in before]} "
            f"and are {[s['codec_type'] for s in after]}"
        )
        return
    for a, b in zip(before, after, strict=True):
        where = f"stream {a['index']} ({a['codec_type']})"
        if a.get("codec_name") != b.get("codec_name"):
            yield f"{where}: was {a.get('codec_name')} and is {b.get('codec_name')}"
        if a["disposition"] != b["disposition"]:
            yield f"{where}: disposition {_set(a)} became {_set(b)}"
        if _private_data(source.path, a) != _private_data(output.path, b):
            yield f"{where}: codec private data changed"
        yield from _tag_differences(where, a.get("tags"), b.get("tags"))
        before_packets = source.packets[a["index"]]
        after_packets = output.packets[b["index"]]
        if a.get("codec_name", "").startswith("pcm_"):
            # PCM has no packets of its own: the demuxer cuts it where chunks happen to end.
            if stream_hash(source.path, a["index"]) != stream_hash(output.path, b["index"]):
                yield f"{where}: not the same samples"
            before_packets = [replace(p, hash="") for p in before_packets[:1]]
            after_packets = [replace(p, hash="") for p in after_packets[:1]]
        if [p.hash for p in before_packets] != [p.hash for p in after_packets]:
            yield (
                f"{where}: packets are not the same bytes "
                f"({len(before_packets)} before, {len(after_packets)} after)"
            )
            continue
        if a["disposition"]["attached_pic"]:
            continue  # a cover has no time
        if source.format["format_name"] == output.format["format_name"] and "duration" in a:
            was_s, now_s = float(a["duration"]), float(b.get("duration", 0))
            if abs(was_s - now_s) > 0.025:  # one packet: where a header cannot know its length
                yield f"{where}: the header says {now_s} s, and said {was_s} s"
        for at, (p, q) in enumerate(zip(before_packets, after_packets, strict=True)):
            was = None if p.time is None else p.time - start
            if not _times_match(was, q.time, slack):
                yield f"{where}: packet {at} was at {was} s and is at {q.time} s"
                break
        if a["codec_type"] == "subtitle":
            for at, (p, q) in enumerate(zip(before_packets, after_packets, strict=True)):
                if not _times_match(p.duration, q.duration, slack):
                    yield f"{where}: packet {at} lasted {p.duration} s and lasts {q.duration} s"
                    break


def _private_data(path: Path, stream: dict[str, Any]) -> bytes | str | None:
    """The codec's private data; of mov_text without the bit rate box that every muxer adds anew."""
    if stream.get("codec_name") != "mov_text":
        said: str | None = stream.get("extradata_hash")
        return said
    shown = _run(
        "ffprobe", "-v", "error", "-show_data", "-select_streams", str(stream["index"]),
        "-show_entries", "stream=extradata", "-of", "default=nk=1:nw=1", path,
    ).decode()  # fmt: skip
    rows = [line.split(":", 1)[1].split("  ")[0] for line in shown.splitlines() if ":" in line]
    data = bytes.fromhex("".join(rows))
    return re.sub(rb"\x00\x00\x00\x14btrt.{12}", b"", data, flags=re.S)


def _container_differences(source: Probe, output: Probe, slack: Fraction) -> Iterable[str]:
    yield from _tag_differences("container", source.format.get("tags"), output.format.get("tags"))
    made = {k.lower(): v for k, v in source.format.get("tags", {}).items()}.get("creation_time")
    kept = {k.lower(): v for k, v in output.format.get("tags", {}).items()}.get("creation_time")
    if made is not None and (kept is None or kept[:19] != made[:19]):
        yield f"container: creation_time was {made} and is {kept}"
    a, b = source.chapters, output.chapters
    if len(a) != len(b):
        yield f"chapters were {len(a)} and are {len(b)}"
        return
    for at, (x, y) in enumerate(zip(a, b, strict=True)):
        for end in ("start", "end"):
            was = x[end] * Fraction(x["time_base"])
            now = y[end] * Fraction(y["time_base"])
            if abs(was - now) > slack:
                yield f"chapter {at}: {end} was {was} s and is {now} s"
        yield from _tag_differences(f"chapter {at}", x.get("tags"), y.get("tags"))


def differences(source: Probe, output: Probe) -> list[str]:
    """Everything in which `output` is not `source`, except the bytes of the picture."""
    slack, start = _slack(source, output), _common_shift(source, output)
    found = [
        *_picture_differences(source, output, slack, start),
        *_stream_differences(source, output, slack, start),
        *_container_differences(source, output, slack),
    ]
    was, now = light(source), light(output)
    if not _same_light(was, now):
        found.append(f"light metadata was {was} and is {now}")
    if source.path.suffix == ".mkv" and output.path.suffix == ".mkv":
        found += matroska_differences(source.path, output.path)
    return found


def same_pix_fmt(a: str, b: str) -> bool:
    return FULL_RANGE_NAMES.get(a, a) == FULL_RANGE_NAMES.get(b, b)


# ---------------------------------------------------------------- what mkvtoolnix says


def matroska(path: Path | str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(_run("mkvmerge", "-J", path))
    return said


def attachments(path: Path | str) -> list[tuple[str, str, str]]:
    """Name, type and SHA-256 of every attachment, extracted by mkvextract."""
    listed = matroska(path)["attachments"]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for entry in listed:
            target = Path(folder) / str(entry["id"])
            _run("mkvextract", path, "attachments", f"{entry['id']}:{target}")
            found.append((entry["file_name"], entry["content_type"], sha256(target)))
    return found


def _shape(properties: dict[str, Any]) -> Fraction | None:
    """Width to height as shown; None where the container leaves it to the bitstream."""
    unknown = 4
    if "display_dimensions" not in properties or properties.get("display_unit") == unknown:
        return None
    width, height = map(int, properties["display_dimensions"].split("x"))
    return Fraction(width, height)


def matroska_differences(source: Path, output: Path) -> list[str]:
    """What mkvmerge sees differently in two Matroska files, beyond what ffprobe shows."""
    found = []
    a, b = matroska(source), matroska(output)
    if b["errors"] or b["warnings"]:
        found.append(f"mkvmerge complains: {b['errors'] + b['warnings']}")
    before, after = a["tracks"], b["tracks"]
    if [t["type"] for t in before] != [t["type"] for t in after]:
        return [f"mkvmerge: tracks were {len(before)} and are {len(after)}"]
    flags = (
        "track_name", "default_track", "forced_track", "enabled_track", "flag_hearing_impaired",
        "flag_visual_impaired", "flag_commentary", "flag_original", "flag_text_descriptions",
        "projection_pose_roll", "stereo_mode",
    )  # fmt: skip
    for x, y in zip(before, after, strict=True):
        p, q = x["properties"], y["properties"]
        for name in (*flags, "language"):
            was, now = p.get(name), q.get(name)
            if name == "language":
                was, now = was or "und", now or "und"
            if name.startswith("flag_"):
                was, now = bool(was), bool(now)
            if was != now:
                found.append(f"mkvmerge: track {x['id']} {name} was {was} and is {now}")
        if _shape(p) is not None and _shape(p) != _shape(q):
            found.append(f"mkvmerge: track {x['id']} was shown {_shape(p)} and is {_shape(q)}")
    if attachments(source) != attachments(output):
        found.append(f"attachments were {attachments(source)} and are {attachments(output)}")
    was, now = (d["container"]["properties"].get("title") for d in (a, b))
    if was != now:
        found.append(f"mkvmerge: title was {was} and is {now}")
    return found
