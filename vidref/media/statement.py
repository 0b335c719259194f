"""Where a file says of itself that it was restored, without losing a word that it said before."""

from __future__ import annotations

from collections.abc import Iterable

from vidref.media.containers import MOV_FAMILY

OWN = "RESTORATION"
# What each muxer was seen to keep, best first; those that are not here keep no tags at all.
KEPT = {
    "matroska": (OWN,),
    "webm": (OWN,),
    "nut": (OWN,),
    "flv": (OWN,),
    "asf": (OWN,),
    "mxf": ("comment_restoration",),
    "avi": ("comment", "encoded_by"),
    "mp4": ("comment", "description", "synopsis"),
    "mov": ("comment",),
}


def statement_key(muxer: str, taken: Iterable[str], keeps_foreign_tags: bool) -> str | None:
    """A tag that the muxer keeps and the source has not `taken`; None where there is none.

    MP4 and MOV are written either with the tags they know or (`keeps_foreign_tags`) with all.
    """
    names = {name.lower() for name in taken}
    candidates = KEPT.get(muxer, ())
    if muxer in MOV_FAMILY and muxer in KEPT and keeps_foreign_tags:
        candidates = (*candidates, OWN)
    return next((key for key in candidates if key.lower() not in names), None)
