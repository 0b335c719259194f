"""A finished segment of the picture on disk: its frames' times and its packets, exactly.

FFmpeg's containers each lose something (flags, side data, the encoder's own numbering), so this is
a container of our own: a magic word; then, in the order in which they happened, the frames that
went into the encoder and the packets that came out; then a summary; then the SHA-256 of all that.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import av.packet

from vidref.errors import InputError, OutputError
from vidref.media.packet_times import MOST_REORDERED
from vidref.media.unfinished import sync_folder

if TYPE_CHECKING:
    from vidref.media.picture_encoder import Remarks

MAGIC = b"vidref segment 1\n"
FRAME, PACKET = b"F", b"P"
FRAME_HEAD = struct.Struct("<qq")  # pts, duration, in the source's ticks
PACKET_HEAD = struct.Struct("<q?HI")  # frame number, is it a key, pieces of side data, bytes
SIDE_HEAD = struct.Struct("<HI")  # kind, bytes
SUMMARY_SIZE = struct.Struct("<I")
DIGEST_BYTES = 32
BLOCK_BYTES = 1 << 20
# Given fewer frames than this, libx265 hands out decode numbers that it never set.
ENOUGH_FOR_DECODE_NUMBERS = 3


@dataclass(frozen=True)
class Summary:
    """What is known of a segment when its encoder has ended."""

    frames: int
    packets: int
    delay: int
    """How many packets must be decoded ahead, so that every frame is there when it is shown."""
    extradata: str
    resized: int
    captions_lost: bool


class SegmentFile:
    """A segment being written; it has its name only once it is whole and on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(path.name + ".part")
        self._digest = hashlib.sha256()
        self._frames = self._packets = 0
        self._reordered = self._declared = 0
        try:
            self._file: IO[bytes] = self._part.open("wb")
        except OSError as error:
            raise self._refusal(error) from error
        self._write(MAGIC)

    def add_frame(self, pts: int, duration: int) -> None:
        """A frame goes into the encoder."""
        self._frames += 1
        self._write(FRAME + FRAME_HEAD.pack(pts, duration))

    def add_packet(self, packet: av.packet.Packet[Any]) -> None:
        """A packet came out; its `pts` and `dts` count frames from the segment's first."""
        number, decode = packet.pts, packet.dts
        assert number is not None
        if self._packets == 0 and decode is not None and -MOST_REORDERED <= decode <= 0:
            self._declared = -decode
        self._reordered = max(self._reordered, self._packets - number)
        self._packets += 1
        side = list(packet.iter_sidedata())
        head = PACKET_HEAD.pack(number, packet.is_keyframe, len(side), packet.size)
        self._write(PACKET + head)
        self._write(memoryview(packet))
        for piece in side:
            kind = av.packet.packet_sidedata_type_from_literal(piece.data_type)  # type: ignore[arg-type]
            self._write(SIDE_HEAD.pack(kind, piece.data_size) + bytes(piece))

    def finish(self, extradata: bytes, remarks: Remarks) -> str:
        """Make it durable under its name; returns the SHA-256 that it ends with."""
        declared = self._declared if self._packets >= ENOUGH_FOR_DECODE_NUMBERS else 0
        delay = max(self._reordered, declared)
        summary = Summary(self._frames, self._packets, delay, extradata.hex(), **asdict(remarks))
        words = json.dumps(asdict(summary)).encode()
        self._write(words + SUMMARY_SIZE.pack(len(words)))
        digest = self._digest.digest()
        try:
            self._file.write(digest)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise self._refusal(error) from error
        return digest.hex()

    def abandon(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abandon()

    def _write(self, data: bytes | memoryview) -> None:
        self._digest.update(data)
        try:
            self._file.write(data)
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> OutputError:
        reason = (error.strerror or str(error)).lower()
        return OutputError(
            f"A finished part could not be stored in {self.path.parent} ({reason}); "
            "make room there and run the same again: what is stored is kept."
        )


@dataclass(frozen=True)
class StoredFrame:
    """A frame as it went into the encoder."""

    pts: int
    duration: int


@dataclass(frozen=True)
class StoredPacket:
    """A packet as it came out, and which frame of the segment it shows."""

    packet: av.packet.Packet[Any]
    number: int


def read_summary(path: Path) -> Summary:
    """The end of a segment's file, without reading the rest."""
    with path.open("rb") as file:
        return Summary(**json.loads(_summary_words(file)[0]))


def read_segment(path: Path) -> Iterator[StoredFrame | StoredPacket]:
    """Frames and packets in the order in which they were stored."""
    with path.open("rb") as file:
        _, end = _summary_words(file)
        file.seek(len(MAGIC))
        while file.tell() < end:
            kind = file.read(1)
            if kind == FRAME:
                yield StoredFrame(*FRAME_HEAD.unpack(file.read(FRAME_HEAD.size)))
            elif kind == PACKET:
                yield _read_packet(file)
            else:
                raise damaged(path)


def checked_digest(path: Path) -> str | None:
    """The SHA-256 that the file ends with, if it is that of its content; None if it is not."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            left = file.seek(0, os.SEEK_END) - DIGEST_BYTES
            file.seek(0)
            while left > 0 and (block := file.read(min(left, BLOCK_BYTES))):
                digest.update(block)
                left -= len(block)
            said = file.read()
    except OSError:
        return None
    return digest.hexdigest() if left == 0 and said == digest.digest() else None


def damaged(path: Path) -> InputError:
    """The sentence for a stored segment that is not what was stored."""
    return InputError(f"{path} is damaged; run the same again, and it is made anew.")


def _summary_words(file: IO[bytes]) -> tuple[bytes, int]:
    """The summary, and where it begins."""
    end = file.seek(-DIGEST_BYTES - SUMMARY_SIZE.size, os.SEEK_END)
    (length,) = SUMMARY_SIZE.unpack(file.read(SUMMARY_SIZE.size))
    file.seek(end - length)
    return file.read(length), end - length


def _read_packet(file: IO[bytes]) -> StoredPacket:
    number, is_key, pieces, size = PACKET_HEAD.unpack(file.read(PACKET_HEAD.size))
    packet: av.packet.Packet[Any] = av.packet.Packet(size)
    if size:
        packet.update(file.read(size))
    for _ in range(pieces):
        kind, length = SIDE_HEAD.unpack(file.read(SIDE_HEAD.size))
        piece: Any = av.packet.PacketSideData(kind, length)  # type: ignore[call-arg]
        piece.update(file.read(length))
        packet.set_sidedata(piece, move=True)
    packet.is_keyframe = is_key
    return StoredPacket(packet, number)
