"""Training windows for the refiner: faces as a detector offers them, and what only looks like one.

A window is drawn around a face and then moved, scaled and turned as a detector's mistakes would.
Turned heads are rare in the data, so they are drawn more often, and made of frontal ones
(`turned`). What is no face comes from pictures without any, from the surroundings of faces, and
from what a detector itself took for faces in the training scenes (`lures`).
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.boxes import overlaps
from vidref.faces.pack import FacePack
from vidref.faces.pose import yaw_pitch_deg
from vidref.faces.refiner import SPAN, WINDOW_PX
from vidref.training.detector_data import (
    Sample,
    mirrored,
    placed,
    placement,
    weathered,
)
from vidref.training.detector_labels import UNLABELLED, DetectorData, Labels, Picture
from vidref.training.face_augment import Image, darken
from vidref.training.turned_heads import turned

FACE, NO_FACE, UNSURE = 1.0, 0.0, -1.0
OFF_CENTRE, OFF_SIZE = 0.35, 1.7
"""A window still is a face's if its middle is not further off (in sizes of the face) and its size
by not more than this factor; twice as far it is not."""
LURE_SCORE, LURE_SMALLEST_PX, LURES_A_SCENE = 0.05, 12.0, 12
DEGRADED, DARK = 0.6, 0.07
EVERYTHING, BUT_LURES, LURES = (0.0, 1.0), (0.0, 0.8), (0.8, 1.0)
"""Shares of the draw by which a window's kind is chosen."""
TURNED_DEG, MADE_DEG = 30.0, (28.0, 97.0)
"""A face turned by more counts as turned; made ones are turned by this much."""


@dataclass(frozen=True)
class Lure:
    """What a detector took for a face and is none: a box in a picture."""

    picture: Picture
    box: NDArray[np.float32]


@dataclass(frozen=True)
class Targets:
    """Per window: `face` (n,), and where it is one, box (n, 4) and points (n, 5, 2).

    Places are in shares of the window from its middle; boxes are centre and log sides.
    """

    face: NDArray[np.float32]
    boxes: NDArray[np.float32]
    points: NDArray[np.float32]


def find_lures(pack: FacePack, pictures: list[Picture]) -> list[Lure]:
    """The mistakes of a pack's detector on pictures whose faces are all labelled."""
    eager = pack.with_least_score(LURE_SCORE)
    lures = []
    for picture in pictures:
        if picture.name in UNLABELLED:
            continue
        wrong = []
        for face in eager.propose(picture.image):
            known = picture.labels.boxes
            near = len(known) and overlaps(face.box_xyxy, known).max() > 0.1
            if not near and (face.box_xyxy[2:] - face.box_xyxy[:2]).min() >= LURE_SMALLEST_PX:
                wrong.append(Lure(picture, face.box_xyxy))
        lures += wrong[:LURES_A_SCENE]
    return lures


@dataclass(frozen=True)
class Turned:
    """A face that looks aside: which of a picture's."""

    picture: Picture
    index: int


def turned_faces(pictures: list[Picture]) -> list[Turned]:
    """The sure faces that look aside in photographs."""
    return [
        Turned(picture, int(index))
        for picture in pictures
        for index in np.flatnonzero(picture.labels.sure)
        if abs(yaw_pitch_deg(picture.labels.landmarks[index])[0]) > TURNED_DEG
    ]


