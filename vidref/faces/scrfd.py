"""What an SCRFD detector says of one picture, in that picture's pixels.

insightface loads and recognises the file. Its own `detect` works out the box and points of every
cell, and copies, resizes and turns round the picture on the way: 6 ms of a frame that need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.errors import ModelError
from vidref.faces.beside import Beside, Result, Soon
from vidref.faces.boxes import suppress
from vidref.faces.detected import DetectedFace
from vidref.faces.pieces import Pieces
from vidref.faces.shrink import resized

LARGEST_STRIDE = 32
SAME_FACE = 0.4
"""Overlap from which two of a detector's boxes are one face: insightface's own."""
KINDS = {9: ((8, 16, 32), 2), 15: ((8, 16, 32, 64, 128), 1)}
"""Strides and anchors a cell, by the number of outputs."""


class Scrfd:
    """A detector that insightface has loaded; pictures are RGB uint8."""

    def __init__(
        self,
        loaded: Any,
        pieces: Soon[Pieces | None] | None = None,
        beside: Beside | None = None,
    ) -> None:
        self._session = loaded.session
        self._pieces = pieces
        self._beside = beside or Beside()
        self._input = loaded.input_name
        self._mean, self._std = float(loaded.input_mean), float(loaded.input_std)
        self._fixed: tuple[int, int] | None = loaded.static_input_size
        outputs = len(self._session.get_outputs())
        if outputs not in KINDS:
            raise ModelError(
                f"The face detector {loaded.model_file} has {outputs} outputs and gives no points "
                "of a face (SCRFD with landmarks has 9 or 15): choose another pack with --faces."
            )
        self._strides, self._anchors = KINDS[outputs]

    def find(self, picture: NDArray[np.uint8], least: float) -> list[DetectedFace]:
        """The faces of a picture that is looked at as it is, the best score first."""
        view, scale = self._fitted(picture)
        outputs = self._session.run(None, {self._input: self._as_input(view)})
        return self._faces(outputs, view.shape[1], scale, least)

    def find_and(
        self, picture: NDArray[np.uint8], least: float, other: Callable[[], Result]
    ) -> tuple[list[DetectedFace], Result]:
        """The same, and what other work gives, which a second thread does if there is one."""
        view, scale = self._fitted(picture)
        pieces = self._pieces.now() if self._pieces is not None else None
        if pieces is None or not pieces.suits(view.shape[0]):
            done = self._beside.start(other)
            return self.find(picture, least), done()
        outputs, done_too = pieces.run(view, self._as_input, other)
        return self._faces(outputs, view.shape[1], scale, least), done_too

    def _faces(
        self, outputs: Sequence[Any], width: int, scale: float, least: float
    ) -> list[DetectedFace]:
        """What a detector's outputs say of a view so wide, in the picture it was made from."""
        levels = len(self._strides)
        scores, boxes, points = [], [], []
        for level, stride in enumerate(self._strides):
            score, box, five = (
                np.asarray(outputs[level + kind * levels]).reshape(-1, size)
                for kind, size in enumerate((1, 4, 10))
            )
            found = np.flatnonzero(score[:, 0] >= least)
            cell = found // self._anchors
            across = width // stride
            centre = np.stack([cell % across, cell // across], 1).astype(np.float32) * stride
            out = box[found] * stride
            scores.append(score[found, 0])
            boxes.append(np.hstack([centre - out[:, :2], centre + out[:, 2:]]))
            points.append(five[found].reshape(-1, 5, 2) * stride + centre[:, None])
        score, box, five = np.concatenate(scores), np.concatenate(boxes), np.concatenate(points)
        return [
            DetectedFace(box[i] / scale, five[i] / scale, float(score[i]))
            for i in suppress(box, score, SAME_FACE)
        ]

    def _fitted(self, picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
        """The picture at the detector's size, black up to whole cells, and its scale."""
        import cv2

        scale = 1.0
        if self._fixed is None:
            height, width = picture.shape[:2]
            right, below = -width % LARGEST_STRIDE, -height % LARGEST_STRIDE
        else:
            scale = min(self._fixed[0] / picture.shape[1], self._fixed[1] / picture.shape[0])
            width, height = (max(1, round(side * scale)) for side in picture.shape[1::-1])
            picture = resized(picture, width, height)
            right, below = self._fixed[0] - width, self._fixed[1] - height
        if right or below:
            black = cv2.BORDER_CONSTANT
            picture = np.asarray(cv2.copyMakeBorder(picture, 0, below, 0, right, black), np.uint8)
        return picture, scale

    def _as_input(self, view: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Planes of numbers around zero."""
        import cv2

        planes = np.empty((1, 3, *view.shape[:2]), np.float32)
        for plane, channel in zip(planes[0], cv2.split(view), strict=True):
            np.multiply(channel, np.float32(1 / self._std), out=plane)
            plane -= np.float32(self._mean / self._std)
        return planes
