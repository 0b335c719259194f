"""Composite Context: what the denoiser is told about one reference (paper.md 2.2, Eq. 1).

    c = concat(identity token ; semantic tokens ; local tokens) + position

Each provider meets one small interface: `raw` is the frozen part, worth caching per photograph;
`tokens` is the trainable projection of it. Every part is optional; all are of one width. The form
of the position is not known from the paper: ours is learned and starts sinusoidal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.errors import ModelError
from vidref.model.clip_tower import load_clip_tower
from vidref.model.config import ContextConfig, IdentityConfig, PatchConfig, SemanticConfig


@dataclass(frozen=True)
class Reference:
    """Aligned photographs of a person: `image` (B, 3, S, S) in [-1, 1], `embedding` (B, D) or none.

    A row of zeros in `embedding` means that its embedding is not known.
    """

    image: Tensor
    embedding: Tensor | None = None


class Provider(Protocol):
    """Makes some of a reference's tokens."""

    count: int

    def raw(self, reference: Reference) -> Tensor:
        """The frozen features, (B, ...)."""

    def tokens(self, raw: Tensor) -> Tensor:
        """(B, count, width)."""


class IdentityTokens(nn.Module):
    """One token: the recogniser's embedding, projected. Zeros (unknown) give the bias alone."""

    count = 1

    def __init__(self, config: IdentityConfig, width: int) -> None:
        super().__init__()
        self.config = config
        self.project = nn.Linear(config.dimension, width)

    def raw(self, reference: Reference) -> Tensor:
        if reference.embedding is None:
            return reference.image.new_zeros(reference.image.shape[0], self.config.dimension)
        if reference.embedding.shape[1] != self.config.dimension:
            raise ModelError(
                f"The recogniser gives {reference.embedding.shape[1]} numbers and this restorer "
                f"was trained with {self.config.dimension}: use the recogniser that its card names."
            )
        return reference.embedding

    def tokens(self, raw: Tensor) -> Tensor:
        if self.config.normalised:
            raw = functional.normalize(raw, dim=1) * self.config.dimension**0.5
        return cast(Tensor, self.project(raw))[:, None]


class SemanticTokens(nn.Module):
    """The token sequence of a frozen FaRL / CLIP tower, projected."""

    def __init__(self, config: SemanticConfig, width: int) -> None:
        super().__init__()
        self.tower = load_clip_tower(config.source)
        if (self.tower.tokens, self.tower.width) != (config.tokens, config.dimension):
            raise ModelError(
                f"{config.source} gives {self.tower.tokens} tokens of {self.tower.width}, the "
                f"configuration {config.tokens} of {config.dimension}: correct context.semantic."
            )
        self.count = config.tokens
        self.project = nn.Linear(config.dimension, width)

    @torch.no_grad()
    def raw(self, reference: Reference) -> Tensor:
        return cast(Tensor, self.tower(reference.image))

    def tokens(self, raw: Tensor) -> Tensor:
        return cast(Tensor, self.project(raw))


class PatchTokens(nn.Module):
    """A small trainable encoder: a grid of tokens that say what is where in the photograph."""

    def __init__(self, config: PatchConfig, width: int) -> None:
        super().__init__()
        self.grid, self.count, self.size = config.grid, config.grid**2, config.size
        widths = config.widths
        layers: list[nn.Module] = [nn.PixelUnshuffle(8), nn.Conv2d(192, widths[0], 1)]
        for narrow, wide in pairwise(widths):
            layers += [ResidualBlock(narrow), nn.Conv2d(narrow, wide, 3, 2, 1)]
        self.layers = nn.Sequential(*layers, ResidualBlock(widths[-1]))
        self.project = nn.Linear(widths[-1], width)

    def raw(self, reference: Reference) -> Tensor:
        return reference.image

    def tokens(self, raw: Tensor) -> Tensor:
        if self.size is not None and raw.shape[-1] > self.size:
            raw = functional.interpolate(raw, (self.size,) * 2, mode="area")
        maps = functional.adaptive_avg_pool2d(self.layers(raw), self.grid)
        return cast(Tensor, self.project(maps.flatten(2).transpose(1, 2)))


class ResidualBlock(nn.Module):
    """Two convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(16, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.GroupNorm(16, width),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.body(x))


class CompositeContext(nn.Module):
    """All tokens of a reference, and the null token that stands for none."""

    def __init__(self, config: ContextConfig) -> None:
        super().__init__()
        self.count = config.tokens
        providers: list[nn.Module] = []
        if config.identity:
            providers.append(IdentityTokens(config.identity, config.width))
        if config.semantic:
            providers.append(SemanticTokens(config.semantic, config.width))
        if config.patches:
            providers.append(PatchTokens(config.patches, config.width))
        self.providers = nn.ModuleList(providers)
        self.position = nn.Parameter(0.1 * sinusoids(self.count, config.width))
        self.null = nn.Parameter(torch.zeros(config.width))

    def raw(self, reference: Reference) -> list[Tensor]:
        """The frozen features of every provider."""
        return [cast(Provider, provider).raw(reference) for provider in self.providers]

    def tokens(self, raw: Sequence[Tensor]) -> Tensor:
        """(B, count, width)."""
        parts = [
            cast(Provider, provider).tokens(value)
            for provider, value in zip(self.providers, raw, strict=True)
        ]
        return torch.cat(parts, 1) + self.position

    def forward(self, reference: Reference) -> Tensor:
        return self.tokens(self.raw(reference))

    def drop(self, tokens: Tensor, mask: Tensor, dropped: Tensor) -> tuple[Tensor, Tensor]:
        """Replace the context of the images where `dropped` (B,) by the null token alone."""
        where = dropped.view(-1, 1, 1)
        first = torch.zeros_like(mask)
        first[:, 0] = 1
        return (
            torch.where(where, self.null.to(tokens.dtype), tokens),
            torch.where(dropped.view(-1, 1), first, mask),
        )


def sinusoids(count: int, width: int) -> Tensor:
    """The usual sine and cosine positions, (count, width)."""
    place = torch.arange(count, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.zeros(count, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)[:, : width // 2]
    return table
