"""What FFmpeg attaches to a decoded frame beside its pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av.video.frame


def side_data(frame: av.video.frame.VideoFrame) -> Iterator[tuple[str, bytes]]:
    """(name, raw bytes) of each piece; PyAV's stubs call it a mapping of names, which it is not."""
    pieces: Any = frame.side_data
    for piece in pieces:
        yield piece.type.name, bytes(piece)
