"""Skin is not smooth: the finest detail of a restored face, drawn at the strength it really has.

What a degraded face does not show, and no photograph lends, nobody can know; but how strong it is
can be known: a small network that looks at the face, its input and its photographs in place was
taught how much detail of each fineness the truth has where (`vidref train grain`). What the face
lacks of that is added, in part, as noise of that fineness. It belongs to the person and lies still
in the aligned face, so it does not boil from frame to frame; a face that has its detail gets none;
and it is grey alone. It is texture and says nothing of who this is.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.model.config import GRAIN_PX, GrainConfig
from vidref.model.denoiser import coordinates
from vidref.model.noise import person_noise
from vidref.model.separable import kept_for_training, linear, low_pass
from vidref.model.texture import grey

CELL = 8
"""Pixels along a cell, for each of which strengths are said."""
AROUND = 1.0
"""Deviation, in cells, of the blur over which what is lacking is averaged."""
FACE = ((0.55, 0.5), (0.42, 0.36))
"""Middle and half axes of the face in its square, down and across: beside it none is wanted."""
SOFT = 0.15
"""How far inside its border the face begins to count less, as a share of the half axes."""
FAINTEST = 1e-6
"""Strength (mean square of values in [-1, 1]) that counts as none: an eighth of a level."""


class Grain(nn.Module):
    """How strong a face's detail is meant to be, and that much of it."""

    def __init__(self, config: GrainConfig) -> None:
        super().__init__()
        self.bands, self.shares = config.coordinates, config.shares
        seen = 3 * CELL**2 + 1 + 4 * self.bands
        self.enter = nn.Conv2d(seen, config.width, 1)
        self.blocks = nn.Sequential(*(Block(config.width) for _ in range(config.blocks)))
        self.say = nn.Conv2d(config.width, len(GRAIN_PX), 1)

    def forward(self, face: Tensor, crop: Tensor, photographed: Tensor, there: Tensor) -> Tensor:
        """Logarithms of strengths (B, bands, S/8, S/8) for grey pictures (B, 1, S, S).

        `there` (B,) is 1 where there is a photograph.
        """
        known = there.view(-1, 1, 1, 1)
        seen = torch.cat([face, crop - face, (photographed - face) * known], 1)
        cells = functional.pixel_unshuffle(seen, CELL)
        count, _, high, wide = cells.shape
        place = coordinates(self.bands, cells).expand(count, -1, -1, -1)
        x = torch.cat([cells, known.expand(-1, 1, high, wide), place], 1)
        return cast(Tensor, self.say(functional.silu(self.blocks(self.enter(x)))).float())

    def added(
        self,
        face: Tensor,
        crop: Tensor,
        photographed: Tensor | None,
        seed: int,
        person: str,
        share: float = 1.0,
    ) -> Tensor:
        """The grey (1, 1, S, S) that a `share` of a face (1, 3, S, S) in its crop lacks."""
        own, size = grey(face), face.shape[-1]
        there = torch.full((1,), float(photographed is not None), device=face.device)
        wanted = self(own, grey(crop), own if photographed is None else photographed, there).exp()
        have = strengths(detail(torch.lerp(grey(crop), own, share)))
        lacking = low_pass((wanted - have).clamp(min=0), AROUND).clamp(min=0).sqrt()
        lacking = lacking * lacking.new_tensor(self.shares).view(-1, 1, 1) * on_face(lacking)
        drawn = carriers(seed, person, size).to(face.device)
        large = linear(size // CELL, size, face.device, lacking.dtype)(lacking[0])
        return (large * drawn).sum(0)[None, None]


class Block(nn.Module):
    """x + conv(silu(conv(silu(x)))), without a norm: that would take out the strength."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(width, width, 3, 1, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.one(functional.silu(x))
        return x + cast(Tensor, self.two(functional.silu(inner)))


def detail(picture: Tensor) -> Tensor:
    """The bands (B, bands, S, S) of grey pictures (B, 1, S, S), the finest first."""
    levels = [picture, *(low_pass(picture, deviation) for deviation in GRAIN_PX)]
    return torch.cat([finer - coarser for finer, coarser in pairwise(levels)], 1)


def strengths(bands: Tensor) -> Tensor:
    """Mean squares (B, bands, S/8, S/8)."""
    return functional.avg_pool2d(bands * bands, CELL) + FAINTEST


def on_face(like: Tensor) -> Tensor:
    """(H, W): 1 over the face, 0 beside it."""
    away = torch.zeros(like.shape[-2:], device=like.device)
    for axis, (middle, half) in enumerate(zip(*FACE, strict=True)):
        size = like.shape[axis - 2]
        place = ((torch.arange(size, device=like.device) + 0.5) / size - middle) / half
        away = away + place.square().unsqueeze(1 - axis)
    return ((1 - away.sqrt()) / SOFT).clamp(0, 1)


@lru_cache(maxsize=16)
@kept_for_training
def carriers(seed: int, person: str, size: int) -> Tensor:
    """A person's own noise (bands, S, S), of one strength everywhere."""
    noise = person_noise(seed, f"{person}\ngrain", (1, size, size))[None]
    bands = detail(noise)[0]
    return bands / bands.std((1, 2), keepdim=True)
