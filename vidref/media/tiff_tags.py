"""What a TIFF says beside its picture, copied into another that is coded anew.

Density, orientation, colour profile, captions, XMP and IPTC stand in the first directory as plain
values; those are copied. Directories below it (EXIF, GPS) are not.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

# How the picture is coded (the new file has its own), and where other directories are.
CODING = {*range(254, 260), 262, 263, 264, 265, 266, 273, *range(277, 282), 284, 288, 289, 290, 291}
CODING |= {292, 293, 297, 301, 317, 318, 319, 320, *range(321, 326), *range(338, 344), 347}
CODING |= {*range(512, 522), 529, 530, 531, 532}
BELOW = {330, 34665, 34853, 40965}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
WORDS = {3: "H", 4: "I", 5: "I", 8: "h", 9: "i", 10: "i", 11: "f", 12: "d"}


@dataclass(frozen=True)
class Tag:
    """One entry of a directory; `body` is in the file's own order of bytes."""

    number: int
    kind: int
    count: int
    body: bytes


def with_tags_of(source: bytes, tiff: bytes) -> bytes:
    """`tiff` with a new first directory: its own entries, and those of `source` beside them."""
    own, theirs = _order(tiff), _order(source)
    kept = {tag.number: tag for tag in _directory(tiff)}
    for tag in _directory(source):
        if tag.number not in CODING | BELOW and tag.kind in SIZES:
            kept[tag.number] = Tag(
                tag.number, tag.kind, tag.count, _reordered(tag.body, tag.kind, theirs, own)
            )
    return _with_directory(tiff, own, [kept[number] for number in sorted(kept)])


def has_more_below(tiff: bytes) -> bool:
    """Whether there are directories below the first, such as EXIF."""
    return any(tag.number in BELOW for tag in _directory(tiff))


def _order(tiff: bytes) -> str:
    return "<" if tiff[:2] == b"II" else ">"


def _directory(tiff: bytes) -> list[Tag]:
    order = _order(tiff)
    if struct.unpack_from(order + "H", tiff, 2)[0] != 42:
        return []  # BigTIFF
    at = struct.unpack_from(order + "I", tiff, 4)[0]
    tags = []
    for index in range(struct.unpack_from(order + "H", tiff, at)[0]):
        entry = at + 2 + 12 * index
        number, kind, count = struct.unpack_from(order + "HHI", tiff, entry)
        size = SIZES.get(kind, 1) * count
        place = entry + 8 if size <= 4 else struct.unpack_from(order + "I", tiff, entry + 8)[0]
        tags.append(Tag(number, kind, count, tiff[place : place + size]))
    return tags


def _with_directory(tiff: bytes, order: str, tags: list[Tag]) -> bytes:
    data = bytearray(tiff) + bytes(len(tiff) % 2)
    entries = b""
    for tag in tags:
        place = tag.body.ljust(4, b"\0")
        if len(tag.body) > 4:
            place = struct.pack(order + "I", len(data))
            data += tag.body + bytes(len(tag.body) % 2)
        entries += struct.pack(order + "HHI", tag.number, tag.kind, tag.count) + place
    struct.pack_into(order + "I", data, 4, len(data))
    return bytes(data) + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def _reordered(body: bytes, kind: int, before: str, after: str) -> bytes:
    if before == after or kind not in WORDS:
        return body
    word = WORDS[kind]
    count = len(body) // struct.calcsize(word)
    return struct.pack(f"{after}{count}{word}", *struct.unpack(f"{before}{count}{word}", body))
