"""A person's best and worst moment: the same face before and after, read again from both files.

Best and worst are by the likeness to the references after restoring; of a person without
references, the moments at which the face is largest and smallest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.errors import VidrefError
from vidref.faces.geometry import take_crop
from vidref.media.reader import Reader
from vidref.media.stills import find_stills, is_stills, read_stills
from vidref.pipeline.plan import Plan, PlannedTrack
from vidref.pipeline.upright import upright_rgb
from vidref.report.pairs import Pair, Pairs, Stretch

SIDE = 320
AROUND = 1.25
"""A little more than the face square, so that the seam with the picture is seen too."""
Crop = NDArray[np.uint8]
Look = tuple[float, float, float]
"""(seconds, likeness before, likeness after)."""


@dataclass(frozen=True)
class Moment:
    """One frame of a person, before and after."""

    title: str
    seconds: float
    before: Crop
    after: Crop
    likeness: tuple[float, float] | None
    face_px: float


@dataclass(frozen=True)
class Files:
    """A source and what was made of it; `start` is where the result begins in the source."""

    source: Path
    output: Path
    start: Fraction
    threads: int


def moments_of(plan: Plan, person: str, looks: Sequence[Look], files: Files) -> list[Moment]:
    """At most two moments, the best first; none where the files cannot be read again."""
    found = []
    for title, time_s, likeness in _chosen_times(plan, person, looks):
        try:
            moment = _read(plan, person, title, time_s, likeness, files)
        except VidrefError:
            continue  # a report without this picture is better than none
        if moment is not None:
            found.append(moment)
    return found


def _chosen_times(
    plan: Plan, person: str, looks: Sequence[Look]
) -> list[tuple[str, float, tuple[float, float] | None]]:
    """(title, time on the clip's clock, likeness before and after)."""
    if looks:
        best, worst = max(looks, key=lambda look: look[2]), min(looks, key=lambda look: look[2])
        chosen = [("Best moment", best), ("Worst moment", worst)]
        if worst[0] == best[0]:
            chosen = [("The moment looked at", best)]
        return [(title, look[0], (look[1], look[2])) for title, look in chosen]
    base = plan.source.time_base
    knots = [
        knot
        for track in plan.tracks_of(person)
        if plan.is_restored(track)
        for knot in track.path
        if track.shown_at(knot[0], base) == 1
    ]
    if not knots:
        return []
    large, small = max(knots, key=lambda knot: knot[3]), min(knots, key=lambda knot: knot[3])
    times = [("Largest", float(large[0] * base))]
    if small[0] != large[0]:
        times.append(("Smallest", float(small[0] * base)))
    return [(title, time_s, None) for title, time_s in times]


def _read(
    plan: Plan,
    person: str,
    title: str,
    time_s: float,
    likeness: tuple[float, float] | None,
    files: Files,
) -> Moment | None:
    if is_stills(files.source):
        number = round(time_s / float(plan.source.time_base))
        before = find_stills(files.source)[number]
        after = files.output / before.name if files.source.is_dir() else files.output
        one, other = (still.image for still in read_stills([before, after]))
        pts = number
    else:
        pair = _pair_at(files, time_s)
        if pair is None:
            return None
        one, other, pts = pair.before.image, pair.after, pair.before.pts
    track = _track_at(plan, person, pts)
    if track is None:
        return None
    placement = track.trajectory.at(pts)
    wide = type(placement)(placement.centre_xy, placement.size_px * AROUND, placement.angle)
    aspect = plan.source.pixel_aspect
    crops = [take_crop(upright_rgb(image, 0, aspect), wide, SIDE) for image in (one, other)]
    seconds = float((pts - plan.source.first_pts) * plan.source.time_base)
    return Moment(title, seconds, crops[0], crops[1], likeness, placement.size_px)


def _pair_at(files: Files, time_s: float) -> Pair | None:
    with Reader(files.source) as reader:
        half = 1 / reader.clip.picture.average_rate / 2
        start = max(Fraction(0), Fraction(time_s) - reader.origin - half)
    with Pairs(
        files.source, files.output, Stretch(start, None, files.start), files.threads
    ) as pairs:
        return next((item for item in pairs if isinstance(item, Pair)), None)


def _track_at(plan: Plan, person: str, pts: int) -> PlannedTrack | None:
    tracks: Any = (
        track for track in plan.tracks_of(person) if track.first_pts <= pts <= track.last_pts
    )
    return next((track for track in tracks if plan.is_restored(track)), None)
