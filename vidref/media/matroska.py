"""The shape of the pixels and HDR's light levels in a Matroska file, which FFmpeg's muxer can only
be told through fields that PyAV does not offer.

So room is kept in the track's header, by a long placeholder behind its name, and once the file is
written that room is exchanged for them. No byte outside this one track header moves.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidref.errors import OutputError
from vidref.media.hdr import HdrMetadata

PLACEHOLDER = " (room for the display size and the light levels)" + 140 * "."
HEADER_BYTES = 1 << 22  # attachments may stand before the tracks; their headers do not

SEGMENT, TRACKS, TRACK_ENTRY = 0x18538067, 0x1654AE6B, 0xAE
NAME, VIDEO, VOID, CRC = 0x536E, 0xE0, 0xEC, 0xBF
DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT = 0x54B0, 0x54BA, 0x54B2
UNIT_PIXELS, UNIT_ASPECT = 0, 3
COLOUR, MOST_LIGHT, MEAN_LIGHT, MASTERING = 0x55B0, 0x55BC, 0x55BD, 0x55D0
# Within it: x and y of red, green, blue and white; then the brightest and the darkest.
FIRST_CHROMATICITY, BRIGHTEST, DARKEST = 0x55D1, 0x55D9, 0x55DA


@dataclass(frozen=True)
class Element:
    """An EBML element: where it begins, where its content lies."""

    id: int
    start: int
    content: int
    end: int


def complete_track(
    path: Path, size: tuple[int, int], sample_aspect: Fraction | None, light: HdrMetadata | None
) -> None:
    """Exchange the placeholder in the picture's track for its display size and its light levels."""
    with path.open("r+b") as file:
        head = bytearray(file.read(HEADER_BYTES))
        tracks = _find_tracks(head)
        for entry in _children(head, tracks):
            if entry.id == TRACK_ENTRY:
                body = _completed(head, entry, size, sample_aspect, light)
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


def _completed(
    head: bytearray,
    entry: Element,
    size: tuple[int, int],
    sample_aspect: Fraction | None,
    light: HdrMetadata | None,
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
            kept = {part.id: bytes(head[part.start : part.end]) for part in _children(head, child)}
            if sample_aspect is not None:
                kept = _reshaped(kept, size, sample_aspect)
            if light is not None:
                colour = next((part for part in _children(head, child) if part.id == COLOUR), None)
                said = bytes(head[colour.content : colour.end]) if colour else b""
                kept[COLOUR] = _element(COLOUR, said + _light_levels(light))
            raw = _element(VIDEO, b"".join(kept.values()))
        parts.append(raw)
    if not is_ours:
        return None
    body = b"".join(parts)
    spare = entry.end - entry.content - len(body)
    return body + _void(spare)


def _reshaped(
    kept: dict[int, bytes], size: tuple[int, int], sample_aspect: Fraction
) -> dict[int, bytes]:
    wide, high, unit = display_size(*size, sample_aspect)
    new = {
        DISPLAY_WIDTH: _element(DISPLAY_WIDTH, _number(wide)),
        DISPLAY_HEIGHT: _element(DISPLAY_HEIGHT, _number(high)),
    }
    if unit != UNIT_PIXELS:
        new[DISPLAY_UNIT] = _element(DISPLAY_UNIT, _number(unit))
    ours = (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
    return {number: raw for number, raw in kept.items() if number not in ours} | new


def _light_levels(light: HdrMetadata) -> bytes:
    """The content of a colour element, as far as it is of light."""
    said = []
    if light.max_content_light is not None:
        said.append(_element(MOST_LIGHT, _number(light.max_content_light)))
        said.append(_element(MEAN_LIGHT, _number(light.max_frame_average_light or 0)))
    if light.mastering is not None:
        display = light.mastering
        points = [value for point in (*display.primaries, display.white) for value in point]
        numbers = {FIRST_CHROMATICITY + i: value for i, value in enumerate(points)}
        numbers |= {BRIGHTEST: display.max_luminance, DARKEST: display.min_luminance}
        floats = (_element(k, struct.pack(">d", float(v))) for k, v in numbers.items())
        said.append(_element(MASTERING, b"".join(floats)))
    return b"".join(said)


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


def _void(size: int) -> bytes:
    """Room of so many bytes, at least 9; its own length takes 8 of them."""
    return bytes([VOID]) + (size - 9 | 1 << 56).to_bytes(8, "big") + bytes(size - 9)


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _mend_checksum(head: bytearray, tracks: Element) -> None:
    first = next(_children(head, tracks))
    if first.id == CRC:
        checksum = zlib.crc32(head[first.end : tracks.end])
        head[first.content : first.end] = checksum.to_bytes(4, "little")
