"""Sets what the refiner's score means: from one half on, 19 of 20 are faces.

The windows it is trained on hold far more faces than a frame's proposals do, so its raw score says
yes too easily. On held-out pictures, as they are and damaged, the score is found at which 19 of 20
are right, and the network's last bias is moved so that this is one half.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import torch
from numpy.typing import NDArray

from vidref.faces.boxes import match, overlaps
from vidref.faces.finder import PROPOSED, confirmed, worth_a_look
from vidref.faces.pack import FacePack
from vidref.faces.refiner import Refiner
from vidref.training import face_augment
from vidref.training.detector_labels import Labels, Picture
from vidref.training.face_augment import Image
from vidref.training.face_export import RefinerOutputs
from vidref.training.refiner_network import RefinerNetwork

RIGHT = 0.95
SMALLEST_PX = 24.0
LEAST, ROUNDS = 0.01, 3


def settle_score(
    network: RefinerNetwork,
    pack: FacePack,
    pictures: list[Picture],
    seed: int,
    device: torch.device,
) -> float:
    """Moves the bias of the score, and returns by how much.

    A face's score is a mean of several looks (`finder.confirmed`), which does not move as a single
    one does: what is left after the first move is moved again.
    """
    assert network.judge.bias is not None
    moved = 0.0
    for _ in range(ROUNDS):
        level = _level(network, pack, pictures, seed, device)
        step = math.log(level / (1 - level))
        with torch.no_grad():
            network.judge.bias[0] -= step
        moved += step
    return moved


def _level(
    network: RefinerNetwork,
    pack: FacePack,
    pictures: list[Picture],
    seed: int,
    device: torch.device,
) -> float:
    """The score from which on 19 of 20 are faces; one half where there is none."""
    eager, refiner = pack.with_least_score(PROPOSED), Refiner(TorchSession(network, device))
    scores: list[float] = []
    right: list[bool] = []
    for image, labels in _as_they_are_and_damaged(pictures, seed):
        faces = confirmed(refiner, image, worth_a_look(eager.propose(image)), LEAST)
        boxes = np.array([face.box_xyxy for face in faces], np.float32).reshape(-1, 4)
        claims = match(boxes, np.array([f.score for f in faces], "f"), labels.boxes, 0.5)
        for box, face, claim in zip(boxes, faces, claims, strict=True):
            doubtful = claim >= 0 and not _counts(labels, claim)
            double = claim < 0 and len(labels.boxes) and overlaps(box, labels.boxes).max() > 0.3
            if not doubtful and not double:
                scores.append(face.score)
                right.append(claim >= 0)
    order = np.argsort(-np.array(scores))
    share = np.array(right, float)[order].cumsum() / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share >= RIGHT)
    level = float(np.array(scores)[order][good.max()]) if len(good) else 0.5
    return min(max(level, LEAST), 1 - LEAST)


class TorchSession:
    """A network in training behind the few words of onnxruntime that `Refiner` uses."""

    def __init__(self, network: RefinerNetwork, device: torch.device) -> None:
        self._network = RefinerOutputs(network).eval()
        self._device = device

    def get_inputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="windows")]

    @torch.no_grad()
    def run(self, names: None, feed: dict[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        windows = torch.from_numpy(feed["windows"]).to(self._device)
        return [part.cpu().numpy() for part in self._network(windows)]


def _as_they_are_and_damaged(pictures: list[Picture], seed: int) -> Iterator[tuple[Image, Labels]]:
    for number, picture in enumerate(pictures):
        yield picture.image, picture.labels
        rng = np.random.default_rng((seed, number))
        sides = (picture.labels.boxes[:, 2:] - picture.labels.boxes[:, :2]).max(1, initial=0)
        scale = float(sides.max(initial=0) or 160) / 512
        yield (
            face_augment.degrade(
                picture.image,
                rng,
                sigma=scale * rng.uniform(4, 14),
                shrink=scale * rng.uniform(4, 24),
                noise=rng.uniform(0, 18),
                quality=int(rng.integers(30, 100)),
            ),
            picture.labels,
        )


def _counts(labels: Labels, index: int) -> bool:
    sides = labels.boxes[index, 2:] - labels.boxes[index, :2]
    return bool(labels.sure[index] and sides.min() >= SMALLEST_PX)
