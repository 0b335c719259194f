"""One segment of a clip: its frames in, one file of packets out, the same whoever makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import av.error

from vidref.errors import OutputError
from vidref.media.encoders import Encoding
from vidref.media.frames import Frame
from vidref.media.picture_encoder import open_encoder, reason
from vidref.media.probe import Clip
from vidref.media.segment_file import SegmentFile


class SegmentEncoder:
    """A segment being encoded; it is on disk under its name when `finish` returns."""

    def __init__(
        self,
        path: Path,
        clip: Clip,
        muxer: str,
        encoding: Encoding,
        threads: int,
        first_index: int = 0,
    ) -> None:
        """`first_index` is that of the segment's first frame in the clip."""
        self._encoder = open_encoder(clip, muxer, encoding, threads, first_index)
        self._name = f"segment {path.name} of {clip.name}"
        self._file = SegmentFile(path)

    def write(self, frame: Frame) -> None:
        """Encode one frame; its planes are not looked at."""
        self._file.add_frame(frame.pts, frame.duration)
        self._add(self._encoder.encode, frame)

    def finish(self) -> str:
        """Flush the encoder and close the file; returns the SHA-256 that it ends with."""
        self._add(self._encoder.flush)
        return self._file.finish(self._encoder.extradata, self._encoder.remarks)

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abandon()

    def _add(self, call: Any, *frame: Frame) -> None:
        try:
            packets = call(*frame)
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{self._name} could not be encoded: {reason(error)}.") from error
        for packet in packets:
            self._file.add_packet(packet)
