"""References in place: each photograph moved to where the degraded face has what it shows.

Tokens tell a network who somebody is; only pixels tell it what their eye looks like. All crops are
aligned by five points already, so what is left is small: a smooth field of shifts, found by a small
network from both pictures and from how alike their places are. Of several references a face takes
those that, in place, agree with it most, so any number may be shown to a network that was trained
with one or two.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.model.config import AlignerConfig
from vidref.model.context import ResidualBlock
from vidref.model.separable import linear

COMPARED = 16
"""Features by which places are compared."""
REACH = 3
"""Every place of the face is compared with those of the reference up to so many cells away."""
COARSE, CHOOSY = 8, 30.0
"""Pixels to a pixel when references are compared with a face; and by how many powers of e one of
likeness 1 is taken rather than one of 0."""


class Shown(NamedTuple):
    """What a person's references show, in place: `picture` (B, 3, S, S), zeros where none is.

    `there` (B,) is 1 for faces with references and 0 for others. A tuple, because it passes through
    wrappers of modules for several processes.
    """

    picture: Tensor
    there: Tensor


class Known(NamedTuple):
    """References as the aligner sees them: what they bring to its first layer, and what of them is
    compared with a face."""

    entering: Tensor
    compared: Tensor


@dataclass(frozen=True)
class Moved:
    """Every reference (B, N, 3, S, S) moved into place, by `shifts` (B, N, 2, h, w) in half widths,
    and how well each suits each place (B, N, 1, h, w)."""

    pictures: Tensor
    shifts: Tensor
    fit: Tensor


class Aligner(nn.Module):
    """Two pictures' latents in, a field of shifts and of fitness out."""

    def __init__(self, config: AlignerConfig, channels: int, place: int) -> None:
        super().__init__()
        self.reach, widths = 2 * config.reach, config.widths
        # channels of face, reference, likeness and place
        self.parts = [widths[0], widths[0], (2 * REACH + 1) ** 2, place]
        # one pair of eyes for what is damaged and one for what is not
        self.face, self.reference = (
            nn.Sequential(nn.Conv2d(channels, widths[0], 1), ResidualBlock(widths[0]))
            for _ in range(2)
        )
        self.compare = nn.ModuleList(nn.Conv2d(widths[0], COMPARED, 1) for _ in range(2))
        self.enter = nn.Conv2d(sum(self.parts), widths[0], 3, 1, 1)
        self.down = nn.ModuleList(
            nn.Sequential(ResidualBlock(fine), nn.Conv2d(fine, coarse, 3, 2, 1))
            for fine, coarse in pairwise(widths)
        )
        self.middle = ResidualBlock(widths[-1])
        self.up = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(coarse, fine, 1), ResidualBlock(fine)])
            for fine, coarse in reversed(list(pairwise(widths)))
        )
        self.even = nn.GroupNorm(16, widths[0])
        self.say = nn.Conv2d(widths[0], 3, 3, 1, 1)
        nn.init.zeros_(self.say.weight)
        nn.init.zeros_(cast(Tensor, self.say.bias))

    def look_at(self, z_references: Tensor) -> Known:
        """What of references (N, C, h, w) is the same beside any face."""
        features = self.reference(z_references)
        return Known(self._entering(1, features), self.compare[1](features))

    def _entering(self, part: int, features: Tensor) -> Tensor:
        """The first layer's share of one of the `parts` that it sees.

        A layer is a sum over its channels, and not every part is another for every pair.
        """
        weights = torch.split(self.enter.weight, self.parts, 1)
        return functional.conv2d(features, weights[part], padding=1)

    def forward(self, z_lq: Tensor, known: Known, place: Tensor) -> Tensor:
        """(N, 3, h, w): shifts across and down in half widths, and fitness.

        As many references for every face as N is times the number of faces.
        """
        count = len(known.compared) // len(z_lq)
        face = self.face(z_lq)
        alike = likeness(self.compare[0](face).repeat_interleave(count, 0), known.compared)
        own = self._entering(0, face) + self._entering(3, place)
        x = known.entering + own.repeat_interleave(count, 0) + self._entering(2, alike)
        x = x + cast(Tensor, self.enter.bias)[:, None, None]
        kept = []
        for block in self.down:
            kept.append(x)
            x = block(x)
        x = self.middle(x)
        for (narrow, block), beside in zip(
            (cast(nn.ModuleList, pair) for pair in self.up), reversed(kept), strict=True
        ):
            above = functional.interpolate(narrow(x), beside.shape[-2:], mode="bilinear")
            x = block(above + beside)
        said = self.say(functional.silu(self.even(x)))
        return torch.cat([self.reach * torch.tanh(said[:, :2]), said[:, 2:]], 1)


