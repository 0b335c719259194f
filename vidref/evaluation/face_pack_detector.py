"""How well a detector finds the faces that the teacher is sure of.

True are the teacher's faces with a score of 0.8 and 24 px or more; its doubtful and smaller ones
count neither for nor against; anything else that is found is a mistake.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.evaluation.face_pack_degradation import Damage, degrade
from vidref.evaluation.face_pack_networks import Detects, Image
from vidref.faces.boxes import match, overlaps
from vidref.faces.detected import DetectedFace

SURE, SMALLEST_PX, LEAST_OVERLAP = 0.8, 24.0, 0.5
EYES_OF_512 = 126.0
"""Distance of the eyes in the 512 px aligned face square."""


@dataclass(frozen=True)
class Truth:
    """Faces of a picture, the teacher's; `counts` marks those that must be found."""

    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    counts: NDArray[np.bool_]

    @staticmethod
    def of(faces: list[DetectedFace]) -> Truth:
        boxes = np.array([f.box_xyxy for f in faces], np.float32).reshape(-1, 4)
        landmarks = np.array([f.landmarks_xy for f in faces], np.float32).reshape(-1, 5, 2)
        scores = np.array([f.score for f in faces], np.float32)
        sizes = (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf)
        return Truth(boxes, landmarks, (scores >= SURE) & (sizes >= SMALLEST_PX))


NO_FACE, MISSED = "no-face", "missed"
"""What is wrong with the teacher's word on a picture, seen by eye: what it is sure of is a dog's
head or a thing, or it missed a face, mostly an engraved or an old one."""
DEV_MISTAKES = {f"scene_{n:05}.webp": NO_FACE for n in (968, 984, 1016, 1032, 1048, 1056)} | {
    f"archive_{n:05}.webp": MISSED for n in (482, 490, 626, 642)
}


@dataclass(frozen=True)
class Scene:
    name: str
    image: Image
    truth: Truth
    mistake: str = ""
    """`NO_FACE`, `MISSED` or nothing."""


def read_fold(path: Path) -> dict[str, str]:
    """The scenes that a training left out, each with what is wrong with its label (or nothing)."""
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return {line[0]: line[1] if len(line) > 1 else "" for line in lines}


def read_scenes(data: Path, fold: dict[str, str] | None = None) -> list[Scene]:
    """Split `dev`, or the scenes of a fold."""
    mistakes = DEV_MISTAKES if fold is None else fold
    about = json.loads((data / "scenes.json").read_text())
    scenes = []
    with zipfile.ZipFile(data / "scenes.zip") as archive:
        for name in sorted(about):
            if not (about[name]["split"] == "dev" if fold is None else name in fold):
                continue
            packed = np.frombuffer(archive.read(name), np.uint8)
            image = cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            faces = []
            for face in about[name]["faces"]:
                left, top, width, height = face["box_xywh"]
                box = np.array([left, top, left + width, top + height], np.float32)
                points = np.array(face["landmarks_xy"], np.float32).reshape(5, 2)
                faces.append(DetectedFace(box, points, face["score"]))
            truth, mistake = Truth.of(faces), mistakes.get(name, "")
            scenes.append(Scene(name, np.asarray(image, np.uint8), truth, mistake))
    return scenes


@dataclass
class Tally:
    """Everything found in some pictures; figures at any score follow from it."""

    scores: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    """Landmark error of each right one, as a share of the eye distance; nan for wrong ones."""
    true: int = 0
    missed: list[tuple[str, NDArray[np.float32]]] = field(default_factory=list)
    wrong: list[tuple[str, NDArray[np.float32], float]] = field(default_factory=list)

    def add(self, name: str, found: list[DetectedFace], truth: Truth, least: float) -> None:
        """`least` is the score below which a found face is not shown as found or as wrong."""
        boxes = np.array([f.box_xyxy for f in found], np.float32).reshape(-1, 4)
        scores = np.array([f.score for f in found], np.float32)
        claims = match(boxes, scores, truth.boxes, LEAST_OVERLAP)
        self.true += int(truth.counts.sum())
        seen = set()
        for face, claim in zip(found, claims, strict=True):
            if claim >= 0 and not truth.counts[claim]:
                continue
            if claim < 0 and _excused(face, truth):
                continue
            self.scores.append(face.score)
            self.right.append(claim >= 0)
            if claim >= 0:
                self.errors.append(landmark_error(face.landmarks_xy, truth.landmarks[claim]))
                if face.score >= least:
                    seen.add(claim)
            else:
                self.errors.append(float("nan"))
                if face.score >= least:
                    self.wrong.append((name, face.box_xyxy, face.score))
        for index in np.flatnonzero(truth.counts):
            if index not in seen:
                self.missed.append((name, truth.boxes[index]))

    def take(self, other: Tally) -> None:
        """What another found of other pictures, as if it were of this."""
        self.true += other.true
        self.scores += other.scores
        self.right += other.right
        self.errors += other.errors
        self.missed += other.missed
        self.wrong += other.wrong

    def recall_at_precision(self, precision: float) -> tuple[float, float]:
        """The best recall whose precision is at least this, and the score it is reached at."""
        order = np.argsort(-np.array(self.scores))
        hits = np.array(self.right, float)[order].cumsum()
        good = hits / np.arange(1, len(hits) + 1) >= precision
        if not good.any():
            return 0.0, 1.0
        last = int(np.flatnonzero(good).max())
        return float(hits[last] / max(1, self.true)), float(np.array(self.scores)[order][last])

    def at_score(self, least: float) -> tuple[float, float]:
        """Recall and precision of everything with at least this score."""
        kept = np.array(self.scores) >= least
        hits = float(np.array(self.right)[kept].sum())
        return hits / max(1, self.true), hits / max(1.0, float(kept.sum()))

    def landmark_error(self, least: float) -> float:
        kept = np.array(self.scores) >= least
        return float(np.nanmean(np.array(self.errors)[kept])) if kept.any() else float("nan")


