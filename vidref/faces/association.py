"""Which of the faces found now is which of the faces followed: overlap, and likeness if known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement

Costs = NDArray[np.float64]

IMPOSSIBLE = 1e6
REACH = 0.5
"""How far, in face sizes, a face may be from where it is expected, besides what is uncertain."""
MOST_GROWTH = math.log(1.8)
MOST_TURN = math.radians(60)
MOST_LEANING = math.radians(75)
"""A face that leans more is one turned away, whose points the detector has guessed."""
"""Landmarks that turn a face further at once, or a new face further from upright, are mistaken:
a detector that sees the back of a head puts the eyes anywhere."""
LIKENESS_COUNTS = 1.5
"""How much a cosine of 1 instead of 0 counts beside a whole overlap."""
UNKNOWN_LIKENESS = 0.45
STRAYED = 0.12
"""Of a face's size, log size, or radians."""
CLEARLY_CHEAPER = 0.5
SAME_FACE = 0.55
"""Overlap of two squares found in one frame from which they are one face found twice."""


def overlap(one: Placement, other: Placement) -> float:
    """Intersection over union of two squares, taken as upright."""
    shared = 1.0
    for a, b in zip(one.centre_xy, other.centre_xy, strict=True):
        low = max(a - one.size_px / 2, b - other.size_px / 2)
        high = min(a + one.size_px / 2, b + other.size_px / 2)
        shared *= max(high - low, 0.0)
    return shared / max(one.size_px**2 + other.size_px**2 - shared, 1e-9)


def apart(one: Placement, other: Placement) -> float:
    """Distance of two squares' centres in shares of their mean size."""
    return math.dist(one.centre_xy, other.centre_xy) / math.sqrt(one.size_px * other.size_px)


def strays(place: Placement, window: Placement) -> bool:
    """Has a face moved, grown or turned too much for the window in which it was?"""
    moved = apart(place, window) > STRAYED
    grown = abs(math.log(place.size_px / window.size_px)) > STRAYED
    return moved or grown or abs(math.remainder(place.angle - window.angle, math.tau)) > STRAYED


def cost(expected: Placement, spread: float, found: Placement, likeness: float | None) -> float:
    """What it costs to say that a face expected here is the one found there."""
    distance = apart(expected, found)
    growth = abs(math.log(found.size_px / expected.size_px))
    turn = abs(math.remainder(found.angle - expected.angle, math.tau))
    if distance > REACH + 3 * spread or growth > MOST_GROWTH + spread or turn > MOST_TURN:
        return IMPOSSIBLE
    if abs(math.remainder(found.angle, math.tau)) > MOST_LEANING:
        return IMPOSSIBLE
    known = UNKNOWN_LIKENESS if likeness is None else likeness
    return 1 - overlap(expected, found) + 0.2 * distance + LIKENESS_COUNTS * (1 - known)


def assign(costs: Costs) -> list[tuple[int, int]]:
    """The cheapest pairs (row, column), none impossible."""
    if not costs.size:
        return []  # before scipy is imported: a clip without faces never needs it
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(costs)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if costs[row, column] < IMPOSSIBLE]


def ambiguous(costs: Costs) -> list[int]:
    """Columns whose face could nearly as well be another row's, or whose row another column's."""
    found = []
    for row, column in assign(costs):
        rivals = np.concatenate([np.delete(costs[:, column], row), np.delete(costs[row], column)])
        rivals = rivals[rivals < IMPOSSIBLE]
        if rivals.size and rivals.min() < costs[row, column] + CLEARLY_CHEAPER:
            found.append(column)
            near = np.flatnonzero(costs[row] < costs[row, column] + CLEARLY_CHEAPER)
            found += near.tolist()
    return sorted(set(found))


def distinct(placements: Sequence[Placement], scores: Sequence[float]) -> list[int]:
    """Indices of the faces that are not a better one found twice, in their order."""
    kept: list[int] = []
    for index in sorted(range(len(scores)), key=lambda i: -scores[i]):
        if all(overlap(placements[index], placements[other]) < SAME_FACE for other in kept):
            kept.append(index)
    return sorted(kept)
