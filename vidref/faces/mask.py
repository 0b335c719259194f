"""Where in its square a face is put back: a soft shape that never changes and so can't flicker.

The shape is fixed in the aligned square: whole from forehead to chin and over the ears, softly out
over the hair, zero before the square ends. It knows no picture; what covers the face is
`occlusion.py`'s matter.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import CROP_PX, TEMPLATE_512, Placement, to_frame

Plane = NDArray[np.float32]

# At 512 px. Measured on the 25 dev photographs with 68 landmarks: jaw from x 116 to 395 (deviation
# 27 and 31), chin at y 475 (7), brows at y 195; hair begins between y 20 and 130.
CENTRE = (256.0, 265.0)
WHOLE = (165.0, 200.0, 203.0)
NOTHING = (225.0, 250.0, 243.0)
"""Half width and heights (up, down) of the shapes within which all, beyond which nothing moves."""
ROUNDNESS = 2.4
SKIN_CENTRE, SKIN = (256.0, 300.0), (125.0, 160.0)


@lru_cache(maxsize=8)
def face_mask(crop_px: int = CROP_PX) -> Plane:
    """(crop_px, crop_px) in 0..1; read-only, for it is kept."""
    # Sampled twice as finely as asked and averaged, so that every size shows the same shape.
    place = (np.arange(2 * crop_px) + 0.5) * CROP_PX / (2 * crop_px) - 0.5
    inner, outer = _level(place, WHOLE), _level(place, NOTHING)
    way = np.clip((inner - 1) / np.maximum(inner - outer, 1e-9), 0, 1)
    soft = np.where(outer >= 1, 0, np.where(inner <= 1, 1, 1 - way * way * (3 - 2 * way)))
    mask: Plane = np.asarray(soft.reshape(crop_px, 2, crop_px, 2).mean((1, 3)), np.float32)
    mask.flags.writeable = False
    return mask


@lru_cache(maxsize=2)
def features(crop_px: int) -> Plane:
    """1 at the eyes and the mouth, softly down to 0 around them."""
    left_eye, right_eye, _, *mouth = (TEMPLATE_512 + 0.5) * crop_px / CROP_PX - 0.5
    y, x = np.mgrid[:crop_px, :crop_px]
    bumps = [
        np.exp(-(((x - centre[0]) / wide) ** 2 + ((y - centre[1]) / high) ** 2) / 2)
        for centre, wide, high in (
            (left_eye, 44 * crop_px / CROP_PX, 32 * crop_px / CROP_PX),
            (right_eye, 44 * crop_px / CROP_PX, 32 * crop_px / CROP_PX),
            (np.mean(mouth, axis=0), 72 * crop_px / CROP_PX, 36 * crop_px / CROP_PX),
        )
    ]
    plane: Plane = np.asarray(np.max(bumps, axis=0), np.float32)
    plane.flags.writeable = False
    return plane


@lru_cache(maxsize=2)
def skin(crop_px: int) -> Plane:
    """1 on cheeks, nose and the lower forehead, softly down to 0 at features and outline."""
    place = (np.arange(crop_px) + 0.5) * CROP_PX / crop_px - 0.5
    across, along = (place - SKIN_CENTRE[0]) / SKIN[0], (place - SKIN_CENTRE[1]) / SKIN[1]
    inside = np.clip(3 - 3 * (across[None] ** 2 + along[:, None] ** 2), 0, 1)
    plane: Plane = np.asarray(inside * (1 - features(crop_px)), np.float32)
    plane.flags.writeable = False
    return plane


def _level(place: NDArray[np.float64], reach: tuple[float, float, float]) -> NDArray[np.float64]:
    """Below 1 inside the shape of this reach, 1 on its outline."""
    across = np.abs(place - CENTRE[0]) / reach[0]
    along = place - CENTRE[1]
    along = np.abs(along) / np.where(along < 0, reach[1], reach[2])
    summed = across[None] ** ROUNDNESS + along[:, None] ** ROUNDNESS
    return np.asarray(summed ** (1 / ROUNDNESS))


def region_of(placement: Placement, frame_size_px: tuple[int, int]) -> tuple[int, int, int, int]:
    """The frame's pixels (left, top, right, bottom; the last two outside) that the mask can reach.

    Empty (right <= left or bottom <= top) for a square that lies outside the frame.
    """
    left, right = CENTRE[0] - NOTHING[0], CENTRE[0] + NOTHING[0]
    top, bottom = CENTRE[1] - NOTHING[1], CENTRE[1] + NOTHING[2]
    corners = np.array([[left, top], [right, top], [left, bottom], [right, bottom]])
    matrix = to_frame(placement)
    found = corners @ matrix[:, :2].T + matrix[:, 2]
    low, high = np.floor(found.min(0)).astype(int) - 1, np.ceil(found.max(0)).astype(int) + 2
    width, height = frame_size_px
    return max(0, int(low[0])), max(0, int(low[1])), min(width, high[0]), min(height, high[1])


def inside_frame(placement: Placement, frame_size_px: tuple[int, int], crop_px: int) -> Plane:
    """1 where a crop of `crop_px` shows the frame, 0 where it repeats the frame's edge."""
    matrix = to_frame(placement, crop_px)
    place = np.arange(crop_px)
    x = matrix[0, 0] * place[None] + matrix[0, 1] * place[:, None] + matrix[0, 2]
    y = matrix[1, 0] * place[None] + matrix[1, 1] * place[:, None] + matrix[1, 2]
    width, height = frame_size_px
    shown = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    return np.asarray(shown, np.float32)
