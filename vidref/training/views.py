"""Random views of stored photographs: the target's, and a reference's that cannot be copied.

All draws are small and made on the CPU, so that they are the same on every device; the sampling of
pixels happens where the photographs lie.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from vidref.training.photos import MARGIN, Photos


@dataclass(frozen=True)
class Spread:
    """How far views may differ: degrees, shift and scale in face widths, perspective, colour."""

    rotation: float
    shift: float
    scale: float
    perspective: float
    colour: float


TARGET = Spread(rotation=4, shift=0.02, scale=0.03, perspective=0, colour=0.05)
REFERENCE = Spread(rotation=6, shift=0.05, scale=0.06, perspective=0.1, colour=0.15)
SAME_PHOTO = Spread(rotation=12, shift=0.08, scale=0.15, perspective=0.25, colour=0.3)
"""For a person with one photograph: strong enough that no pixel keeps its place or its colour."""
NEAR_TARGET = Spread(rotation=2, shift=0.01, scale=0.02, perspective=0, colour=0.05)
NEAR = Spread(rotation=2, shift=0.01, scale=0.02, perspective=0.05, colour=0.15)
NEAR_SAME = Spread(rotation=4, shift=0.02, scale=0.04, perspective=0.12, colour=0.3)
"""The same three for restorers that look at pixels in place: crops and references are aligned by
the same points, and references that lie far off only teach a network not to look."""
FIXED = Spread(0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Spreads:
    """How far the views of a run differ: the target's, another photograph's, the same one's."""

    target: Spread
    reference: Spread
    same_photo: Spread


def spreads(in_place: bool) -> Spreads:
    """For restorers that look at their references in place, or know them by tokens alone."""
    if in_place:
        return Spreads(NEAR_TARGET, NEAR, NEAR_SAME)
    return Spreads(TARGET, REFERENCE, SAME_PHOTO)


def homographies(spread: Spread, flip: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 3, 3) maps from the face square's [-1, 1] to the stored photograph's [-1, 1]."""
    count = len(flip)

    def around(reach: float) -> Tensor:
        return (2 * torch.rand(count, generator=generator) - 1) * reach

    angle = around(spread.rotation * math.pi / 180)
    scale = (1 + around(spread.scale)) / MARGIN
    maps = torch.zeros(count, 3, 3)
    maps[:, 0, 0], maps[:, 0, 1] = scale * angle.cos(), -scale * angle.sin()
    maps[:, 1, 0], maps[:, 1, 1] = scale * angle.sin(), scale * angle.cos()
    maps[:, 0, 2], maps[:, 1, 2] = around(2 * spread.shift), around(2 * spread.shift)
    maps[:, 2, 0], maps[:, 2, 1] = around(spread.perspective / 2), around(spread.perspective / 2)
    maps[:, 2, 2] = 1
    maps[:, :, 0] *= torch.where(flip, -1.0, 1.0)[:, None]
    return maps


def sample_views(photos: Photos, index: Tensor, maps: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Views (B, 3, S, S) in [-1, 1], and a mask (B, 1, S, S) that is 1 where pixels are real."""
    device = photos.pixels.device
    steps = (torch.arange(size, device=device, dtype=torch.float32) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    square = torch.stack([x, y, torch.ones_like(x)], -1).view(1, -1, 3)
    seen = square @ maps.to(device).transpose(1, 2)
    grid = (seen[..., :2] / seen[..., 2:]).view(-1, size, size, 2)
    stored = photos.pixels[index.to(photos.pixels.device)].float() / 127.5 - 1
    views = functional.grid_sample(
        stored, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return views.clamp(-1, 1), real_pixels(photos, index, grid)


def real_pixels(photos: Photos, index: Tensor, grid: Tensor) -> Tensor:
    """1 where a sampled point lies inside the photograph's own area, else 0: (B, 1, S, S)."""
    device = grid.device
    corners = photos.corners[index].to(device)
    point = grid.flatten(1, 2) / 2 + 0.5
    inside = torch.ones(point.shape[:2], dtype=torch.bool, device=device)
    following = corners.roll(-1, 1)
    turn = torch.sign(cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    for side in range(4):
        edge = (following[:, side] - corners[:, side])[:, None]
        inside &= cross(edge, point - corners[:, side][:, None]) * turn[:, None] >= 0
    centre = corners.mean(1, keepdim=True)
    radius = torch.linalg.vector_norm(following - corners, dim=2).amin(1, keepdim=True) / 2
    within = torch.linalg.vector_norm(point - centre, dim=2) <= 0.97 * radius
    inside &= within | ~photos.circular[index].to(device)[:, None]
    return inside.view(len(grid), 1, grid.shape[1], grid.shape[2]).float()


def cross(a: Tensor, b: Tensor) -> Tensor:
    """The z of the cross product of plane vectors."""
    return torch.as_tensor(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])


def jitter(images: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast, saturation and warmth, each by up to `amount`, one draw per picture."""
    draws = 1 + (2 * torch.rand(4, len(images), 1, 1, 1, generator=generator) - 1) * amount
    bright, contrast, saturation, warmth = draws.to(images.device)
    mean = images.mean((1, 2, 3), keepdim=True)
    changed = (images - mean) * contrast + mean + (bright - 1)
    grey = changed.mean(1, keepdim=True)
    changed = (changed - grey) * saturation + grey
    tint = torch.cat([warmth, torch.ones_like(warmth), 2 - warmth], 1)
    return torch.as_tensor(((changed + 1) * tint - 1).clamp(-1, 1))
