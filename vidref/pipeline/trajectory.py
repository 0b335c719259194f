"""A face's way through the frame as a few knots, and back: small in a file, and exact enough.

A knot is (pts, x, y, size_px, turn_deg). Between knots each number follows a cubic whose slope at a
knot is that of the parabola through it and its neighbours, so smooth motion needs few of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement

TOLERANCE = 0.0015
"""How far a corner of the square may stray, as a share of its side: 0.8 px of a 512 px crop."""

Knot = tuple[int, float, float, float, float]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Trajectory:
    """Knots in the order of time; a single one is a face that is seen in one frame."""

    knots: tuple[Knot, ...]

    @property
    def first_pts(self) -> int:
        return self.knots[0][0]

    @property
    def last_pts(self) -> int:
        return self.knots[-1][0]

    def at(self, pts: int) -> Placement:
        """Where the face is at a moment between the first and the last knot."""
        x, y, size, turn = self.values_at(np.array([pts]))[0]
        return Placement((float(x), float(y)), float(size), math.radians(turn))

    def values_at(self, pts: NDArray[np.int64]) -> Values:
        """(x, y, size_px, turn_deg) at each of the moments, (n, 4)."""
        times, values, slopes = self._table
        if len(times) == 1:
            return np.repeat(values, len(pts), axis=0)
        right = np.clip(np.searchsorted(times, pts, side="right"), 1, len(times) - 1)
        left = right - 1
        span = (times[right] - times[left])[:, None].astype(np.float64)
        t = (pts - times[left])[:, None] / span
        step = values[right] - values[left]
        rise, fall = slopes[left] * span, slopes[right] * span
        return values[left] + t * (  # Hermite's cubic, by Horner
            rise + t * (3 * step - 2 * rise - fall + t * (rise + fall - 2 * step))
        )

    @cached_property
    def _table(self) -> tuple[NDArray[np.int64], Values, Values]:
        times = np.array([knot[0] for knot in self.knots], np.int64)
        values = np.array([knot[1:] for knot in self.knots], np.float64)
        return times, values, _slopes(times, values)


def sparse(
    pts: Sequence[int], placements: Sequence[Placement], tolerance: float = TOLERANCE
) -> Trajectory:
    """The trajectory through some of the placements that comes near enough to all of them."""
    times = np.array(pts, np.int64)
    true = np.array([(*p.centre_xy, p.size_px, p.angle) for p in placements], np.float64)
    true[:, 3] = np.degrees(np.unwrap(true[:, 3]))
    rounded = _rounded(true)
    chosen = sorted({0, len(times) - 1})
    while True:
        found = _through(chosen, times, rounded)
        errors = straying(found.values_at(times), true)
        worst = _worst_between(chosen, errors, tolerance)
        if not worst:
            return found
        chosen = sorted({*chosen, *worst})


def straying(found: Values, true: Values) -> Values:
    """At most how far any corner of the squares lies from its place, as a share of the side."""
    off = found - true
    shift = np.hypot(off[:, 0], off[:, 1])
    corner = true[:, 2] / math.sqrt(2)
    grown = np.abs(off[:, 2]) / math.sqrt(2)
    return np.asarray((shift + grown + corner * np.abs(np.radians(off[:, 3]))) / true[:, 2])


def _worst_between(chosen: list[int], errors: Values, tolerance: float) -> list[int]:
    """In each stretch between knots that strays too far, the frame that strays most."""
    worst = []
    for left, right in pairwise(chosen):
        inside = errors[left + 1 : right]
        if inside.size and inside.max() > tolerance:
            worst.append(left + 1 + int(inside.argmax()))
    return worst


def _through(chosen: list[int], times: NDArray[np.int64], values: Values) -> Trajectory:
    return Trajectory(
        tuple((int(times[i]), *(float(v) for v in values[i])) for i in chosen)  # type: ignore[misc]
    )


def _rounded(values: Values) -> Values:
    """Digits that a face of this size needs, and none beyond."""
    digits = 1 if values[:, 2].min() > 400 else 2
    return np.column_stack([np.round(values[:, :3], digits), np.round(values[:, 3], 2)])


def _slopes(times: NDArray[np.int64], values: Values) -> Values:
    """The slope at each knot of the parabola through it and its neighbours."""
    if len(times) < 3:
        step = np.diff(values, axis=0) / np.diff(times)[:, None] if len(times) == 2 else 0.0
        return np.zeros_like(values) + step
    spans = np.diff(times)[:, None].astype(np.float64)
    steps = np.diff(values, axis=0) / spans
    slopes = np.empty_like(values)
    before, after = spans[:-1], spans[1:]
    slopes[1:-1] = (steps[:-1] * after + steps[1:] * before) / (before + after)
    slopes[0] = 2 * steps[0] - slopes[1]
    slopes[-1] = 2 * steps[-1] - slopes[-2]
    return slopes
