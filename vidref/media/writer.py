"""One pass: encode the picture, copy every other stream, appear only when whole.

The timestamps that reach the file are the source's own, put back on the encoder's packets as they
come out.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from vidref.media.encoders import Encoding
from vidref.media.frames import Frame, Passing
from vidref.media.mux import Mux
from vidref.media.packet_times import PacketTimes
from vidref.media.picture_encoder import PictureEncoder

if TYPE_CHECKING:
    import av.packet

    from vidref.media.reader import Reader


class Writer:
    """A clip being written: frames and packets go in, a file appears when `finish` returns."""

    def __init__(
        self,
        target: Path | None,
        muxer: str,
        reader: Reader,
        encoding: Encoding,
        drop: frozenset[int] = frozenset(),
        threads: int = 0,
        statement: str | None = None,
    ) -> None:
        """`target` None writes to standard output; `drop` leaves out streams by index.

        `statement` is the sentence by which the file says that it was restored.
        """
        self._mux = Mux(target, muxer, reader, encoding, drop, threads, statement)
        self._encoder = PictureEncoder(self._mux.encoder, reader.clip, encoding)
        self._clip = reader.clip
        self._encoding = encoding
        self._times = PacketTimes()

    def write(self, frame: Frame) -> None:
        """Encode one frame; its planes are not looked at."""
        self._times.push(*self._mux.times.of(frame.pts, frame.duration))
        self._add(self._mux.guard(self._encoder.encode, frame))

    def copy(self, item: Passing) -> None:
        """Hand a packet of another stream on, byte for byte."""
        self._mux.copy(item)

    def finish(self) -> None:
        """Flush the encoder, write the index, and put the file in its place."""
        self._add(self._mux.guard(self._encoder.flush))
        self._mux.finish()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._mux.abandon()

    def notes(self) -> list[str]:
        """Sentences that the user must hear about this output."""
        remarks = self._encoder.remarks.sentences(self._clip, self._encoding)
        return [*remarks, *self._mux.notes()]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abandon()

    def _add(self, packets: Iterable[av.packet.Packet[Any]]) -> None:
        for packet in packets:
            assert packet.pts is not None
            self._mux.add_picture(packet, self._times.of(packet.pts, packet.dts))
