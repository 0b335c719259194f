"""The shape of the pixels in a Matroska file, which FFmpeg's muxer can only be told through a field
that PyAV does not offer.

So room is kept in the track's header, by a long placeholder behind its name, and once the file is
written that room is exchanged for the display size. No byte outside this one track header moves.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidref.errors import OutputError

PLACEHOLDER = " (room for the display size)"
HEADER_BYTES = 1 << 22  # attachments may stand before the tracks; their headers do not

SEGMENT, TRACKS, TRACK_ENTRY = 0x18538067, 0x1654AE6B, 0xAE
NAME, VIDEO, VOID, CRC = 0x536E, 0xE0, 0xEC, 0xBF
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
UNIT_PIXELS, UNIT_ASPECT = 0, 3


@dataclass(frozen=True)
class Element:
    """An EBML element: where it begins, where its content lies."""

    id: int
    start: int
    content: int
    end: int


def set_pixel_shape(path: Path, width: int, height: int, sample_aspect: Fraction) -> None:
    """Exchange the placeholder in the picture's track for its display size."""
    with path.open("r+b") as file:
        head = bytearray(file.read(HEADER_BYTES))
        tracks = _find_tracks(head)
        for entry in _children(head, tracks):
            if entry.id == TRACK_ENTRY:
                body = _reshaped(head, entry, width, height, sample_aspect)
                if body is not None:
                    head[entry.content : entry.end] = body
                    break
        else:
            raise OutputError(f"The track header of {path} is not as expected; nothing was kept.")
        _mend_checksum(head, tracks)
        file.seek(tracks.start)
        file.write(head[tracks.start : tracks.end])


def display_size(width: int, height: int, sample_aspect: Fraction) -> tuple[int, int, int]:
    """(width, height, unit): whole pixels where they come out even, else the exact ratio."""
    wide, high = width * sample_aspect, height / sample_aspect
    if wide.denominator == 1:
        return int(wide), height, UNIT_PIXELS
    if high.denominator == 1:
        return width, int(high), UNIT_PIXELS
    aspect = Fraction(width, height) * sample_aspect
    return aspect.numerator, aspect.denominator, UNIT_ASPECT


def _reshaped(
    head: bytearray, entry: Element, width: int, height: int, sample_aspect: Fraction
) -> bytes | None:
    """The entry's new content, of the same length; None if this is not the picture's track."""
    placeholder = PLACEHOLDER.encode()
    parts: list[bytes] = []
    is_ours = False
    for child in _children(head, entry):
        raw = bytes(head[child.start : child.end])
        if child.id == NAME and raw.endswith(placeholder):
            is_ours = True
            name = bytes(head[child.content : child.end])[: -len(placeholder)]
            raw = _element(NAME, name) if name else b""
        elif child.id == VIDEO:
            kept = [
                bytes(head[part.start : part.end])
                for part in _children(head, child)
                if part.id not in (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
            ]
            wide, high, unit = display_size(width, height, sample_aspect)
            kept += [
                _element(DISPLAY_WIDTH, _number(wide)),
                _element(DISPLAY_HEIGHT, _number(high)),
            ]
            if unit != UNIT_PIXELS:
                kept.append(_element(DISPLAY_UNIT, _number(unit)))
            raw = _element(VIDEO, b"".join(kept))
        parts.append(raw)
    if not is_ours:
        return None
    body = b"".join(parts)
    spare = entry.end - entry.content - len(body)
    return body + _element(VOID, bytes(spare - 2))


def _find_tracks(head: bytearray) -> Element:
    whole = Element(0, 0, 0, len(head))
    for element in _children(head, whole):
        if element.id == SEGMENT:
            for child in _children(head, Element(SEGMENT, 0, element.content, len(head))):
                if child.id == TRACKS and child.end <= len(head):
                    return child
    raise OutputError("The Matroska header has no tracks where they were expected.")


def _children(data: bytearray, parent: Element) -> Iterator[Element]:
    at = parent.content
    while at < min(parent.end, len(data)):
        id_length = 9 - data[at].bit_length()
        size_at = at + id_length
        size_length = 9 - data[size_at].bit_length()
        content = size_at + size_length
        size = int.from_bytes(data[size_at:content], "big") & ((1 << 7 * size_length) - 1)
        is_unknown = size == (1 << 7 * size_length) - 1
        end = parent.end if is_unknown else content + size
        yield Element(int.from_bytes(data[at:size_at], "big"), at, content, end)
        at = end


def _element(element_id: int, content: bytes) -> bytes:
    size = len(content)
    length = next(n for n in range(1, 9) if size < (1 << 7 * n) - 1)
    header = element_id.to_bytes((element_id.bit_length() + 7) // 8, "big")
    return header + (size | 1 << 7 * length).to_bytes(length, "big") + content


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _mend_checksum(head: bytearray, tracks: Element) -> None:
    first = next(_children(head, tracks))
    if first.id == CRC:
        checksum = zlib.crc32(head[first.end : tracks.end])
        head[first.content : first.end] = checksum.to_bytes(4, "little")
