"""What a JPEG says beside its picture: captions, dates, rights, density, colour profile.

Everything in front of the picture is copied as it is (EXIF, XMP, IPTC, ICC, JFIF, comments), but
what describes how the old file was coded.
"""

from __future__ import annotations

from collections.abc import Iterator

START, SCAN, COMMENT, ADOBE = 0xD8, 0xDA, 0xFE, 0xEE
PROFILE, OTHER_PICTURES = b"ICC_PROFILE\0", b"MPF\0"


def with_segments_of(source: bytes, jpeg: bytes, profile_fits: bool = True) -> bytes:
    """`jpeg` with the segments of `source` in place of its own.

    Without `profile_fits` the colour profile stays behind: it is one for other colours.
    """
    kept = b"".join(segment for segment in _segments(source) if _tells_more(segment, profile_fits))
    coded = b"".join(segment for segment in _segments(jpeg) if not _is_said_beside(segment[1]))
    rest = jpeg[2 + sum(map(len, _segments(jpeg))) :]
    return jpeg[:2] + kept + coded + rest


def _tells_more(segment: bytes, profile_fits: bool) -> bool:
    body = segment[4:]
    if not _is_said_beside(segment[1]) or segment[1] == ADOBE or body.startswith(OTHER_PICTURES):
        return False
    return profile_fits or not body.startswith(PROFILE)


def _is_said_beside(marker: int) -> bool:
    return 0xE0 <= marker <= 0xEF or marker == COMMENT


def _segments(jpeg: bytes) -> Iterator[bytes]:
    """The segments between the start and the picture, whole."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != SCAN:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        yield jpeg[at:end]
        at = end
