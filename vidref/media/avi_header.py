"""Put right what FFmpeg writes about copied MPEG sound in the header of an AVI.

A copied MP3, MP2 or AC-3 track still carries the block size that its old header named, and the
muxer then counts blocks instead of packets: the length comes out as a third, or nothing at all,
and players stop early. In AVI, sound in packets has sample size 0 and its length in packets.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from vidref.errors import OutputError

# WAVE format tags of sound that comes in packets: MP2, MP3, AC-3.
PACKETED = {0x0050, 0x0055, 0x2000}
HEADER_BYTES = 1 << 20
LENGTH_AT, SAMPLE_SIZE_AT = 32, 44  # in the `strh` chunk


def mend_sound_headers(path: Path, packets: Mapping[int, int]) -> None:
    """Rewrite length and sample size of packeted sound; `packets` counts them by output stream."""
    try:
        with path.open("r+b") as file:
            head = file.read(HEADER_BYTES)
            for stream, (at, kind, tag) in enumerate(_stream_headers(head)):
                if kind == b"auds" and tag in PACKETED and stream in packets:
                    file.seek(at + LENGTH_AT)
                    file.write(struct.pack("<I", packets[stream]))
                    file.seek(at + SAMPLE_SIZE_AT)
                    file.write(struct.pack("<I", 0))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"The header of {path} could not be completed: {reason}.") from error


def _stream_headers(head: bytes) -> list[tuple[int, bytes, int]]:
    """(place of the content of `strh`, kind, format tag) of every stream, in order."""
    found: list[tuple[int, bytes, int]] = []
    at = 12  # past RIFF, its size and AVI
    if head[at : at + 4] != b"LIST" or head[at + 8 : at + 12] != b"hdrl":
        return found
    end = at + 8 + int.from_bytes(head[at + 4 : at + 8], "little")
    at += 12
    while at + 8 <= end:
        name, size = head[at : at + 4], int.from_bytes(head[at + 4 : at + 8], "little")
        if name == b"LIST":  # `strl`: step in, its chunks follow
            at += 12
            continue
        if name == b"strh":
            found.append((at + 8, head[at + 8 : at + 12], 0))
        if name == b"strf" and found:
            place, kind, _ = found[-1]
            found[-1] = (place, kind, int.from_bytes(head[at + 8 : at + 10], "little"))
        at += 8 + size + size % 2
    return found
