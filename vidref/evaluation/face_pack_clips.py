"""A face pack on moving pictures: is everyone found in every frame, and is nobody invented?

What is invented is counted by the tracker's own tracks, since those are what a user sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.evaluation.face_pack_detector import Scene, Tally, Truth
from vidref.evaluation.face_pack_networks import Detects, Image
from vidref.faces.pack import FacePack
from vidref.faces.watch import Watcher

PAN_FRAMES, PAN_RATE = 30, 25


def frames_of(clip: Path) -> Iterator[Image]:
    with av.open(str(clip)) as container:
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


@dataclass(frozen=True)
class ClipResult:
    name: str
    tally: Tally
    worst: list[tuple[Image, NDArray[np.float32]]]
    """Frames with a missed face, and its box; a few."""


def measure_clip(
    pack: FacePack, teacher: Detects, clip: Path, every: int, least: float
) -> ClipResult:
    """Recall against the teacher in every `every`-th frame."""
    tally = Tally()
    worst: list[tuple[Image, NDArray[np.float32]]] = []
    for index, image in enumerate(islice(frames_of(clip), 0, None, every)):
        missed = len(tally.missed)
        tally.add(clip.name, pack.detect(image), Truth.of(teacher.detect(image)), least)
        if len(tally.missed) > missed and len(worst) < 12 and index % 3 == 0:
            worst.append((image, tally.missed[-1][1]))
    return ClipResult(clip.name, tally, worst)


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
