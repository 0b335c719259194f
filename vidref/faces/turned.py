"""Heads that are turned too far: what is known of a face is how it looks from the front.

From there on a restored face is worse than what was there, above all where photographs of the
person are known: it looks out of the side of the head. Measured (tests/benchmarks/turned.py): from
30° to 40° a face degraded severely gains 0.32 of likeness and 0.2 dB, from 40° to 50° 0.23 and
loses 0.3 dB, and fronts are painted on profiles. The recogniser is blind there too: own cosines
are 0.4 from 30° and -0.05 from 40° on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vidref.faces.pose import turned_deg

TOO_FAR_DEG, BACK_DEG = 40.0, 34.0
"""A head is away from the one angle on, and back only below the other: so nothing flickers."""
FADE_S = 0.3
"""How long a restored face takes to fade out before its head is away, and in again."""

Span = tuple[int, int]


def is_turned_away(landmarks_xy: NDArray[np.floating]) -> bool:
    """Whether a single look at a face shows it too far from the side to be compared with others."""
    return abs(turned_deg(landmarks_xy)) > TOO_FAR_DEG


def spans_away(times_s: Sequence[float], turned: Sequence[float]) -> list[Span]:
    """First and last position of each stretch of a path in which the head is turned too far.

    `turned` is in degrees. Where there is no time to fade in and out again between two stretches,
    or between one and the path's end, they are one.
    """
    away: list[Span] = []
    inside = False
    for at, deg in enumerate(turned):
        begun, inside = inside, abs(deg) > (BACK_DEG if inside else TOO_FAR_DEG)
        if inside:
            away.append((away.pop()[0], at) if begun else (at, at))
    if not away:
        return []
    first, last = away[0][0], away[-1][1]
    if times_s[first] - times_s[0] < FADE_S:
        first = 0
    if times_s[-1] - times_s[last] < FADE_S:
        last = len(turned) - 1
    gaps = [
        (before[1], after[0])
        for before, after in pairwise(away)
        if times_s[after[0]] - times_s[before[1]] >= 2 * FADE_S
    ]
    edges = [first, *(at for gap in gaps for at in gap), last]
    return list(zip(edges[::2], edges[1::2], strict=True))


def share_shown(from_away_s: float) -> float:
    """How much of a restored face is shown so long before its head is away, or after it."""
    part = min(max(from_away_s / FADE_S, 0.0), 1.0)
    return part * part * (3 - 2 * part)
