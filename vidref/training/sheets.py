"""Picture sheets: rows of faces, so that a run can be judged by looking."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from vidref.model.bundle import RestorerNetwork
from vidref.model.context import Reference
from vidref.model.restorer import Face, Restorer, Sampling
from vidref.model.separable import resized
from vidref.training.batches import Batch

ROWS = 6


def to_picture(tiles: list[list[Tensor]]) -> Image.Image:
    """A grid of pictures in [-1, 1], row by row."""
    whole = torch.cat([torch.cat(row, 2) for row in tiles], 1)
    pixels = ((whole.float().clamp(-1, 1) + 1) * 127.5).round().byte()
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def save_sheet(
    path: Path, network: RestorerNetwork, weights: dict[str, Tensor], batch: Batch
) -> None:
    """Degraded, restored with its references in 4 steps, first reference, truth: one row a face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    training = network.own_weights()
    kept = {key: value.detach().clone() for key, value in training.items()}
    grads = {name: weight.requires_grad for name, weight in network.named_parameters()}
    network.load_state_dict(weights, strict=False)
    size, count = batch.target.shape[-1], min(ROWS, len(batch.target))
    device = batch.target.device
    restorer = Restorer(network, device, batch=count, max_references=batch.references.shape[1])
    faces = []
    for row in range(count):
        told = [
            Reference(
                batch.references[row, j : j + 1],
                None if batch.embeddings is None else batch.embeddings[row, j : j + 1],
            )
            for j in range(int(batch.counts[row]))
        ]
        faces.append(Face(batch.degraded[row], str(row), restorer.remember(told)))
    restored = restorer.restore(faces, Sampling())
    tiles = [
        [
            batch.degraded[row].cpu(),
            restored[row],
            resized(batch.references[row, :1].cpu(), size)[0],
            batch.target[row].cpu(),
        ]
        for row in range(count)
    ]
    picture = to_picture(tiles)
    if size > 256:
        picture = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)
    picture.save(path)
    network.load_state_dict(kept, strict=False)
    for name, weight in network.named_parameters():
        weight.requires_grad_(grads[name])
    network.train()