def likeness(face: Tensor, reference: Tensor) -> Tensor:
    """(B, (2 REACH + 1)^2, h, w): the cosine of each place with each place near it."""
    face, reference = functional.normalize(face, dim=1), functional.normalize(reference, dim=1)
    height, width = face.shape[-2:]
    wide = functional.pad(reference, [REACH] * 4, mode="replicate")
    rows, beside = face.permute(0, 2, 3, 1), wide.permute(0, 2, 1, 3)
    around = []
    for down in range(2 * REACH + 1):
        # all places of a row with all of the row so far down: near ones lie along diagonals
        product = rows @ beside[:, down : down + height]
        around += [product.diagonal(across, 2, 3)[..., :width] for across in range(2 * REACH + 1)]
    return torch.stack(around, 1)


def moved(pictures: Tensor, shifts: Tensor, between: str = "bilinear") -> Tensor:
    """(B, C, S, S) with every pixel taken from where `shifts` (B, 2, h, w) says."""
    side = pictures.shape[-1]
    field = enlarged(shifts.float(), side)
    steps = (torch.arange(side, device=pictures.device, dtype=torch.float32) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.stack([x + field[:, 0], y + field[:, 1]], -1)
    return functional.grid_sample(
        pictures.float(), grid, mode=between, padding_mode="border", align_corners=False
    )


def small(pictures: Tensor, shrink: int = COARSE) -> Tensor:
    """Pictures (..., 3, S, S) in grey and so many times smaller, (..., 1, S / shrink, S / shrink).

    As by default they show what a degraded one may still show.
    """
    grey = functional.avg_pool2d(pictures.flatten(0, -4).mean(1, keepdim=True), shrink)
    return grey.view(*pictures.shape[:-3], *grey.shape[-3:])


def suiting(weights: Tensor, references: Tensor, shifts: Tensor, seen: Tensor) -> Tensor:
    """Weights (B, N) times how well each reference agrees, in place, with the degraded face.

    `references` (B, N, 1, s, s) and `seen` (B, 1, s, s) are `small`. A mixture of photographs is
    of nobody in particular: it is better to take the one with this pose and expression.
    """
    count = weights.shape[1]
    found = moved(references.flatten(0, 1), shifts.flatten(0, 1))
    alike = local_correlation(found, seen.repeat_interleave(count, 0))
    score = middle(alike).mean((1, 2, 3)).view(-1, count)
    best = torch.where(weights > 0, score, score.new_tensor(-2)).amax(1, keepdim=True)
    return weights * (CHOOSY * (score - best).clamp(max=0)).exp()


def middle(x: Tensor) -> Tensor:
    """What lies over the face itself and not beside it: an eighth of the side is left out."""
    edge = x.shape[-1] // 8
    return x[..., edge : x.shape[-1] - edge, edge : x.shape[-1] - edge]


def local_correlation(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of two grey pictures (B, 1, h, w) in the window of 9 px about each place."""

    def mean(x: Tensor) -> Tensor:
        return functional.avg_pool2d(x, 9, 1, 4, count_include_pad=False)

    first, second = a - mean(a), b - mean(b)
    both = mean(first * second)
    # flat windows say nothing about place
    spread = (mean(first.square()) * mean(second.square()) + 1e-6).sqrt()
    return both / spread


def together(found: Moved, weights: Tensor) -> Shown:
    """One picture of all references; `weights` (B, N) are zero where there is none."""
    side = found.pictures.shape[-1]
    there = (weights > 0).any(1)
    # a face without any gets an even mixture of nothing, so that no number is infinite
    told = torch.where(there[:, None], weights, torch.ones_like(weights))
    share = enlarged(shares(found.fit, told), side)
    picture = (found.pictures * share[:, :, None]).sum(1)
    return Shown(picture * there.view(-1, 1, 1, 1), there.to(picture.dtype))


def shares(fit: Tensor, weights: Tensor) -> Tensor:
    """(B, N, h, w): how much each place takes of each reference; over all of them it is one."""
    told = fit[:, :, 0].float() + weights.log().clamp(min=-30)[..., None, None]
    return told.softmax(1)


def enlarged(maps: Tensor, side: int) -> Tensor:
    """Coarse maps (B, N, h, w) at `side` pixels."""
    return linear(maps.shape[-1], side, maps.device, maps.dtype)(maps)
