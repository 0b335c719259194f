"""Boxes against boxes: how much they overlap, and which of many are the same face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]


def overlaps(one: Boxes, many: Boxes) -> NDArray[np.float32]:
    """Intersection over union of one box xyxy (4,) with many (n, 4)."""
    low = np.maximum(one[:2], many[:, :2])
    high = np.minimum(one[2:], many[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (many[:, 2:] - many[:, :2]).prod(1)
    whole = (one[2:] - one[:2]).prod() + areas - shared
    result: NDArray[np.float32] = (shared / np.maximum(whole, 1e-6)).astype(np.float32)
    return result


def suppress(boxes: Boxes, scores: NDArray[np.float32], limit: float) -> list[int]:
    """Greedy non-maximum suppression: indices to keep, best first."""
    order = np.argsort(-scores)
    kept: list[int] = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(int(best))
        order = rest[overlaps(boxes[best], boxes[rest]) <= limit]
    return kept


def match(found: Boxes, scores: NDArray[np.float32], true: Boxes, least: float) -> list[int]:
    """For each found box the true box that it claims, or -1; the best score claims first."""
    claims = [-1] * len(found)
    free = np.ones(len(true), bool)
    for index in np.argsort(-scores):
        if not free.any():
            break
        shared = np.where(free, overlaps(found[index], true), 0.0)
        best = int(shared.argmax())
        if shared[best] >= least:
            claims[index] = best
            free[best] = False
    return claims
