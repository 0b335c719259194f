"""Opening a file: the container, the stream that is the picture, and its decoder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.container
import av.error

from vidref.errors import InputError
from vidref.media.containers import local_file
from vidref.media.probe import is_cover_art

if TYPE_CHECKING:
    import av.video.stream

UNREAD_PHOTOS = {".heic", ".heif", ".hif", ".avif"}
INVENT_TIMES = 1  # AVFMT_FLAG_GENPTS


def open_input(source: Path | None) -> av.container.InputContainer:
    name = str(source) if source else "standard input"
    if source is not None:
        if not source.exists():
            raise InputError(f"{name} does not exist; check the path.")
        if source.is_dir():
            raise InputError(f"{name} is a folder without pictures; give a clip or a photo.")
        if source.suffix.lower() in UNREAD_PHOTOS:
            raise InputError(
                f"{name}: vidref does not read {source.suffix} photos; save it as .jpg, .png or "
                ".tif, and give that."
            )
        if source.stat().st_size == 0:
            raise InputError(f"{name} is empty (0 bytes); copy it again from its source.")
    try:
        # Tags in an old encoding must come out byte for byte as they went in.
        file: Any = local_file(source) if source else sys.stdin.buffer
        container: av.container.InputContainer = av.open(
            file, "r", metadata_errors="surrogateescape"
        )
        # PyAV asks FFmpeg to invent missing presentation times; `PresentationClock` knows better.
        container.flags &= ~INVENT_TIMES
        return container
    except PermissionError as error:
        raise InputError(f"{name} may not be read; check its permissions.") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        hint = "it is damaged, cut off before its index, or not a video"
        if source is None:
            hint += "; an MP4 can be piped only with its index in front (faststart)"
        raise InputError(f"{name} cannot be opened as a clip: {hint}.") from error


def picture_stream(
    container: av.container.InputContainer, name: str
) -> av.video.stream.VideoStream:
    candidates = [
        stream
        for stream in container.streams.video
        if not is_cover_art(stream) and stream.codec_context is not None
    ]
    if not candidates:
        raise InputError(f"{name} has no video stream; give a file with a picture.")
    preferred = [s for s in candidates if s.disposition & s.disposition.default]
    return (preferred or candidates)[0]


def decoder_for(stream: av.video.stream.VideoStream, threads: int) -> Any:
    """The stream's own decoder; libvpx where only it reads the transparency of VP8 and VP9."""
    context: Any = stream.codec_context
    library = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(context.codec.canonical_name)
    tags = {name.lower(): value for name, value in stream.metadata.items()}
    if library and tags.get("alpha_mode") == "1":
        context = av.CodecContext.create(library, "r")
        context.extradata = stream.codec_context.extradata
    context.thread_type = "AUTO"
    context.thread_count = threads
    return context
