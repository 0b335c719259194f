"""A person's evidence: which of their own views, and which of their photos, the model will see.

Self-references are the best tenth of what the clip shows of them and what is as good, with open
eyes, spread by farthest-point order over time, pose and look, never two of one moment and never the
same picture twice. Photos join by the same measure: each counts by its quality and by how much it
looks like the face in the clip.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vidref.faces.candidates import Candidate, Candidates, best_share, likeness_of_stamps, together
from vidref.faces.likeness import Likeness, legible
from vidref.faces.photos import Photo

WANTED = 5
BEST_SHARE = 0.1
NEAR_BEST = 0.75
"""A view worse than this share of the best one would blur what the best one shows."""
NEAR_SHARPEST = 0.93
"""So would one with less than this share of the detail that the sharpest has; how it is turned or
lit may differ more. It keeps a short clip from filling up with its least spoilt views."""
AS_FINE = 0.85
"""And one with less than this share of the finest sharpness: blur hides the codec's marks, and what
it takes is not made good by that."""
AS_GOOD = 0.95
"""What scores this share of the best view is as good, though it may not be in the best tenth: a
short clip of even quality has more to show than one moment."""
OUTLINE, OUTLINE_DEG = 0.25, (15.0, 30.0)
"""The outline of a turned face passes for detail: of two people before a white wall what was left
rose from 0.67 to 0.85 as they turned away."""
OPEN = 0.6
"""A view with less than this share of how open the person's eyes usually are shows them shut."""
USUAL = 0.75
"""The quantile of a person's views that tells how open their eyes usually are."""
APART_S = 0.5
"""Views nearer in time than this are one moment."""
SAME_PICTURE = 0.985
"""Correlation of stamps from which two views are one picture: tests/benchmarks/references.py."""
FAR_S, FAR_DEG, FAR_LOOK = 5.0, 25.0, 0.2
"""Distances in time, pose and look (1 - correlation) that count as much as one another."""
LEAST_WEIGHT = 0.05


@dataclass(frozen=True)
class SelfReference:
    """A view of the clip itself; `weight` is how much it counts, at most 1."""

    view: Candidate
    weight: float


@dataclass(frozen=True)
class PhotoReference:
    """One of the user's photos; `weight` is how much it counts, at most 1."""

    photo: Photo
    weight: float


def choose_self_references(
    parts: Sequence[Candidates],
    wanted: int = WANTED,
    looks_like: NDArray[np.float32] | None = None,
    agrees: float = 0.0,
) -> list[Candidate]:
    """Views of all tracks of a person, the best first; fewer where the clip holds fewer.

    With `looks_like` (the person's mean embedding) a view whose own embedding is less like it than
    `agrees` is left out: a hand before the face, or another person's face in the wrong track.
    """
    views, seen = together(parts)
    views = open_eyed(views)
    least = least_score(views, seen)
    fit = [view for view in views if view.quality.score >= least]
    sharpest = max((view.quality.detail * _less_outline(view) for view in fit), default=0.0)
    fit = [view for view in fit if view.quality.detail >= NEAR_SHARPEST * sharpest]
    finest = max((view.quality.sharpness * _less_outline(view) for view in fit), default=0.0)
    fit = [view for view in fit if view.quality.sharpness >= AS_FINE * finest]
    if looks_like is not None:
        fit = [v for v in fit if v.embedding is None or float(v.embedding @ looks_like) >= agrees]
    chosen: list[Candidate] = []
    nearest = np.full(len(fit), np.inf)
    while fit and len(chosen) < wanted:
        # The first is the best; then the worth of a view is its quality times how new it is.
        worth = [
            _frontal_worth(view) * (1.0 if np.isinf(far) else min(far, 3.0))
            for view, far in zip(fit, nearest, strict=True)
        ]
        best = fit[int(np.argmax(worth))]
        chosen.append(best)
        left = [(v, f) for v, f in zip(fit, nearest, strict=True) if not _same_view(v, best)]
        fit = [view for view, _ in left]
        nearest = np.array([min(far, _distance(view, best)) for view, far in left])
    return chosen


def least_score(views: Sequence[Candidate], seen: NDArray[np.int64]) -> float:
    """What a view must score: with the best tenth of all `seen`, or as good as the best."""
    top = max((view.quality.score for view in views), default=0.0)
    best_frontal = max((_frontal_worth(view) for view in views), default=0.0)
    return min(max(best_share(seen, BEST_SHARE), NEAR_BEST * top), AS_GOOD * best_frontal)


def open_eyed(views: Sequence[Candidate]) -> list[Candidate]:
    """Without those that show the eyes shut, as this person's eyes go."""
    if not views:
        return []
    usual = float(np.quantile([view.quality.eyes for view in views], USUAL))
    return [view for view in views if view.quality.eyes >= OPEN * usual]


def _frontal_worth(view: Candidate) -> float:
    return view.quality.score * _less_outline(view)


def _less_outline(view: Candidate) -> float:
    """What is left of a turned view's score without what its outline adds."""
    turned = float(np.hypot(view.quality.yaw_deg, view.quality.pitch_deg))
    share = float(np.clip((turned - OUTLINE_DEG[0]) / (OUTLINE_DEG[1] - OUTLINE_DEG[0]), 0, 1))
    return 1 / (1 + OUTLINE * share)


def weigh(
    own: Sequence[Candidate],
    photos: Sequence[Photo],
    face: NDArray[np.float32],
    likeness: Likeness,
    wanted: int = WANTED,
) -> list[SelfReference | PhotoReference]:
    """The final references of a person, the weightiest first: quality times agreement.

    `face` is the person's mean embedding. Photos and views compete on one scale, so a sharp photo
    beats a blurred frame and a poor photo does not; weights are relative to the best. Views far
    poorer than a photo are left out: a damaged face is most like the clip's own damaged frames, so
    the restorer would look at them alone and give back the damage. And where the face can't be
    read its likeness says nothing: there photos count by their quality.
    """
    heard = legible(max((view.quality.score for view in own), default=0.0))

    def rated(item: Candidate | Photo) -> float:
        if item.embedding is None:
            return item.quality.score
        alike = float(item.embedding @ face)
        doubt = 1 - likeness.certainty(alike, likeness.agrees)
        return item.quality.score * (1 - heard * doubt)

    best_photo = max((rated(photo) for photo in photos), default=0.0)
    near = [view for view in own if rated(view) >= NEAR_BEST * best_photo]
    everything: list[Candidate | Photo] = [*near, *photos]
    best = sorted(everything, key=rated, reverse=True)[:wanted]
    top = max((rated(item) for item in best), default=1.0)
    references: list[SelfReference | PhotoReference] = []
    for item in best:
        weight = max(LEAST_WEIGHT, rated(item) / max(top, 1e-9))
        if isinstance(item, Photo):
            references.append(PhotoReference(item, weight))
        else:
            references.append(SelfReference(item, weight))
    return references


def _same_view(one: Candidate, other: Candidate) -> bool:
    if abs(one.time_s - other.time_s) < APART_S:
        return True
    return likeness_of_stamps(one.stamp, other.stamp) >= SAME_PICTURE


def _distance(one: Candidate, other: Candidate) -> float:
    turn = one.quality.yaw_deg - other.quality.yaw_deg
    nod = one.quality.pitch_deg - other.quality.pitch_deg
    return float(
        np.sqrt(
            min(1.0, abs(one.time_s - other.time_s) / FAR_S) ** 2
            + (turn**2 + nod**2) / FAR_DEG**2
            + min(1.0, (1 - likeness_of_stamps(one.stamp, other.stamp)) / FAR_LOOK) ** 2
        )
    )
