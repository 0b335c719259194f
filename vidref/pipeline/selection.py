"""Which faces are restored, how far, and which are left alone, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vidref.faces.paths import Track, TrackFrame
from vidref.faces.turned import spans_away
from vidref.pipeline.looking import Views
from vidref.pipeline.naming import Somebody
from vidref.pipeline.need import EVERYTHING, Need

CLEAN = ((96.0, 0.57), (128.0, 0.70), (192.0, 0.81), (256.0, 0.93))
"""The detail that is left in clean photographs by the side of their face square in px, the median
of 12 people (tests/benchmarks/results/analyse.md). A face that reaches it loses by being rebuilt; a
smaller one than the first is never taken to be sharp."""
MOSTLY = 0.5


@dataclass(frozen=True)
class Wish:
    """What the user wants restored."""

    people: tuple[str, ...]
    min_face_px: float
    max_faces: int | None


@dataclass(frozen=True)
class Decision:
    restore: bool
    why: str
    strength: float = 1.0
    """How much of the restoration is shown."""


def decide(
    people: Sequence[Somebody], views: dict[int, Views], wish: Wish, need: Need = EVERYTHING
) -> dict[int, Decision]:
    """For every track's id whether it is restored, and how far."""
    decisions = {
        track.id: _alone(who, track, views.get(track.id), wish, need)
        for who in people
        for track in who.tracks
    }
    if wish.max_faces is not None:
        tracks = [track for who in people for track in who.tracks]
        _keep_largest([t for t in tracks if decisions[t.id].restore], wish.max_faces, decisions)
    return decisions


def size_of(track: Track) -> float:
    return float(np.median([frame.placement.size_px for frame in track.frames]))


def _alone(who: Somebody, track: Track, views: Views | None, wish: Wish, need: Need) -> Decision:
    """The decision for a track by itself, whoever else is in the picture."""
    if wish.people and who.name not in wish.people:
        asked = ", ".join(wish.people)
        return Decision(False, f"This is not surely one of those asked for ({asked}).")
    size = size_of(track)
    if size < wish.min_face_px:
        needed = f"{wish.min_face_px:g} px are asked for"
        return Decision(False, f"The face is too small ({size:.0f} px; {needed}).")
    if is_away_throughout(track.frames):
        return Decision(False, from_the_side(track.frames))
    left = float(np.median(views.detail)) if views and views.detail else 0.0
    clean = float(np.interp(size, [side for side, _ in CLEAN], [left for _, left in CLEAN]))
    if size >= CLEAN[0][0] and left >= clean:
        return Decision(False, f"The face is sharp already ({left:.2f} of 1, {size:.0f} px).")
    share = need.at(left) if size >= CLEAN[0][0] else 1.0
    why = f"The face has lost detail ({left:.2f} of 1 is left, {size:.0f} px)"
    if share == 0:
        return Decision(True, f"{why}: too little to rebuild it, so it is only steadied.", share)
    return Decision(True, f"{why}{_shown(share)}.", share)


def is_away_throughout(frames: Sequence[TrackFrame]) -> bool:
    """Is the head turned too far in all of them?"""
    return _away(frames) == [(0, len(frames) - 1)]


def from_the_side(frames: Sequence[TrackFrame]) -> str:
    """That it is, in words."""
    most = max(abs(frame.turned_deg) for frame in frames)
    return f"The face is seen from the side ({most:.0f}°): it cannot be rebuilt from there."


def left_alone(frames: Sequence[TrackFrame]) -> list[Sequence[TrackFrame]]:
    """The stretches of an unbroken path in which the head is turned too far."""
    return [frames[first : last + 1] for first, last in _away(frames)]


def with_stretches(decision: Decision, frames: Sequence[TrackFrame]) -> Decision:
    """The decision for an unbroken part of the track that it was made for."""
    if not decision.restore:
        return decision
    if is_away_throughout(frames):
        return Decision(False, from_the_side(frames))
    count = sum(map(len, left_alone(frames)))
    if not count:
        return decision
    told = f"In {count} of {len(frames)} frames it is seen from the side and left as it is."
    return replace(decision, why=f"{decision.why} {told}")


def _away(frames: Sequence[TrackFrame]) -> list[tuple[int, int]]:
    return spans_away([f.time_s for f in frames], [f.turned_deg for f in frames])


def _shown(share: float) -> str:
    return "" if share == 1 else f": {share:.2f} of its restoration is shown"


def _keep_largest(tracks: list[Track], most: int, decisions: dict[int, Decision]) -> None:
    """Leaves alone what has `most` larger faces beside it for most of the time."""
    sizes = {track.id: size_of(track) for track in tracks}
    frames = {track.id: {frame.index for frame in track.frames} for track in tracks}
    by_shot: dict[int, list[Track]] = {}
    for track in tracks:
        by_shot.setdefault(track.shot, []).append(track)
    for together in by_shot.values():
        for track in together:
            larger = [t for t in together if sizes[t.id] > sizes[track.id]]
            mine = frames[track.id]
            crowded = sum(sum(i in frames[t.id] for t in larger) >= most for i in mine)
            if crowded > MOSTLY * len(mine):
                noun = "face is" if most == 1 else "faces are"
                why = f"{most} larger {noun} in the picture, and no more are asked for."
                decisions[track.id] = Decision(False, why)
