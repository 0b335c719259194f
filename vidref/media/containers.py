"""What each container is called, what it can hold, and how it likes its tags."""

from __future__ import annotations

import io
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error

from vidref.errors import OutputError

if TYPE_CHECKING:
    import av.container
    import av.stream

    from vidref.media.probe import Picture

MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".qt": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".mts": "mpegts",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".vob": "vob",
    ".nut": "nut",
    ".mxf": "mxf",
    ".dv": "dv",
    ".flv": "flv",
    ".wmv": "asf",
    ".asf": "asf",
    ".3gp": "3gp",
    ".y4m": "yuv4mpegpipe",
}
MOV_FAMILY = ("mp4", "mov", "3gp")
# Containers whose timestamps are a broadcast clock that may start anywhere.
CLOCKED = ("mpegts", "mpeg", "vob", "svcd", "dvd")
# Containers that write no header for sound without a picture of this codec beside it.
PICTURE_FIRST = {"dv": "dvvideo", "mxf": "mpeg2video"}
CONSTANT_RATE_ONLY = ("avi", "dv", "mxf", "yuv4mpegpipe")
# How far a frame may stand from a constant rate's grid, in frames: room for clocks that round to
# milliseconds, and none for timing that really varies.
RATE_TOLERANCE = Fraction(1, 4)
# Codecs that say themselves how wide their pixels are, wherever they are put.
SHAPE_IN_STREAM = {"h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4", "dvvideo"}
COARSEST_CLOCK = Fraction(1, 240)
IMAGE_MIMETYPES = {
    "mjpeg": "image/jpeg",
    "png": "image/png",
    "bmp": "image/bmp",
    "gif": "image/gif",
}

# Tags that describe the old file, not the recording: the new file gets its own.
FILE_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
PICTURE_TAGS = {"encoder", "duration", "bps", "number_of_frames", "number_of_bytes"}
# Tags that MP4 and MOV store without being told to keep foreign ones.
MOV_TAGS = {
    *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"),
    *("copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id"),
    *("network", "keywords", "creation_time", "timecode", "track", "disc", "season_number"),
    *("episode_sort", "media_type", "hd_video", "gapless_playback", "compilation", "rating"),
    *("make", "model", "location", "language"),
}


def local_file(path: Path) -> str:
    """The name by which FFmpeg takes a path as a file, also where it looks like an address."""
    return f"file:{path}"


def muxer_for(path: Path) -> str:
    """FFmpeg's name of the container that this file name asks for."""
    suffix = path.suffix.lower()
    if suffix not in MUXERS:
        known = " ".join(sorted(MUXERS))
        words = f"{suffix} files are not written" if suffix else "no container is named"
        raise OutputError(f"{path}: {words}; give the result (-o) a name in one of: {known}.")
    return MUXERS[suffix]


def is_clocked(demuxer: str) -> bool:
    """Whether a file read by `demuxer` (such as "mov,mp4,m4a") runs on a broadcast clock."""
    return any(name in CLOCKED for name in demuxer.split(","))


def has_index_in_front(path: Path | None) -> bool:
    """Whether this is an MP4 or MOV that can begin to play while it is still being loaded."""
    if path is None:
        return False
    with path.open("rb") as file:
        while len(header := file.read(16)) == 16:
            size, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if kind in (b"moov", b"mdat"):
                return kind == b"moov"
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if size < 8:
                return False
            file.seek(size - 16, 1)
    return False


def output_time_base(muxer: str, picture: Picture) -> Fraction:
    """The source's own clock; for containers without timestamps, one tick a frame."""
    if muxer not in CONSTANT_RATE_ONLY or picture.time_base >= COARSEST_CLOCK:
        return picture.time_base
    return 1 / picture.average_rate


def muxer_options(
    muxer: str, path: Path | None, foreign_tags: bool, keep_clock: bool, index_in_front: bool
) -> dict[str, str]:
    """Options that make the muxer keep what it is given."""
    options: dict[str, str] = {}
    flags = []
    if muxer in MOV_FAMILY:
        options["movie_timescale"] = "90000"  # an edit list in milliseconds would move the start
        if foreign_tags:
            flags.append("use_metadata_tags")
        if index_in_front and path is not None:
            flags.append("faststart")
    if flags:
        options["movflags"] = "+".join(flags)
    if muxer == "mpegts":
        if keep_clock:
            options |= {"mpegts_copyts": "1", "avoid_negative_ts": "disabled"}
        if path is not None and path.suffix.lower() in (".m2ts", ".mts"):
            options["mpegts_m2ts_mode"] = "1"
    return options


def kept_file_tags(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.lower() not in FILE_TAGS}


def foreign_tags(tags: dict[str, str]) -> list[str]:
    """Those that MP4 and MOV keep only in a form that leaves no room for cover art."""
    return sorted(key for key in kept_file_tags(tags) if key.lower() not in MOV_TAGS)


def kept_picture_tags(tags: dict[str, str]) -> dict[str, str]:
    """Without the figures that only the old encoding's packets had."""

    def is_stale(key: str) -> bool:
        name = key.lower().split("-")[0]
        return name in PICTURE_TAGS or name.startswith("_statistics")

    return {key: value for key, value in tags.items() if not is_stale(key)}


def can_hold(muxer: str, stream: av.stream.Stream) -> bool:
    """Ask the muxer itself: write a header with this stream alone into memory."""
    try:
        with av.open(io.BytesIO(), "w", format=muxer, metadata_errors="surrogateescape") as trial:
            if muxer in PICTURE_FIRST:
                _add_broadcast_picture(trial, PICTURE_FIRST[muxer])
            copy: Any = trial.add_stream_from_template(stream, opaque=True)
            copy.disposition = stream.disposition
            trial.start_encoding()
            if muxer in PICTURE_FIRST:  # these will not end a file in which no picture came
                with suppress(av.error.FFmpegError, OSError):
                    trial.close()
    except (av.error.FFmpegError, ValueError, OSError):
        return False
    return stream.type != "attachment" or muxer == "matroska"


def _add_broadcast_picture(output: av.container.OutputContainer, codec: str) -> None:
    picture: Any = output.add_stream(codec, rate=25)
    picture.width, picture.height, picture.pix_fmt = 720, 576, "yuv420p"


def is_made_by_the_muxer(demuxer: str, stream: av.stream.Stream, chapter_count: int) -> bool:
    """Tracks that MOV and MP4 derive from other things, and so write again by themselves.

    Without a codec PyAV does not tell their four letters, but a timecode track carries its
    timecode as a tag, and a chapter track has one sample a chapter.
    """
    if stream.type != "data" or "mov" not in demuxer:
        return False
    return "timecode" in stream.metadata or 0 < chapter_count == stream.frames
