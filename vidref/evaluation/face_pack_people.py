"""Are people told apart in the clips: one person in two clips, different people in one?

Compared is what the tool compares: its own tracks, each by the looks at it that pass 1 found good
enough, weighted as `faces/people.py` weights them. Two tracks that are visible at the same time are
two people; one person is who fills two clips that are known to show nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from vidref.faces.likeness import likeness_for
from vidref.faces.pack import FacePack
from vidref.faces.people import Appearance
from vidref.pipeline.closer import with_faces, with_more_views
from vidref.pipeline.footage import footage_of
from vidref.pipeline.looking import look_at
from vidref.pipeline.naming import appearance_of
from vidref.pipeline.progress import ignore_progress
from vidref.settings import Settings


@dataclass(frozen=True)
class Separation:
    """Cosines of whole tracks: of one person in two clips, and of two people in one clip."""

    same: dict[str, float]
    different: dict[str, float]

    @property
    def gap(self) -> tuple[float, float]:
        """Largest of different people, smallest of the same: apart if first < second."""
        return max(self.different.values(), default=-1.0), min(self.same.values(), default=1.0)


def people_of(clip: Path, pack: FacePack, threads: int = 0) -> list[Appearance]:
    """Everyone in a clip who is recognised there, who is longest in the picture first."""
    footage = footage_of(clip, Settings.load(None, {"threads": threads}))
    seen = with_faces(look_at(footage, pack, None, ignore_progress), footage, pack)
    seen = with_more_views(seen, footage, pack, likeness_for(pack))
    tracks = sorted(seen.tracks, key=lambda track: -len(track.frames))
    return [a for a in (appearance_of(track, seen) for track in tracks) if a.face is not None]


def separation(people: dict[str, list[Appearance]], pairs: Sequence[tuple[str, str]]) -> Separation:
    """`pairs` name clips of one and the same person."""
    same = {
        f"{one} - {other}": _cosine(people[one][0], people[other][0])
        for one, other in pairs
        if people.get(one) and people.get(other)
    }
    different = {
        f"{clip} #{one.track} - #{other.track}": _cosine(one, other)
        for clip, everyone in people.items()
        for one, other in combinations(everyone, 2)
        if one.first_s <= other.last_s and other.first_s <= one.last_s
    }
    return Separation(same, different)


def _cosine(one: Appearance, other: Appearance) -> float:
    assert one.face is not None and other.face is not None
    return float(one.face @ other.face)
