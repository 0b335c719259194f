"""What a codec has left of a face and what it has added: steps on its grid, flats, lost waves.

All is taken from the middle of the face at its own size, because the grid is the picture's. A
frame that was coded and then coded again by a finer hand still shows the coarser one's marks.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.regions import Region

REACH_PX = 112
GRID_PX = 8
STEEPEST = 12
"""Steps larger than this are contours of the face and not edges of blocks."""
GONE = 0.6
"""A wave weaker than this was rounded away."""
ALONG = np.arange(GRID_PX)
COSINES = np.sqrt(2 / GRID_PX) * np.cos((2 * ALONG + 1) * ALONG[:, None] * np.pi / (2 * GRID_PX))
COSINES[0] /= np.sqrt(2)
COSINES = COSINES.astype(np.float32)
FINENESS = ALONG[:, None] + ALONG
OCTAVES = tuple(
    (low <= FINENESS) & (high >= FINENESS) for low, high in ((1, 2), (3, 5), (6, 8), (9, 14))
)

Grey = NDArray[np.float32]


def marks(region: Region) -> list[float]:
    """The numbers of one face, always as many."""
    part, corner = region.middle(REACH_PX)
    return _steps_on_grid(part, corner) + _flats(part) + _waves(part, corner)


def _steps_on_grid(part: NDArray[np.uint8], corner: tuple[int, int]) -> list[float]:
    """How much steps stand out on the picture's grid of eight, and on the best such grid."""
    on_frame, best = [], []
    for axis, start in ((1, corner[0]), (0, corner[1])):
        turned = part if axis else np.ascontiguousarray(part.T)
        if turned.shape[1] <= 3 * GRID_PX:
            on_frame.append(0.0)
            best.append(0.0)
            continue
        steps = np.minimum(cv2.absdiff(turned[:, 1:], turned[:, :-1]), STEEPEST)
        profile = steps.mean(0)
        stands_out = profile[1:-1] - (profile[:-2] + profile[2:]) / 2
        phase = (np.arange(len(stands_out)) + start + 2) % GRID_PX
        by_phase = np.bincount(phase, stands_out, GRID_PX) / np.bincount(phase, minlength=GRID_PX)
        usual = float(profile.mean()) + 0.3
        on_frame.append(float(by_phase[0]) / usual)
        best.append(float(by_phase.max()) / usual)
    return [float(np.mean(on_frame)), float(np.mean(best))]


def _flats(part: NDArray[np.uint8]) -> list[float]:
    """The shares of neighbours that are equal, all but equal, and near, across and down."""
    numbers: list[float] = []
    for one, other in ((part[:, 1:], part[:, :-1]), (part[1:], part[:-1])):
        if one.size == 0:
            numbers += [0.0] * 3
            continue
        steps = cv2.absdiff(np.ascontiguousarray(one), np.ascontiguousarray(other))
        shares = np.bincount(steps.ravel(), minlength=4) / steps.size
        numbers += [float(shares[:most].sum()) for most in (1, 2, 4)]
    return numbers


def _waves(part: NDArray[np.uint8], corner: tuple[int, int]) -> list[float]:
    """How strong the waves of blocks are, and how many are gone: on the grid, and how that differs
    from blocks half a grid away. What was quantised is weaker on the grid than off it."""
    across, down = ((-start) % GRID_PX for start in corner)
    half = GRID_PX // 2
    on = _strengths(part[down:, across:])
    off = _strengths(part[(down + half) % GRID_PX :, (across + half) % GRID_PX :])
    if on is None or off is None:
        return [0.0] * 4 * len(OCTAVES)
    return on + [a - b for a, b in zip(on, off, strict=True)]


def _strengths(part: NDArray[np.uint8]) -> list[float] | None:
    rows, columns = (length // GRID_PX for length in part.shape)
    if rows == 0 or columns == 0:
        return None
    lines = part[: rows * GRID_PX, : columns * GRID_PX].astype(np.float32).reshape(-1, GRID_PX)
    across = (lines @ COSINES.T).reshape(rows, GRID_PX, columns, GRID_PX).transpose(0, 2, 3, 1)
    strengths = np.abs(across.reshape(-1, GRID_PX) @ COSINES.T).reshape(-1, GRID_PX, GRID_PX)
    numbers: list[float] = []
    for octave in OCTAVES:
        waves = strengths[:, octave]
        numbers += [float(np.log(waves + 0.1).mean()), float((waves < GONE).mean())]
    return numbers