def landmark_error(found: NDArray[np.floating], true: NDArray[np.floating]) -> float:
    """Mean distance of the five points, as a share of the eye distance."""
    eyes = float(np.linalg.norm(true[1] - true[0]))
    return float(np.linalg.norm(found - true, axis=1).mean() / max(eyes, 1.0))


def _excused(face: DetectedFace, truth: Truth) -> bool:
    """Over one of the teacher's doubtful faces, if not well enough to be matched to it."""
    doubtful = truth.boxes[~truth.counts]
    return bool(len(doubtful) and overlaps(face.box_xyxy, doubtful).max() > 0.3)


@dataclass
class Tallies:
    """The same faces against the teacher as it is, and with its mistakes, seen by eye, put right.

    Its dogs are no faces; pictures in which it missed a face count neither way.
    """

    as_labelled: Tally = field(default_factory=Tally)
    put_right: Tally = field(default_factory=Tally)

    def add(self, scene: Scene, found: list[DetectedFace], truth: Truth, least: float) -> None:
        self.as_labelled.add(scene.name, found, truth, least)
        if scene.mistake != MISSED:
            right = Truth.of([]) if scene.mistake == NO_FACE else truth
            self.put_right.add(scene.name, found, right, least)

    def take(self, other: Tallies) -> None:
        self.as_labelled.take(other.as_labelled)
        self.put_right.take(other.put_right)


def measure_clean(detector: Detects, scenes: list[Scene], least: float) -> Tallies:
    tallies = Tallies()
    for scene in scenes:
        tallies.add(scene, detector.detect(scene.image), scene.truth, least)
    return tallies


def measure_degraded(
    detector: Detects, scenes: list[Scene], damage: Damage, seed: int, least: float
) -> Tallies:
    """The whole picture degraded by the numbers as they are written, whatever the faces' sizes."""
    tallies = Tallies()
    for index, scene in enumerate(scenes):
        worse = degrade(scene.image, damage, np.random.default_rng((seed, index)))
        tallies.add(scene, detector.detect(worse), scene.truth, least)
    return tallies


def measure_degraded_faces(
    detector: Detects, scenes: list[Scene], damage: Damage, seed: int, least: float
) -> Tallies:
    """Once for each face, the picture degraded as the protocol degrades a face of that size.

    Only that face counts; pictures without a face are degraded as for a 160 px face, so that
    mistakes are counted too.
    """
    tallies = Tallies()
    for index, scene in enumerate(scenes):
        wanted = np.flatnonzero(scene.truth.counts)
        if not len(scene.truth.counts):
            rng = np.random.default_rng((seed, index))
            worse = degrade(scene.image, damage, rng, scale=160 / 512)
            tallies.add(scene, detector.detect(worse), scene.truth, least)
        for face in wanted:
            eyes = scene.truth.landmarks[face, 1] - scene.truth.landmarks[face, 0]
            scale = float(np.linalg.norm(eyes)) / EYES_OF_512
            rng = np.random.default_rng((seed, index, int(face)))
            worse = degrade(scene.image, damage, rng, scale)
            only = np.zeros_like(scene.truth.counts)
            only[face] = True
            truth = Truth(scene.truth.boxes, scene.truth.landmarks, only)
            tallies.add(scene, detector.detect(worse), truth, least)
    return tallies
