"""How well a recogniser tells the people of `identity.csv`'s dev split apart."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.evaluation.face_pack_degradation import Damage, degrade_aligned
from vidref.evaluation.face_pack_networks import Embeds, Image

FALSE_ACCEPTS = 1e-3
REPEATS = 500


@dataclass(frozen=True)
class Photographs:
    """112 px aligned crops of the dev split and whose they are."""

    files: list[str]
    people: NDArray[np.int64]
    crops: list[Image]


def read_photographs(data: Path) -> Photographs:
    with (data / "identity.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == "dev"]
    names = sorted({row["person"] for row in rows})
    crops = []
    with zipfile.ZipFile(data / "identity.zip") as archive:
        for row in rows:
            packed = np.frombuffer(archive.read(row["file"]), np.uint8)
            face = cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
            crops.append(np.asarray(face[8:120, 8:120], np.uint8))
    people = np.array([names.index(row["person"]) for row in rows])
    return Photographs([row["file"] for row in rows], people, crops)


@dataclass(frozen=True)
class Verification:
    """True accepts at one false in a thousand, its 95 % interval over people, the threshold."""

    accepts: float
    low: float
    high: float
    threshold: float
    same: int
    different: int


def verify_clean(recogniser: Embeds, photos: Photographs, seed: int) -> Verification:
    vectors = recogniser.embed_aligned(photos.crops)
    one, other = np.triu_indices(len(vectors), 1)
    return _verification(vectors, vectors, photos.people, one, other, seed)


def verify_degraded(
    recogniser: Embeds, photos: Photographs, damage: Damage, seed: int
) -> Verification:
    """One side of every pair degraded, each side in turn."""
    clean = recogniser.embed_aligned(photos.crops)
    worse = recogniser.embed_aligned(
        [
            degrade_aligned(crop, damage, np.random.default_rng((seed, index)))
            for index, crop in enumerate(photos.crops)
        ]
    )
    one, other = np.nonzero(~np.eye(len(clean), dtype=bool))
    return _verification(clean, worse, photos.people, one, other, seed)


def _verification(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    people: NDArray[np.int64],
    one: NDArray[np.intp],
    other: NDArray[np.intp],
    seed: int,
) -> Verification:
    scores = (first @ second.T)[one, other]
    same = people[one] == people[other]
    accepts, threshold = _accepts(scores, same, np.ones(len(scores), np.int64))
    rng = np.random.default_rng(seed)
    count = int(people.max()) + 1
    drawn = []
    for _ in range(REPEATS):
        # People are drawn, not pairs: the pairs of one person stand or fall together.
        times = np.bincount(rng.integers(0, count, count), minlength=count)
        weights = np.where(same, times[people[one]], times[people[one]] * times[people[other]])
        drawn.append(_accepts(scores, same, weights)[0])
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Verification(
        accepts, float(low), float(high), threshold, int(same.sum()), int((~same).sum())
    )


def _accepts(
    scores: NDArray[np.float32], same: NDArray[np.bool_], weights: NDArray[np.int64]
) -> tuple[float, float]:
    wrong, heavy = scores[~same], weights[~same]
    # Only the top of the different pairs matters: sort a hundredth of them, not all.
    top = np.argpartition(-wrong, len(wrong) // 50)[: len(wrong) // 50]
    top = top[np.argsort(-wrong[top])]
    passed = np.cumsum(heavy[top]) > FALSE_ACCEPTS * heavy.sum()
    threshold = float(wrong[top][int(passed.argmax())])
    right = weights[same]
    return float((right * (scores[same] > threshold)).sum() / max(1, right.sum())), threshold