def made_turned(portraits: list[Picture], count: int, seed: int) -> list[Turned]:
    """Frontal portraits turned by chance, to either side; fewer where too few are frontal."""
    rng = np.random.default_rng((seed, 7))
    made: list[Turned] = []
    for index in np.tile(rng.permutation(len(portraits)), 1 + count // max(1, len(portraits))):
        if len(made) == count:
            break
        side = 1 if rng.random() < 0.5 else -1
        picture = turned(portraits[index], side * float(rng.uniform(*MADE_DEG)))
        if picture is not None:
            made.append(Turned(picture, 0))
    return made


class WindowStream:
    """Batches of windows; their contents follow from the seed and their number."""

    def __init__(
        self,
        data: DetectorData,
        lures: list[Lure],
        seed: int,
        made: list[Turned] | None = None,
        kinds: tuple[float, float] = EVERYTHING,
    ) -> None:
        self._with = [p for p in data.scenes if p.labels.sure.any()]
        self._without = [
            p for p in data.scenes if not len(p.labels.sure) and p.name not in UNLABELLED
        ]
        self._faces = data.faces
        self._aside = turned_faces(data.scenes + data.faces)
        self._made = made or []
        self._lures = lures
        self._seed = seed
        self._kinds = kinds

    def batch(
        self, number: int, count: int, pool: Executor | None
    ) -> tuple[NDArray[np.uint8], Targets]:
        def make(index: int) -> Sample:
            return self.sample(np.random.default_rng((self._seed, number, index)))

        samples = list(map(make, range(count)) if pool is None else pool.map(make, range(count)))
        targets = [target_of(sample.labels) for sample in samples]
        return np.stack([s.image for s in samples]), Targets(
            np.array([t[0] for t in targets], np.float32),
            np.stack([t[1] for t in targets]),
            np.stack([t[2] for t in targets]),
        )

    def sample(self, rng: np.random.Generator) -> Sample:
        draw = rng.uniform(*self._kinds)
        if draw < 0.12 and self._aside:
            aside = self._aside[rng.integers(len(self._aside))]
            made = self._around(aside.picture, aside.picture.labels.boxes[aside.index], rng, False)
        elif draw < 0.2 and self._made:
            aside = self._made[rng.integers(len(self._made))]
            made = self._around(aside.picture, aside.picture.labels.boxes[aside.index], rng, False)
        elif draw < 0.45:
            picture = self._faces[rng.integers(len(self._faces))]
            made = self._face(picture, rng, wide=rng.random() < 0.1)
        elif draw < 0.7:
            picture = self._with[rng.integers(len(self._with))]
            made = self._face(picture, rng, wide=rng.random() < 0.25)
        elif draw < LURES[0] or not self._lures:
            made = self._anywhere(rng)
        else:
            lure = self._lures[rng.integers(len(self._lures))]
            made = self._around(lure.picture, lure.box, rng, wide=False)
        if rng.random() < 0.5:
            made = mirrored(made)
        made = weathered(made, rng, DEGRADED)
        return Sample(darken(made.image, rng), made.labels) if rng.random() < DARK else made

    def _face(self, picture: Picture, rng: np.random.Generator, wide: bool) -> Sample:
        box = picture.labels.boxes[rng.choice(np.flatnonzero(picture.labels.sure))]
        return self._around(picture, box, rng, wide)

    def _around(
        self, picture: Picture, box: NDArray[np.float32], rng: np.random.Generator, wide: bool
    ) -> Sample:
        """A window drawn around a box, as badly as a detector would; `wide`: beside it, mostly."""
        extent = float((box[2:] - box[:2]).max())
        if wide:
            off = rng.uniform(-1.2, 1.2, 2)
            zoom = float(np.exp(rng.uniform(-1, 1)))
        else:
            off = np.clip(rng.normal(0, 0.11, 2), -0.4, 0.4)
            zoom = float(np.exp(np.clip(rng.normal(0, 0.16), -0.45, 0.45)))
        centre = (box[:2] + box[2:]) / 2 + off * extent
        scale = WINDOW_PX / (SPAN * extent * zoom)
        angle = rng.normal(0, 0.1) if rng.random() < 0.6 else rng.uniform(-0.8, 0.8)
        return self._placed(picture, centre, scale, float(angle), rng)

    def _anywhere(self, rng: np.random.Generator) -> Sample:
        picture = self._without[rng.integers(len(self._without))]
        height, width = picture.image.shape[:2]
        side = float(np.exp(rng.uniform(np.log(16), np.log(min(height, width)))))
        centre = rng.uniform(0, 1, 2) * (width, height)
        angle = float(rng.uniform(-0.5, 0.5))
        return self._placed(picture, centre, WINDOW_PX / side, angle, rng)

    def _placed(
        self,
        picture: Picture,
        centre: NDArray[np.floating],
        scale: float,
        angle: float,
        rng: np.random.Generator,
    ) -> Sample:
        middle = np.full(2, WINDOW_PX / 2)
        matrix = placement(centre, middle, scale, angle)
        behind = self._backdrop(rng) if rng.random() < 0.7 else None
        return placed(picture, matrix, WINDOW_PX, behind)

    def _backdrop(self, rng: np.random.Generator) -> Image:
        image = self._without[rng.integers(len(self._without))].image
        side = int(min(image.shape[:2]) * rng.uniform(0.25, 1.0))
        top = rng.integers(image.shape[0] - side + 1)
        left = rng.integers(image.shape[1] - side + 1)
        cut = image[top : top + side, left : left + side]
        return np.asarray(
            cv2.resize(cut, (WINDOW_PX, WINDOW_PX), interpolation=cv2.INTER_AREA), np.uint8
        )


def target_of(labels: Labels) -> tuple[float, NDArray[np.float32], NDArray[np.float32]]:
    """The face that the window is drawn around, if it is around one."""
    box, points = np.zeros(4, np.float32), np.zeros((5, 2), np.float32)
    if not len(labels.boxes):
        return NO_FACE, box, points
    centres = (labels.boxes[:, :2] + labels.boxes[:, 2:]) / 2
    sides = labels.boxes[:, 2:] - labels.boxes[:, :2]
    extents = sides.max(1)
    off = np.linalg.norm(centres - WINDOW_PX / 2, axis=1) / extents
    factor = np.abs(np.log(extents * SPAN / WINDOW_PX))
    misfit = np.maximum(off / OFF_CENTRE, factor / np.log(OFF_SIZE))
    nearest = int(misfit.argmin())
    if misfit[nearest] > 2:
        return NO_FACE, box, points
    if misfit[nearest] > 1 or not labels.sure[nearest]:
        return UNSURE, box, points
    box[:2] = (centres[nearest] + 0.5) / WINDOW_PX - 0.5
    box[2:] = np.log(sides[nearest] / WINDOW_PX)
    points[:] = (labels.landmarks[nearest] + 0.5) / WINDOW_PX - 0.5
    return FACE, box, points
