"""Sets what the refiner's score means: from one half on, 19 of 20 are faces.

The windows it is trained on hold far more faces than a frame's proposals do, so its raw score says
yes too easily. On held-out pictures, as they are and damaged, the score is found at which 19 of 20
are right, and the network's last bias is moved so that this is one half.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from vidref.faces.boxes import match, overlaps
from vidref.faces.finder import MOST_PROPOSED, PROPOSED
from vidref.faces.pack import FacePack
from vidref.faces.refiner import view_of, window_of_box
from vidref.training import face_augment
from vidref.training.detector_labels import Labels, Picture
from vidref.training.detector_train import as_input
from vidref.training.face_augment import Image
from vidref.training.refiner_network import RefinerNetwork

RIGHT = 0.95
SMALLEST_PX = 24.0


def settle_score(
    network: RefinerNetwork,
    pack: FacePack,
    pictures: list[Picture],
    seed: int,
    device: torch.device,
) -> float:
    """Moves the bias of the score, and returns by how much."""
    eager = pack.with_least_score(PROPOSED)
    scores: list[float] = []
    right: list[bool] = []
    for image, labels in _as_they_are_and_damaged(pictures, seed):
        windows = [window_of_box(f.box_xyxy) for f in eager.propose(image)[:MOST_PROPOSED]]
        if not windows:
            continue
        views = np.stack([view_of(image, window)[0] for window in windows])
        with torch.no_grad():
            found = [part.cpu().numpy() for part in network(as_input(views, device))]
        boxes = np.stack([_box(b, w) for b, w in zip(found[1], windows, strict=True)])
        claims = match(boxes, found[0], labels.boxes, 0.5)
        for box, score, claim in zip(boxes, found[0], claims, strict=True):
            doubtful = claim >= 0 and not _counts(labels, claim)
            double = claim < 0 and len(labels.boxes) and overlaps(box, labels.boxes).max() > 0.3
            if not doubtful and not double:
                scores.append(float(score))
                right.append(claim >= 0)
    order = np.argsort(-np.array(scores))
    share = np.array(right, float)[order].cumsum() / np.arange(1, len(order) + 1)
    good = np.flatnonzero(share >= RIGHT)
    if not len(good):
        return 0.0
    moved = float(np.array(scores)[order][good.max()])
    assert network.judge.bias is not None
    with torch.no_grad():
        network.judge.bias[0] -= moved
    return moved


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


def _box(found: NDArray[np.float32], window: NDArray[np.float64]) -> NDArray[np.float32]:
    middle, side = window[:2] + found[:2] * window[2], window[2]
    half = np.exp(found[2:]) * side / 2
    return np.concatenate([middle - half, middle + half]).astype(np.float32)


def _counts(labels: Labels, index: int) -> bool:
    sides = labels.boxes[index, 2:] - labels.boxes[index, :2]
    return bool(labels.sure[index] and sides.min() >= SMALLEST_PX)
