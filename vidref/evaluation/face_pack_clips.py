"""A face pack on moving pictures: is everyone found in every frame, and is nobody invented?

To gather embeddings of one person, faces are chained from frame to frame by overlap alone. What is
invented is counted by the tracker's own tracks, since those are what a user sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.evaluation.face_pack_detector import Scene, Tally, Truth
from vidref.evaluation.face_pack_networks import Detects, Image
from vidref.faces.boxes import overlaps
from vidref.faces.detected import DetectedFace
from vidref.faces.pack import FacePack
from vidref.faces.watch import Watcher

CHAINED = 0.3
PAN_FRAMES, PAN_RATE = 30, 25
EMBEDDED_EVERY = 5
SHORTEST_PERSON = 3
"""Embeddings that a chain must have to stand for a person."""


def frames_of(clip: Path) -> Iterator[Image]:
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


@dataclass
class Chain:
    """One face through consecutive frames."""

    first: int
    last: int
    box: NDArray[np.float32]
    crops: list[Image] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.last - self.first + 1


def extend(chains: list[Chain], frame: int, found: list[DetectedFace]) -> list[Chain]:
    """Adds a frame's faces to the chains; returns each face's chain."""
    live = [c for c in chains if c.last == frame - 1]
    mine = []
    for face in found:
        shared = [float(overlaps(face.box_xyxy, c.box[None])[0]) for c in live]
        best = int(np.argmax(shared)) if shared else -1
        if best >= 0 and shared[best] >= CHAINED:
            chain = live.pop(best)
            chain.last, chain.box = frame, face.box_xyxy
        else:
            chain = Chain(frame, frame, face.box_xyxy)
            chains.append(chain)
        mine.append(chain)
    return mine


@dataclass(frozen=True)
class ClipResult:
    name: str
    tally: Tally
    chains: list[Chain]
    worst: list[tuple[Image, NDArray[np.float32]]]
    """Frames with a missed face, and its box; a few."""


def measure_clip(
    pack: FacePack, teacher: Detects, clip: Path, every: int, least: float
) -> ClipResult:
    """Recall against the teacher in every `every`-th frame; gathers faces for embedding."""
    from vidref.faces.pack import aligned

    tally, chains = Tally(), list[Chain]()
    worst: list[tuple[Image, NDArray[np.float32]]] = []
    for index, image in enumerate(islice(frames_of(clip), 0, None, every)):
        found = pack.detect(image)
        missed = len(tally.missed)
        truth = Truth.of(teacher.detect(image))
        tally.add(clip.name, found, truth, least)
        if len(tally.missed) > missed and len(worst) < 12 and index % 3 == 0:
            worst.append((image, tally.missed[-1][1]))
        for face, chain in zip(found, extend(chains, index, found), strict=True):
            large = (face.box_xyxy[2:] - face.box_xyxy[:2]).min() >= 24
            if large and (index - chain.first) % max(1, EMBEDDED_EVERY // every) == 0:
                chain.crops.append(aligned(image, face.landmarks_xy))
    return ClipResult(clip.name, tally, chains, worst)


def longest_false_track(pack: FacePack, scenes: list[Scene], seed: int) -> dict[str, int]:
    """Frames of the longest track in a slow, compressed pan over each scene without faces."""
    longest: dict[str, int] = {}
    for number, scene in enumerate(scenes):
        rng = np.random.default_rng((seed, number))
        watcher = Watcher(pack)
        for index, image in enumerate(_pan(scene.image, rng)):
            last = index == PAN_FRAMES - 1
            watcher.see(index, index / PAN_RATE, partial(np.copy, image), whole=last)
        longest[scene.name] = max((len(t.frames) for t in watcher.finish()), default=0)
    return longest


def _pan(image: Image, rng: np.random.Generator) -> Iterator[Image]:
    height, width = image.shape[:2]
    start, end = rng.uniform(0.6, 1.0, 2)
    from_corner, to_corner = rng.uniform(0, 1, (2, 2))
    for step in np.linspace(0, 1, PAN_FRAMES):
        size = (start + (end - start) * step) * np.array([width, height])
        corner = (from_corner + (to_corner - from_corner) * step) * ([width, height] - size)
        matrix = np.array([[width / size[0], 0, 0], [0, height / size[1], 0]])
        matrix[:, 2] = -corner * matrix[[0, 1], [0, 1]]
        view = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)
        view = np.clip(view + rng.normal(0, 3, view.shape), 0, 255).astype(np.uint8)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(60, 90))]
        _, packed = cv2.imencode(".jpg", view, quality)
        yield np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)


@dataclass(frozen=True)
class Separation:
    """Cosines of mean embeddings: one person in two clips, and two people in one clip."""

    same: dict[str, float]
    different: dict[str, float]

    @property
    def gap(self) -> tuple[float, float]:
        """Largest of different people, smallest of the same: apart if first < second."""
        return max(self.different.values()), min(self.same.values())


def separate(pack: FacePack, results: list[ClipResult], pairs: list[tuple[str, str]]) -> Separation:
    """`pairs` name clips of one and the same person, each the longest chain of its clip."""
    by_name = {result.name: _people(pack, result) for result in results}
    same = {}
    for one, other in pairs:
        if by_name.get(one) and by_name.get(other):
            same[f"{one} - {other}"] = float(by_name[one][0][1] @ by_name[other][0][1])
    different = {}
    for name, people in by_name.items():
        for index, (chain, vector) in enumerate(people):
            for another, (later, vector2) in enumerate(people[index + 1 :], index + 1):
                if chain.first <= later.last and later.first <= chain.last:
                    key = f"{name} #{index} - #{another}"
                    different[key] = float(vector @ vector2)
    return Separation(same, different)


def _people(pack: FacePack, result: ClipResult) -> list[tuple[Chain, NDArray[np.float32]]]:
    """Chains that are long enough to be a person, the longest first, with mean embeddings."""
    people = []
    for chain in sorted(result.chains, key=lambda c: -c.length):
        if len(chain.crops) >= SHORTEST_PERSON:
            mean = pack.embed_aligned(chain.crops).mean(0)
            people.append((chain, mean / np.linalg.norm(mean)))
    return people
