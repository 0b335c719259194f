"""What of the frame's own finest band stays in a restored face: detail of large faces, and grain.

A model of 512 px says nothing about what is finer than its pixels, so a larger face keeps its own
detail there. And a face without the grain of the film around it looks like a sticker. Both live in
the finest band of the frame itself; what rises above the noise in it is structure, the rest is
noise. Reusing the film's own noise keeps it moving, and ending, exactly as the film's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vidref.faces.colour_match import Plane, blur

GRAIN_BAND = 1.5
"""Deviation in frame pixels of the blur that grain is finer than."""
NO_GRAIN, GRAIN = 0.7 / 255, 1.5 / 255
"""Noise below the first is a codec's rounding; from the second on it is put back in full."""
WILDEST = 3.0
"""Grain is cut at so many deviations: dust and scratches are not grain."""
STANDS_OUT = 4.0
"""Local energy over the noise's from which a place is taken for structure for the most part."""
LEAST_FLOOR = 1 / 255
QUIET, QUIET_BIAS = 0.25, 1.08
"""The quantile of the local energies that is taken for noise, and what it falls short by."""
BLACK, WHITE = 0.06, 0.94
BLOCK_PX = 8


def own_structure(fine: Plane, crop_pixel_px: float, grey: Plane) -> Plane:
    """The part of `fine` (the frame less the model's input) that is a large face's own detail.

    Both are luma: that fine, films hold no colour. `crop_pixel_px` is the size of the model's pixel
    in the frame: below 1 there is nothing finer than the model, and the hand-over is smooth. `grey`
    is the frame, searched for blocks. `fine` itself becomes what is returned.
    """
    energy = local_energy(fine)
    floor = max(noise_level(energy, grey), block_step(grey), LEAST_FLOOR)
    share = structure_share(energy, floor)
    share *= np.float32(hand_over(crop_pixel_px))
    fine *= _spread(share, fine)
    return fine


def hand_over(crop_pixel_px: float) -> float:
    """0 for faces up to 448 px in a model of 512 px, 1 from 640 px on."""
    way = min(1.0, max(0.0, (crop_pixel_px - 0.875) / (1.25 - 0.875)))
    return way * way * (3 - 2 * way)


def own_grain(grey: Plane, rebuilt: Plane) -> Plane | None:
    """The noise of the frame to add to a rebuilt face that lacks it; None in a clean picture.

    All of it is luma.
    """
    fine = grey - blur(grey, GRAIN_BAND)
    energy = local_energy(fine)
    level = noise_level(energy, grey)
    share = min(1.0, max(0.0, (level - NO_GRAIN) / (GRAIN - NO_GRAIN)))
    if share == 0:
        return None
    high, wide = grey.shape
    middle = (slice(high // 4, high - high // 4), slice(wide // 4, wide - wide // 4))
    part = rebuilt[middle]  # the face itself says enough, in a quarter of the time
    there = noise_level(local_energy(part - blur(part, GRAIN_BAND)), grey[middle])
    lacking = np.float32(share * math.sqrt(1 - min(1.0, there / level) ** 2))
    np.clip(fine, -WILDEST * level, WILDEST * level, out=fine)
    fine *= _spread((1 - structure_share(energy, level)) * lacking, fine)
    return fine


def local_energy(fine: Plane) -> Plane:
    """The mean square of a fine band in the 9 px around every third pixel, each way.

    It changes no faster than that, and a ninth of the places costs a ninth.
    """
    import cv2

    high, wide = fine.shape
    squares = cv2.multiply(fine, fine)
    squares = cv2.copyMakeBorder(squares, 0, -high % 3, 0, -wide % 3, cv2.BORDER_REPLICATE)
    size = (squares.shape[1] // 3, squares.shape[0] // 3)
    thirds = cv2.resize(squares, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(thirds, (3, 3)))


def _spread(thirds: Plane, like: Plane) -> Plane:
    """What was found at every third pixel for all pixels of a plane."""
    import cv2

    high, wide = like.shape
    size = (thirds.shape[1] * 3, thirds.shape[0] * 3)
    return np.asarray(cv2.resize(thirds, size, interpolation=cv2.INTER_LINEAR)[:high, :wide])


def noise_level(energy: Plane, grey: Plane) -> float:
    """Deviation of the noise: that of the quieter places, where nothing but noise is.

    `energy` is `local_energy`'s. Black and white are left out: what is cut off has no noise.
    """
    some = grey[::3, ::3]
    quiet = energy[(some > BLACK) & (some < WHITE)]
    if not quiet.size:
        return 0.0
    place = QUIET * (quiet.size - 1)
    low, high = math.floor(place), math.ceil(place)
    quiet.partition((low, high))  # a fifth of np.quantile's time
    level = float(quiet[low]) + (place - low) * (float(quiet[high]) - float(quiet[low]))
    return QUIET_BIAS * math.sqrt(max(level, 0.0))


def structure_share(energy: Plane, level: float) -> Plane:
    """0 where a fine band has no more energy than noise of this level, towards 1 where it has."""
    over: Plane = energy * np.float32(1 / (level * level))
    over -= 1
    np.maximum(over, 0, out=over)
    over /= over + np.float32(STANDS_OUT - 1)
    return over


def block_step(grey: Plane) -> float:
    """How much more the picture jumps on a codec's grid, wherever it begins, than off it."""
    import cv2

    across = cv2.reduce(cv2.absdiff(grey[:, 1:], grey[:, :-1]), 0, cv2.REDUCE_AVG)
    down = cv2.reduce(cv2.absdiff(grey[1:], grey[:-1]), 1, cv2.REDUCE_AVG)
    return max(_on_grid(np.ravel(across)), _on_grid(np.ravel(down)))


def _on_grid(jumps: NDArray[np.float32]) -> float:
    whole = len(jumps) // BLOCK_PX * BLOCK_PX
    if whole < 4 * BLOCK_PX:
        return 0.0
    by_phase = jumps[:whole].reshape(-1, BLOCK_PX).mean(0)
    return float(by_phase.max() - np.median(by_phase))
