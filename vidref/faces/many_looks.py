"""A face's five points as an OpenCV face detector (YuNet, the teacher) gives them in many looks.

One look is off the median of many by a sixteenth of the eye distance: mirrored, shifted or at
another size it says something else. That median is a steadier label, and a steadier measure.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.boxes import overlaps
from vidref.faces.refiner import MIRRORED

SIZES_PX = (40, 56, 80, 112, 160, 224)
"""Sizes of a face at which the teacher looks, none more than about twice enlarged."""
MOST_ENLARGED = 2.2
ROOM = 2.2
"""Sides of a view in sizes of the face."""
SHIFTS, SHIFT = 2, 0.15
"""Views of each size, and how far off they are at most, in sizes of the face."""
LEAST_SCORE, LEAST_OVERLAP = 0.3, 0.5
Image = NDArray[np.uint8]
Points = NDArray[np.float64]


class ManyLooks:
    """The teacher's points of a face, once for each of many views of it."""

    def __init__(
        self, model: Path, sizes_px: tuple[int, ...] = SIZES_PX, shifts: int = SHIFTS
    ) -> None:
        self._sizes_px, self._shifts = sizes_px, shifts
        self._detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), LEAST_SCORE, 0.3, 50)

    def at(self, image: Image, box_xyxy: NDArray[np.float32], seed: int = 0) -> Points:
        """All looks in which the face was found, (n, 5, 2), in pixels of the image."""
        rng = np.random.default_rng(seed)
        middle = (box_xyxy[:2] + box_xyxy[2:]).astype(float) / 2
        extent = float((box_xyxy[2:] - box_xyxy[:2]).max())
        looks = []
        for size in (s for s in self._sizes_px if s <= MOST_ENLARGED * extent):
            px = int(np.ceil(size * ROOM / 32) * 32)
            for _ in range(self._shifts):
                off = middle + rng.uniform(-SHIFT, SHIFT, 2) * extent
                for mirrored in (False, True):
                    found = self._look(image, box_xyxy, off, size / extent, px, mirrored)
                    looks += [] if found is None else [found]
        return np.stack(looks) if looks else np.zeros((0, 5, 2))

    def _look(
        self,
        image: Image,
        box_xyxy: NDArray[np.float32],
        middle: Points,
        scale: float,
        px: int,
        mirrored: bool,
    ) -> Points | None:
        turn = np.diag([-scale if mirrored else scale, scale])
        shift = (px - 1) / 2 - turn @ middle
        view = _reduced_view(image, turn, shift, px)
        self._detector.setInputSize((px, px))
        _, rows = self._detector.detect(np.ascontiguousarray(view[..., ::-1]))
        if rows is None:
            return None
        found = np.asarray(rows, np.float32)
        corners = box_xyxy.reshape(2, 2) @ turn + shift
        expected = np.concatenate([corners.min(0), corners.max(0)]).astype(np.float32)
        shared = overlaps(expected, np.hstack([found[:, :2], found[:, :2] + found[:, 2:4]]))
        if shared.max() < LEAST_OVERLAP:
            return None
        points = (found[int(shared.argmax()), 4:14].reshape(5, 2) - shift) / np.diag(turn)
        return np.asarray(points[MIRRORED] if mirrored else points, float)


def _reduced_view(image: Image, turn: Points, shift: Points, px: int) -> Image:
    """A square of the picture, averaged first where it is reduced."""
    scale = turn[1, 1]
    if scale < 0.7:
        size = [max(1, round(1.2 * scale * side)) for side in image.shape[1::-1]]
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        times = np.array(image.shape[1::-1]) / size
        shift, turn = shift + turn @ ((times - 1) / 2), turn @ np.diag(times)
        image = np.asarray(small, np.uint8)
    return np.asarray(cv2.warpAffine(image, np.hstack([turn, shift[:, None]]), (px, px)), np.uint8)
