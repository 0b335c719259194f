"""The part of a picture that holds a face, upright as it lies and turned into its square."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement, to_frame

SMALL_PX = 128


@dataclass(frozen=True)
class Region:
    """What is measured of a face: its surroundings at their own size, and the square at 128 px."""

    placement: Placement
    corner_xy: tuple[int, int]
    """Where the surroundings begin in the picture: a codec's grid counts from the picture's."""
    grey: NDArray[np.uint8]
    small: NDArray[np.uint8]

    def square(self, side_px: int) -> NDArray[np.uint8]:
        """The aligned square in grey."""
        return _square(self.grey, self.placement, self.corner_xy, side_px)

    def middle(self, most_px: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """The upright middle of the face at its own size, at most `most_px` to each side."""
        reach = min(most_px, max(8.0, 0.42 * self.placement.size_px))
        x, y = (c - k for c, k in zip(self.placement.centre_xy, self.corner_xy, strict=True))
        height, width = self.grey.shape
        left, top = (int(np.clip(v - reach, 0, None)) for v in (x, y))
        left, top = min(left, max(0, width - 8)), min(top, max(0, height - 8))
        right, bottom = max(left + 8, int(x + reach)), max(top + 8, int(y + reach))
        corner = (self.corner_xy[0] + left, self.corner_xy[1] + top)
        return self.grey[top:bottom, left:right], corner


def region_of(rgb: NDArray[np.uint8], placement: Placement) -> Region:
    """The region of a face in a picture at its own size."""
    reach = placement.size_px * 0.75 + 2
    height, width = rgb.shape[:2]
    x, y = placement.centre_xy
    left, right = (int(np.clip(x + side * reach, 0, width)) for side in (-1, 1))
    top, bottom = (int(np.clip(y + side * reach, 0, height)) for side in (-1, 1))
    left, top = min(left, width - 1), min(top, height - 1)
    part = np.ascontiguousarray(rgb[top : max(bottom, top + 1), left : max(right, left + 1)])
    return Region(
        placement,
        (left, top),
        np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8),
        _square(part, placement, (left, top), SMALL_PX),
    )


def _square(
    patch: NDArray[Any], placement: Placement, corner: tuple[int, int], side_px: int
) -> NDArray[Any]:
    """The aligned square from a part of the picture, averaged first where it is reduced."""
    fewer = round(placement.size_px / side_px)
    across = np.ones(2)
    if fewer > 1:
        size = [max(1, length // fewer) for length in patch.shape[1::-1]]
        across = np.array([a / b for a, b in zip(size, patch.shape[1::-1], strict=True)])
        patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
    matrix = to_frame(placement, side_px)
    matrix[:, 2] = (matrix[:, 2] - corner + 0.5) * across - 0.5
    matrix[:, :2] *= across[:, None]
    return np.asarray(
        cv2.warpAffine(
            patch,
            matrix,
            (side_px, side_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )
