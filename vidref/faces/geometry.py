"""The aligned-face square: where a face's own square lies in a frame, and the way there and back.

A square is a `Placement`: a centre, a side and a turn in source pixels. All coordinates are those
of pixel centres: the middle of the first pixel is (0, 0), so a square of 512 px spans -0.5..511.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.uint16], NDArray[np.float32])

CROP_PX = 512
TEMPLATE_512 = np.array(
    [
        [193.26, 241.84],
        [319.54, 242.04],
        [255.46, 318.71],
        [198.32, 367.32],
        [317.06, 367.19],
    ]
)
"""Eyes, nose and mouth's corners in the square: the mean of the 1,592 train photographs in
shared/data/faces.csv (`landmarks_xy`, less the margin of 1.2, scaled to 512 px), on which the
restorer is trained. Their spread is 2 to 6 px, of the nose's x 11 px."""
MOST_REDUCED = 1.2
"""How much smaller a picture may be sampled without being averaged first."""


@dataclass(frozen=True, slots=True)
class Placement:
    """The square of side `size_px` around `centre_xy`, turned clockwise by `angle` radians."""

    centre_xy: tuple[float, float]
    size_px: float
    angle: float


def placement_of(landmarks_xy: NDArray[np.floating]) -> Placement:
    """The square in which five points (5, 2) lie nearest to the template."""
    points = np.asarray(landmarks_xy, np.float64)
    spread = points - points.mean(0)
    if not np.isfinite(points).all() or (spread**2).sum() < 1e-6:
        raise ValueError("five points that are one, or none, place no face")
    matrix = similarity(points, TEMPLATE_512)
    turn, shift = matrix[:, :2], matrix[:, 2]
    centre = np.linalg.solve(turn, np.full(2, (CROP_PX - 1) / 2) - shift)
    return Placement(
        (float(centre[0]), float(centre[1])),
        CROP_PX / math.hypot(turn[0, 0], turn[1, 0]),
        -math.atan2(turn[1, 0], turn[0, 0]),
    )


def points_of(placement: Placement) -> Points:
    """Where the template's five points (5, 2) lie in the frame."""
    matrix = to_frame(placement)
    return TEMPLATE_512 @ matrix[:, :2].T + matrix[:, 2]


def to_crop(placement: Placement, crop_px: int = CROP_PX) -> Points:
    """The map (2, 3) from the frame to the crop."""
    scale = crop_px / placement.size_px
    along, across = scale * math.cos(placement.angle), scale * math.sin(placement.angle)
    turn = np.array([[along, across], [-across, along]])
    shift = (crop_px - 1) / 2 - turn @ np.array(placement.centre_xy)
    return np.column_stack([turn, shift])


def to_frame(placement: Placement, crop_px: int = CROP_PX) -> Points:
    """The map (2, 3) from the crop to the frame: the inverse of `to_crop`."""
    scale = placement.size_px / crop_px
    along, across = scale * math.cos(placement.angle), scale * math.sin(placement.angle)
    turn = np.array([[along, -across], [across, along]])
    shift = np.array(placement.centre_xy) - turn @ np.full(2, (crop_px - 1) / 2)
    return np.column_stack([turn, shift])


def take_crop(
    rgb: Pixels, placement: Placement, crop_px: int = CROP_PX, edge_repeats: bool = True
) -> Pixels:
    """The square's pixels, averaged where it is reduced; beyond the frame its edge, or black."""
    import cv2

    finer = max(1, math.ceil(placement.size_px / crop_px / MOST_REDUCED))
    side = crop_px * finer
    crop = cv2.warpAffine(
        rgb,
        to_frame(placement, side),
        (side, side),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if edge_repeats else cv2.BORDER_CONSTANT,
    )
    if finer > 1:
        crop = cv2.resize(crop, (crop_px, crop_px), interpolation=cv2.INTER_AREA)
    result: Pixels = np.asarray(crop, rgb.dtype)
    return result


def similarity(points: Points, template: Points) -> Points:
    """The turn, scale and shift (2, 3) that bring points nearest to a template, least squares."""
    centre, template_centre = points.mean(0), template.mean(0)
    points, template = points - centre, template - template_centre
    spread = max(float((points**2).sum()), 1e-9)
    along = float((points * template).sum()) / spread
    across = float((points[:, 0] * template[:, 1] - points[:, 1] * template[:, 0]).sum()) / spread
    turn = np.array([[along, -across], [across, along]])
    return np.hstack([turn, (template_centre - turn @ centre)[:, None]])
