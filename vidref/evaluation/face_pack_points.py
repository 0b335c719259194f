"""How true a face's five points are, against what the teacher says in many looks at that face.

One look of the teacher is off its own mean by a sixteenth of the eye distance: mirrored, shifted or
at another size it says something else. So a label is one draw, and no error against it can be less
than its own. The median of some twenty looks is a steadier mark: two halves of them differ by less
than half as much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.evaluation.face_pack_detector import LEAST_OVERLAP, NO_FACE, Scene, landmark_error
from vidref.evaluation.face_pack_networks import Detects, Image
from vidref.faces.boxes import overlaps

SIZES_PX = (40, 56, 80, 112, 160, 224)
"""Sizes of a face at which the teacher looks, none more than twice enlarged."""
MOST_ENLARGED = 2.2
ROOM = 2.2
"""Sides of a view in sizes of the face."""
SHIFTS, SHIFT = 2, 0.15
LEAST_LOOKS = 8
LEAST_SCORE = 0.3
SMALLEST_EYES_PX = 10.0
"""Below that, eye distances measure a profile's depth or a pixel, and shares of them nothing."""
MIRRORED = [1, 0, 2, 4, 3]
Points = NDArray[np.float64]


class ManyLooks:
    """The teacher's points of a face, once for each of many views of it."""

    def __init__(self, model: Path) -> None:
        self._detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), LEAST_SCORE, 0.3, 50)

    def at(self, image: Image, box_xyxy: NDArray[np.float32], seed: int = 0) -> Points:
        """All looks in which the face was found, (n, 5, 2), in pixels of the image."""
        rng = np.random.default_rng(seed)
        middle = (box_xyxy[:2] + box_xyxy[2:]).astype(float) / 2
        extent = float((box_xyxy[2:] - box_xyxy[:2]).max())
        looks = []
        for size in (s for s in SIZES_PX if s <= MOST_ENLARGED * extent):
            px = int(np.ceil(size * ROOM / 32) * 32)
            for _ in range(SHIFTS):
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


@dataclass
class PointErrors:
    """Mean errors of five points, in eye distances, one for each face found."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, who: str, error: float) -> None:
        self.of.setdefault(who, []).append(error)


def measure_points(
    finders: dict[str, Detects], looks: ManyLooks, scenes: list[Scene], least: float
) -> PointErrors:
    """Of faces that every finder finds: its points against the median of the teacher's looks.

    Beside them the teacher's label ("label"), one look ("one look"), and how far the medians of
    two halves of the looks lie apart ("halves").
    """
    errors = PointErrors()
    for scene in scenes:
        wanted = np.flatnonzero(scene.truth.counts)
        if scene.mistake == NO_FACE or not len(wanted):
            continue
        found = {
            name: [f for f in finder.detect(scene.image) if f.score >= least]
            for name, finder in finders.items()
        }
        for index in wanted:
            box, label = scene.truth.boxes[index], scene.truth.landmarks[index]
            mine = {}
            for name, faces in found.items():
                shared = [float(overlaps(f.box_xyxy, box[None])[0]) for f in faces]
                if shared and max(shared) >= LEAST_OVERLAP:
                    mine[name] = faces[int(np.argmax(shared))].landmarks_xy
            many = looks.at(scene.image, box)
            if len(mine) < len(finders) or len(many) < LEAST_LOOKS:
                continue
            if np.linalg.norm(label[1] - label[0]) < SMALLEST_EYES_PX:
                continue
            agreed = np.median(many, axis=0)
            for name, points in mine.items():
                errors.add(name, landmark_error(points, agreed))
            errors.add("label", landmark_error(label, agreed))
            errors.add("one look", float(np.mean([landmark_error(p, agreed) for p in many])))
            first = np.arange(len(many)) // 2 % SHIFTS == 0  # each shift, with its mirror
            halves = [np.median(many[first], axis=0), np.median(many[~first], axis=0)]
            errors.add("halves", landmark_error(halves[0], halves[1]))
    return errors
