"""Embedding faces and measuring them on held-out people: what checkpoints are chosen by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor

from vidref.training import face_augment
from vidref.training.recogniser_data import People, inner
from vidref.training.recogniser_network import FACE_SIZE


def as_input(faces: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 NHWC RGB to the [-1, 1] channels-last batch that the network reads."""
    batch = torch.from_numpy(faces).to(device).permute(0, 3, 1, 2)
    return batch.float().sub_(127.5).div_(127.5).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def embed(network: torch.nn.Module, faces: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Unit embeddings, each face and its mirror added."""
    parts = []
    for start in range(0, len(faces), 128):
        batch = as_input(faces[start : start + 128], device)
        both = functional.normalize(network(batch).float()) + functional.normalize(
            network(batch.flip(3)).float()
        )
        parts.append(functional.normalize(both).cpu())
    return torch.cat(parts)


@dataclass(frozen=True)
class HeldOut:
    """Inner squares of the held-out people, clean and degraded once for all measurements."""

    people: NDArray[np.int64]
    clean: NDArray[np.uint8]
    degraded: NDArray[np.uint8]

    @staticmethod
    def of(held: People, seed: int) -> HeldOut:
        owners = [p for p, photos in enumerate(held.photos) for _ in photos]
        clean = [inner(held.faces[i]) for photos in held.photos for i in photos]
        scale = FACE_SIZE / 512
        degraded = []
        for index, face in enumerate(clean):
            rng = np.random.default_rng((seed, index))
            degraded.append(
                face_augment.degrade(
                    face,
                    rng,
                    sigma=scale * rng.uniform(0, 8),
                    shrink=scale * rng.uniform(1, 8),
                    noise=rng.uniform(0, 15),
                    quality=int(rng.uniform(60, 100)),
                )
            )
        return HeldOut(np.array(owners), np.stack(clean), np.stack(degraded))

    def accepts(self, network: torch.nn.Module, device: torch.device) -> tuple[float, float]:
        """True accepts at one false in a thousand: clean pairs, and one side degraded."""
        clean = embed(network, self.clean, device)
        degraded = embed(network, self.degraded, device)
        same = self.people[:, None] == self.people[None]
        upper = np.triu(np.ones_like(same), 1)
        apart = ~np.eye(len(same), dtype=bool)
        return (
            true_accepts((clean @ clean.T).numpy(), same & upper, ~same & upper),
            true_accepts((clean @ degraded.T).numpy(), same & apart, ~same),
        )


def true_accepts(
    scores: NDArray[np.float32], same: NDArray[np.bool_], different: NDArray[np.bool_]
) -> float:
    threshold = np.quantile(scores[different], 0.999)
    return float((scores[same] > threshold).mean())
