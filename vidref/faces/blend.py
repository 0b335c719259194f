"""A restored crop back into its frame: only the face, in the input's colours, under what hides it.

    thumbnails   what covers the face, and the colour match (64 px: blind to noise)
    crop         the change, brought to the size that the face has in the frame
    frame        the large face's own detail and the film's own grain

Pure functions of pictures. Nothing is remembered from frame to frame, and every weight follows from
the aligned square and from low frequencies, so that blending itself cannot flicker.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.faces.colour_match import (
    THUMB_PX,
    Picture,
    Plane,
    as_float,
    as_grey,
    blur,
    colour_change,
    luma,
    sixteen_bits,
    thumbnail,
    tint_of,
    tinted,
)
from vidref.faces.geometry import MOST_REDUCED, Placement, to_frame
from vidref.faces.mask import face_mask, inside_frame, region_of
from vidref.faces.occlusion import occluded
from vidref.faces.own_detail import own_grain, own_structure


@dataclass(frozen=True)
class Placed:
    """A region of the frame with its face rebuilt: `rgb` uint16 over 0..65535 whatever the source
    was, so that nothing is rounded twice, and `mask` 0..1, 0 where nothing may move, which is
    everywhere outside the `window` (rows, columns).
    """

    rgb: NDArray[np.uint16]
    mask: Plane
    window: tuple[slice, slice]


def place_back(
    region: NDArray[Any],
    crop: NDArray[Any],
    restored: NDArray[Any],
    placement: Placement,
    strength: float = 1.0,
    grain: float = 1.0,
    thumb: Picture | None = None,
) -> Placed:
    """The restored square put back into `region`, of which `crop` was taken at `placement`.

    `region` holds the square as far as the frame does; `placement` is in its pixels. Pictures are
    whole numbers over their type's span or floats in 0..1. `grain` is the share of the frame's own
    noise that a rebuilt face gets back. `thumb` is the crop's thumbnail where a steadier one is
    known.
    """
    height, width = region.shape[:2]
    left, top, right, bottom = region_of(placement, (width, height))
    nowhere = right <= left or bottom <= top or strength == 0
    part = (slice(0, 0), slice(0, 0)) if nowhere else (slice(top, bottom), slice(left, right))
    placed = Placed(sixteen_bits(region), np.zeros((height, width), np.float32), part)
    if nowhere:
        return placed
    window = _Window(placement, left, top, right - left, bottom - top)

    shown = inside_frame(placement, (width, height), THUMB_PX)
    weight = face_mask(THUMB_PX) * shown
    small_crop = thumbnail(crop) if thumb is None else thumb
    small_restored = thumbnail(restored)
    tint = tint_of(small_crop, shown)
    small_restored = tinted(small_restored, tint)
    free = 1 - occluded(small_restored, small_crop, weight)
    change = colour_change(small_restored, small_crop, weight * free)

    change, mask = window.warp_smooth(change, face_mask(THUMB_PX) * free)
    grey = luma(as_float(region[part]))
    rebuilt = tinted(window.warp(as_float(restored)), tint)
    rebuilt += change
    if placement.size_px > crop.shape[0] * 0.875:
        fine = grey - window.warp(luma(as_float(crop)))
        rebuilt += as_grey(own_structure(fine, placement.size_px / crop.shape[0], grey))
    if grain > 0 and (own := own_grain(grey, luma(rebuilt))) is not None:
        rebuilt += as_grey(np.float32(grain) * own)
    if tint.is_grey:
        rebuilt = as_grey(luma(rebuilt))
    placed.rgb[part] = sixteen_bits(rebuilt)
    np.clip(mask, 0, 1, out=mask)
    np.multiply(mask, np.float32(min(1.0, strength)), out=placed.mask[part])
    return placed


@dataclass(frozen=True)
class _Window:
    """A part of the region, and the way into it from any picture of the square."""

    placement: Placement
    left: int
    top: int
    width: int
    height: int

    def warp(self, square: NDArray[np.float32]) -> NDArray[np.float32]:
        """A picture or plane of the square in the window's pixels, averaged where it is finer."""
        import cv2

        finer = square.shape[0] / self.placement.size_px
        if finer > 2:
            side = max(1, math.ceil(self.placement.size_px))
            square = np.asarray(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA))
        elif finer > MOST_REDUCED:
            square = blur(square, 0.5 * math.sqrt(finer * finer - 1))
        return self._warp(square, cv2.INTER_CUBIC, cv2.BORDER_REPLICATE)

    def warp_smooth(self, thumb: Picture, weight: Plane) -> tuple[Picture, Plane]:
        """Thumbnails, which have no detail to lose, in the window's pixels; nothing beyond them."""
        import cv2

        # As one picture of four channels: half the time of three, which OpenCV does one by one.
        both = np.dstack([thumb, weight])
        finer = np.asarray(cv2.resize(both, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
        # Turned at the thumbnail's own coarseness, then enlarged: a quarter of the time.
        by = max(1, min(4, int(self.placement.size_px / finer.shape[0])))
        warped = self._warp(finer, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT, by)
        if by > 1:
            size = (warped.shape[1] * by, warped.shape[0] * by)
            warped = np.asarray(cv2.resize(warped, size, interpolation=cv2.INTER_LINEAR))
            warped = warped[: self.height, : self.width]
        picture = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB)
        return np.asarray(picture), np.asarray(cv2.extractChannel(warped, 3))

    def _warp(
        self, square: NDArray[np.float32], how: int, border: int, by: int = 1
    ) -> NDArray[np.float32]:
        """`by`: of so many pixels each way, one; the last may lie half beyond the window."""
        import cv2

        matrix = to_frame(self.placement, square.shape[0])
        matrix[:, 2] -= self.left, self.top
        matrix[:, 2] = (matrix[:, 2] + 0.5) / by - 0.5
        matrix[:, :2] /= by
        size = (-(-self.width // by), -(-self.height // by))
        warped = cv2.warpAffine(square, matrix, size, flags=how, borderMode=border)
        return np.asarray(warped, np.float32)
