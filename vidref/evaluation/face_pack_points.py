"""How true a face's five points are, against what the teacher says in many looks at that face.

A label is one look, off the median of many by a sixteenth of the eye distance: no error against a
label can be less than that.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from vidref.evaluation.face_pack_detector import LEAST_OVERLAP, NO_FACE, Scene, landmark_error
from vidref.evaluation.face_pack_networks import Detects
from vidref.faces.boxes import overlaps
from vidref.faces.many_looks import SHIFTS, ManyLooks

LEAST_LOOKS = 8
SMALLEST_EYES_PX = 10.0
"""Below that, eye distances measure a profile's depth or a pixel, and shares of them nothing."""


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
