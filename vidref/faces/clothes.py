"""What someone wears, as far as it tells people of one clip apart: no recogniser knows of it.

The colours below a face are counted relative to the face's own colour, so that neither the light's
strength nor its tint counts. Clothes never say who somebody is; `people.py` asks them only about
two faces that may be one person anyway.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement, take_crop

Clothes = NDArray[np.float32]
"""Shares of colours, of sum one."""

ALIKE = 0.66
"""Overlap from which two wear the same. Of 44 pairs of people in one picture, who are often dressed
for one occasion, one in twenty reaches it, of 4,000 in different pictures one in twenty-two
(tests/benchmarks/real_shots.py --clothes)."""
TOLD_APART = 0.15
"""How much less alike than that anyone else's must be, or it is what people wear here."""
HALF_ACROSS, BELOW = 0.8, (0.5, 1.7)
"""Where the chest is: in sides of the face's square, from its middle."""
CHEST_PX = (64, 48)
LEAST_SHOWN = 0.5
SKIN_SHARE, SKIN_PX = 0.45, 16
"""The middle of a face has its skin's colour."""
LEVELS = ((12, -4.0, 2.0), (8, -1.2, 1.2), (8, -1.2, 1.2))
"""Steps and range of lightness, red and blue against green, in octaves."""
DARK = 6.0
"""Added to levels of 255, so that what is dark anyway is all alike."""


def clothes_of(rgb: NDArray[np.uint8], placement: Placement) -> Clothes | None:
    """What is worn below a face; None where too little of it is in the picture."""
    chest, inside = _chest(rgb, placement)
    if inside.mean() < LEAST_SHOWN:
        return None
    counted = _softened(_colours(chest[inside], _skin(rgb, placement)))
    return np.asarray(counted / counted.sum(), np.float32)


def mean_clothes(views: Sequence[Clothes]) -> Clothes:
    """The same clothes at several moments: a hand before them counts little."""
    return np.asarray(np.mean(views, axis=0), np.float32)


def clothes_alike(one: Clothes, other: Clothes) -> float:
    """0 to 1: the share of colours that two have in common."""
    return float(np.minimum(one, other).sum())


def _chest(
    rgb: NDArray[np.uint8], placement: Placement
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The chest of someone upright, reduced, and which of its pixels are in the picture."""
    import cv2

    (x, y), side = placement.centre_xy, placement.size_px
    width, height = CHEST_PX
    scale = np.array([2 * HALF_ACROSS * side / width, (BELOW[1] - BELOW[0]) * side / height])
    left, top = x - HALF_ACROSS * side, y + BELOW[0] * side
    back = np.array([[scale[0], 0, left], [0, scale[1], top]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    coarse = max(1, int(scale[0]))
    low = np.clip([left - coarse, top - coarse], 0, None).astype(int)
    part = rgb[low[1] : int(max(top + BELOW[1] * side, 0)) + 1, low[0] : int(max(x + side, 0)) + 1]
    if not part.size:
        return np.zeros((height, width, 3), np.uint8), np.zeros((height, width), bool)
    back[:, 2] -= low
    chest = cv2.warpAffine(cv2.blur(part, (coarse, coarse)), back, CHEST_PX, flags=how)
    inside = cv2.warpAffine(np.ones(part.shape[:2], np.uint8), back, CHEST_PX, flags=how)
    return np.asarray(chest, np.uint8), np.asarray(inside, bool)


def _skin(rgb: NDArray[np.uint8], placement: Placement) -> NDArray[np.float64]:
    middle = Placement(placement.centre_xy, SKIN_SHARE * placement.size_px, placement.angle)
    return np.asarray(np.median(take_crop(rgb, middle, SKIN_PX).reshape(-1, 3), axis=0))


def _colours(pixels: NDArray[np.uint8], skin: NDArray[np.float64]) -> NDArray[np.float64]:
    octaves = np.log2((pixels + DARK) / (skin + DARK))
    values = np.column_stack(
        [octaves.mean(1), octaves[:, 0] - octaves[:, 1], octaves[:, 2] - octaves[:, 1]]
    )
    ranges = [(low, high) for _, low, high in LEVELS]
    edge = 1e-6
    values = np.clip(values, [low for low, _ in ranges], [high - edge for _, high in ranges])
    steps = [steps for steps, _, _ in LEVELS]
    return np.asarray(np.histogramdd(values, bins=steps, range=ranges)[0], np.float64)


def _softened(counted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each colour also counts a little for its neighbours, so that no step's edge decides."""
    for axis in range(counted.ndim):
        pad = [(int(k == axis),) * 2 for k in range(counted.ndim)]
        wide = np.moveaxis(np.pad(counted, pad, mode="edge"), axis, 0)
        counted = np.moveaxis((wide[:-2] + 2 * wide[1:-1] + wide[2:]) / 4, 0, axis)
    return counted
