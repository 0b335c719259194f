"""A second look at each face: is it one, where exactly, and its points.

A detector finds faces in a whole frame at many sizes at once, and its points are rough, above all
on heads that are turned or wear glasses. The refiner (`refiner.onnx` in a pack's folder) sees one
window at a time, always at the same size. insightface does not know this kind of file and skips it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.faces.beside import Beside
from vidref.faces.detected import DetectedFace
from vidref.faces.shrink import resized

FILE = "refiner.onnx"
WINDOW_PX = 96
SPAN = 1.6
"""A window is a square of this many times the longer side of the box it is drawn around."""
SMALLEST_WINDOW_PX = 8
MIRRORED = [1, 0, 2, 4, 3]
"""The five points in the order that they have in the mirror."""


class Refiner:
    """A loaded refiner; frames are RGB uint8."""

    def __init__(self, session: Any, beside: Beside | None = None) -> None:
        self._session = session
        self._input = session.get_inputs()[0].name
        self._beside = beside or Beside()

    def look(
        self,
        frame: NDArray[np.uint8],
        windows: list[NDArray[np.float64]],
        mirrored: bool = False,
    ) -> list[DetectedFace]:
        """What each window (centre x, y, side in frame pixels) holds.

        `mirrored`: in the mirror as well, and the mean of both, for twice the time.
        """
        if not windows:
            return []
        cut = [view_of(frame, window) for window in windows]
        views = np.stack([view for view, _ in cut])
        if mirrored:
            views = np.concatenate([views, views[:, :, ::-1]])
        scores, boxes, points = self._run(views)
        if mirrored:
            half = len(windows)
            boxes[half:, 0] *= -1
            points = np.concatenate([points[:half], points[half:, MIRRORED] * (-1, 1)])
            scores, boxes, points = (
                (part[:half] + part[half:]) / 2 for part in (scores, boxes, points)
            )
        faces = []
        for (_, window), score, box, five in zip(cut, scores, boxes, points, strict=True):
            middle, side = window[:2], window[2]
            centre, reach = middle + box[:2] * side, np.exp(box[2:]) * side / 2
            faces.append(
                DetectedFace(
                    np.concatenate([centre - reach, centre + reach]).astype(np.float32),
                    (middle + five * side).astype(np.float32),
                    float(score),
                )
            )
        return faces

    def _run(self, views: NDArray[np.uint8]) -> list[NDArray[np.floating]]:
        """The network's word on each view, on half of them beside the others if that can be."""
        half = (len(views) + 1) // 2
        if half == len(views) or not self._beside.is_there:
            return list(self._session.run(None, {self._input: views}))
        later = self._beside.start(lambda: self._session.run(None, {self._input: views[half:]}))
        first = self._session.run(None, {self._input: views[:half]})
        return [np.concatenate(parts) for parts in zip(first, later(), strict=True)]


def window_of_box(box_xyxy: NDArray[np.float32]) -> NDArray[np.float64]:
    """The window around a box."""
    low, high = box_xyxy[:2].astype(float), box_xyxy[2:].astype(float)
    return np.array([*(low + high) / 2, SPAN * (high - low).max()])


def view_of(
    frame: NDArray[np.uint8], window: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """What a window shows, at the network's size and black beyond the frame; and the window.

    It is cut at whole pixels, so that nothing but the view itself is resampled.
    """
    side = max(SMALLEST_WINDOW_PX, round(float(window[2])))
    left, top = (int(v) for v in np.rint(window[:2] + 0.5 - side / 2))
    within = frame[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]
    if within.shape[:2] != (side, side):
        canvas = np.zeros((side, side, 3), np.uint8)
        if within.size:
            y, x = max(-top, 0), max(-left, 0)
            canvas[y : y + within.shape[0], x : x + within.shape[1]] = within
        within = canvas
    view = resized(within, WINDOW_PX, WINDOW_PX)
    return view, np.array([left + side / 2 - 0.5, top + side / 2 - 0.5, side])
