"""Which cell learns which face, and what it pays for.

Two predictions a cell and three strides make six size classes, one octave each; a face is learned
by the cells near its centre in the class of its size, and in the neighbouring class where its size
is near the border. Doubtful faces cost nothing either way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from vidref.training.detector_labels import Labels
from vidref.training.detector_network import ANCHORS, STRIDES

SIZE_BORDERS_PX = (20.0, 40.0, 80.0, 160.0, 320.0)
BORDER_OVERLAP = 1.3


@dataclass(frozen=True)
class Cells:
    """All predictions of one picture in the network's order: stride, row, column, anchor."""

    centres: Tensor
    stride: Tensor
    smallest: Tensor
    largest: Tensor

    @staticmethod
    def of(size: int, device: torch.device) -> Cells:
        centres, strides, low, high = [], [], [], []
        borders = (0.0, *SIZE_BORDERS_PX, 1e6)
        for level, stride in enumerate(STRIDES):
            along = torch.arange(size // stride) * float(stride)
            y, x = torch.meshgrid(along, along, indexing="ij")
            grid = torch.stack([x, y], -1).reshape(-1, 2).repeat_interleave(ANCHORS, 0)
            classes = torch.arange(ANCHORS).repeat(len(grid) // ANCHORS) + ANCHORS * level
            centres.append(grid)
            strides.append(torch.full((len(grid),), float(stride)))
            low.append(torch.tensor(borders)[classes] / BORDER_OVERLAP)
            high.append(torch.tensor(borders)[classes + 1] * BORDER_OVERLAP)
        parts = (torch.cat(part).to(device) for part in (centres, strides, low, high))
        return Cells(*parts)


@dataclass(frozen=True)
class Predictions:
    """Flattened outputs of a batch: scores (B, P), boxes xyxy (B, P, 4), points (B, P, 5, 2)."""

    scores: Tensor
    boxes: Tensor
    points: Tensor

    @staticmethod
    def of(maps: list[tuple[Tensor, Tensor, Tensor]], cells: Cells) -> Predictions:
        flat = [[_flat(m.float(), size) for m, size in zip(level, (1, 4, 10), strict=True)]
                for level in maps]  # fmt: skip
        scores, distances, offsets = (torch.cat(part, 1) for part in zip(*flat, strict=True))
        stride, centres = cells.stride[:, None], cells.centres
        distances = distances * stride
        boxes = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], -1)
        points = offsets.reshape(*offsets.shape[:-1], 5, 2) * stride[..., None] + centres[:, None]
        return Predictions(scores[..., 0], boxes, points)


def _flat(maps: Tensor, size: int) -> Tensor:
    batch, _, height, width = maps.shape
    return maps.permute(0, 2, 3, 1).reshape(batch, height * width * ANCHORS, size)


def assign(cells: Cells, labels: Labels) -> tuple[Tensor, Tensor]:
    """For every prediction the face it learns, or -1; and whether its score is to be judged."""
    count, device = len(cells.stride), cells.stride.device
    chosen = torch.full((count,), -1, dtype=torch.long, device=device)
    judged = torch.ones(count, dtype=torch.bool, device=device)
    if not len(labels.sure):
        return chosen, judged
    boxes = torch.from_numpy(np.ascontiguousarray(labels.boxes)).to(device)
    sure = torch.from_numpy(labels.sure).to(device)
    sizes = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1).sqrt()
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    away = (cells.centres[:, None] - middle).abs().amax(-1)
    reach = torch.minimum(
        torch.maximum(0.75 * cells.stride[:, None], 0.22 * sizes), 1.6 * cells.stride[:, None]
    )
    fits = (sizes >= cells.smallest[:, None]) & (sizes < cells.largest[:, None])
    cost = torch.where(fits & (away <= reach) & sure, away / sizes, torch.inf)
    best, index = cost.min(1)
    chosen = torch.where(best.isfinite(), index, chosen)
    inside = (
        (cells.centres[:, None] >= boxes[:, :2]) & (cells.centres[:, None] <= boxes[:, 2:])
    ).all(-1)
    judged = ~(inside & ~sure).any(1) | (chosen >= 0)
    return chosen, judged


@dataclass(frozen=True)
class Losses:
    scores: Tensor
    boxes: Tensor
    points: Tensor


def detector_loss(found: Predictions, cells: Cells, labels: list[Labels]) -> Losses:
    """Quality focal loss on scores (their target is the overlap), GIoU on boxes, L1 on points."""
    assigned = [assign(cells, each) for each in labels]
    chosen = torch.stack([c for c, _ in assigned])
    judged = torch.stack([j for _, j in assigned])
    picture, cell = (chosen >= 0).nonzero(as_tuple=True)
    target_scores = torch.zeros_like(found.scores)
    box_loss = point_loss = found.boxes.sum() * 0
    if len(cell):
        offsets = np.cumsum([0] + [len(each.sure) for each in labels])
        device = found.scores.device
        rows = torch.from_numpy(offsets).to(device)[picture] + chosen[picture, cell]
        true_boxes = torch.from_numpy(np.concatenate([e.boxes for e in labels])).to(device)[rows]
        true_points = torch.from_numpy(np.concatenate([e.landmarks for e in labels])).to(device)
        overlap, generalised = _giou(found.boxes[picture, cell], true_boxes)
        target_scores[picture, cell] = overlap.detach().clamp(min=0.05)
        sizes = (true_boxes[:, 2:] - true_boxes[:, :2]).prod(1).sqrt()[:, None, None]
        wrong = (found.points[picture, cell] - true_points[rows]) / sizes
        box_loss = (1 - generalised).mean()
        point_loss = functional.smooth_l1_loss(wrong, torch.zeros_like(wrong), beta=0.01)
    chance = found.scores.sigmoid()
    each = functional.binary_cross_entropy_with_logits(
        found.scores, target_scores, reduction="none"
    )
    each = each * (target_scores - chance).abs().square() * judged
    return Losses(each.sum() / max(1, len(cell)), box_loss, point_loss)


def _giou(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    low = torch.maximum(one[:, :2], other[:, :2])
    high = torch.minimum(one[:, 2:], other[:, 2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = (one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1)
    union = (areas - shared).clamp(min=1e-6)
    hull = (torch.maximum(one[:, 2:], other[:, 2:]) - torch.minimum(one[:, :2], other[:, :2])).prod(
        1
    )
    overlap = shared / union
    return overlap, overlap - (hull - union) / hull.clamp(min=1e-6)
