"""Faces of people for the recogniser: decoded once, kept in memory, and drawn as pairs of views.

Most people have one photograph, so a pair is two different augmentations of it; where a person has
more, the two views come from different photographs. A pair's shared background would give the
person away, so the surroundings are often replaced by someone else's.
"""

from __future__ import annotations

import csv
import zipfile
from collections import defaultdict
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.errors import InputError
from vidref.training import face_augment
from vidref.training.face_augment import Image
from vidref.training.recogniser_network import FACE_SIZE

STORED_SIZE = 128
SAME_SCAN_CORRELATION = 0.9


@dataclass(frozen=True)
class People:
    """`faces[photos[p][k]]` is the k-th photograph of person p."""

    names: tuple[str, ...]
    photos: tuple[tuple[int, ...], ...]
    faces: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, chosen: list[int]) -> People:
        return People(
            tuple(self.names[i] for i in chosen),
            tuple(self.photos[i] for i in chosen),
            self.faces,
        )


def read_people(data: Path, split: str) -> People:
    """The aligned faces of one split of `identity.csv`, 128 px RGB."""
    table = data / "identity.csv"
    if not table.is_file():
        raise InputError(f"No identity.csv in {data}: point --data at the folder that holds it.")
    grouped: dict[str, list[int]] = defaultdict(list)
    faces: list[Image] = []
    with zipfile.ZipFile(data / "identity.zip") as archive, table.open() as lines:
        for row in csv.DictReader(lines):
            if row["split"] != split:
                continue
            packed = np.frombuffer(archive.read(row["file"]), np.uint8)
            face = cv2.imdecode(packed, cv2.IMREAD_COLOR)
            if face is None:
                raise InputError(f"{row['file']} in {data / 'identity.zip'} cannot be decoded.")
            grouped[row["person"]].append(len(faces))
            faces.append(np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2RGB), dtype=np.uint8))
    return People(
        tuple(grouped), tuple(tuple(photos) for photos in grouped.values()), np.stack(faces)
    )


def inner(face: Image) -> Image:
    """The 112 px ArcFace square of a stored face."""
    margin = (STORED_SIZE - FACE_SIZE) // 2
    return face[margin : margin + FACE_SIZE, margin : margin + FACE_SIZE]


def same_scan(one: Image, other: Image) -> bool:
    """Two scans or crops of one picture, rather than two photographs."""
    small = [
        cv2.resize(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), (24, 24), interpolation=cv2.INTER_AREA)
        for x in (one, other)
    ]
    return float(np.corrcoef(small[0].ravel(), small[1].ravel())[0, 1]) > SAME_SCAN_CORRELATION


def hold_out(people: People, count: int, seed: int) -> tuple[People, People]:
    """Splits off `count` people who have really different photographs, to choose checkpoints by."""
    different = [
        person
        for person, photos in enumerate(people.photos)
        if len(photos) > 1
        and not any(
            same_scan(people.faces[a], people.faces[b])
            for i, a in enumerate(photos)
            for b in photos[i + 1 :]
        )
    ]
    chosen = set(np.random.default_rng(seed).permutation(different)[:count].tolist())
    rest = [person for person in range(len(people)) if person not in chosen]
    return people.subset(rest), people.subset(sorted(chosen))


def view(people: People, photo: int, rng: np.random.Generator) -> Image:
    """One augmented, often degraded, 112 px view of a photograph."""
    face = people.faces[photo]
    if rng.random() < 0.5:
        face = _elsewhere(face, people.faces[rng.integers(len(people.faces))], rng)
    face = _placed(face, rng)
    if rng.random() < 0.9:
        face = face_augment.light(face, rng)
    if rng.random() < 0.3:
        face = face_augment.side_light(face, rng)
    if rng.random() < 0.15:
        face = face_augment.occlude(face, rng, (FACE_SIZE / 2, FACE_SIZE / 2), FACE_SIZE)
    draw = rng.random()
    if draw < 0.50:
        severe = draw < 0.12
        # Drawn as the protocol draws them on a 512 px face, then scaled to this one.
        scale = FACE_SIZE / 512
        face = face_augment.degrade(
            face,
            rng,
            sigma=scale * (rng.uniform(8, 14) if severe else rng.uniform(0, 8)),
            shrink=scale * (rng.uniform(8, 20) if severe else rng.uniform(1, 9)),
            noise=rng.uniform(0, 18),
            quality=int(rng.uniform(30 if severe else 50, 100)),
        )
    elif draw < 0.55:
        face = face_augment.old_film(face, rng)
    return face


def _elsewhere(face: Image, other: Image, rng: np.random.Generator) -> Image:
    """The face in the surroundings of another picture."""
    mask = np.zeros((STORED_SIZE, STORED_SIZE), np.float32)
    centre = (64, int(rng.uniform(66, 74)))
    axes = (int(rng.uniform(38, 54)), int(rng.uniform(52, 66)))
    cv2.ellipse(mask, centre, axes, rng.uniform(-8, 8), 0, 360, 1.0, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(1, 6))[..., None]
    if rng.random() < 0.5:
        other = other[:, ::-1]
    mixed: NDArray[np.uint8] = (face * mask + other * (1 - mask)).astype(np.uint8)
    return mixed


def _placed(face: Image, rng: np.random.Generator) -> Image:
    """Cuts the 112 px square with the errors of real landmarks and a little perspective."""
    angle = rng.normal(0, 0.07)
    sheer, stretch = rng.normal(0, 0.03), np.exp(rng.normal(0, 0.03))
    scale = np.exp(rng.normal(0.0, 0.05))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.array([[stretch, sheer], [0, 1 / stretch]])
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([-1.0, 1.0])
    middle = STORED_SIZE / 2
    offset = FACE_SIZE / 2 + rng.normal(0, 1.5, 2) - matrix @ np.array([middle, middle])
    return np.asarray(
        cv2.warpAffine(
            face,
            np.hstack([matrix, offset[:, None]]),
            (FACE_SIZE, FACE_SIZE),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        ),
        dtype=np.uint8,
    )


class PairSampler:
    """Batches of two views of each of some people; a batch follows from the seed and its number."""

    def __init__(self, people: People, per_batch: int, several_weight: float, seed: int) -> None:
        self.people = people
        self.per_batch = per_batch
        self.seed = seed
        weights = np.array([several_weight if len(p) > 1 else 1.0 for p in people.photos])
        self._chances = weights / weights.sum()

    def batch(
        self, number: int, pool: Executor | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Faces (2n, 112, 112, 3) and their people (2n), the second views after the first."""
        rng = np.random.default_rng((self.seed, number))
        chosen = rng.choice(len(self.people), self.per_batch, replace=False, p=self._chances)
        wanted: list[tuple[int, int]] = []
        for person in chosen:
            photos = self.people.photos[person]
            first, second = rng.choice(len(photos), 2, replace=False) if len(photos) > 1 else (0, 0)
            wanted.append((photos[first], photos[second]))
        ordered = [a for a, _ in wanted] + [b for _, b in wanted]
        seeds = rng.integers(0, 2**63, len(ordered))

        def make(index: int) -> Image:
            return view(self.people, ordered[index], np.random.default_rng(seeds[index]))

        if pool is None:
            faces = [make(index) for index in range(len(ordered))]
        else:
            faces = list(pool.map(make, range(len(ordered))))
        return np.stack(faces), np.concatenate([chosen, chosen]).astype(np.int64)
