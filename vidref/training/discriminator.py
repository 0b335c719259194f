"""A small patch discriminator: which patches of a restoration still look restored?

It sees the picture beside the degraded input, so that sharpness has to fit what was there.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """(B, 3, S, S) twice -> (B, 1, S/16, S/16) scores."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 4 * width]
        layers: list[nn.Module] = []
        narrow = 6
        for wide in widths:
            layers += [spectral_norm(nn.Conv2d(narrow, wide, 4, 2, 1)), nn.LeakyReLU(0.2)]
            narrow = wide
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(narrow, 1, 3, 1, 1)))

    def forward(self, image: Tensor, degraded: Tensor) -> Tensor:
        return cast(Tensor, self.layers(torch.cat([image, degraded], 1)))


def discriminator_loss(true: Tensor, false: Tensor, counts: Tensor) -> Tensor:
    """Hinge loss; `counts` (B,) is 0 for targets too coarse to be an example of sharpness."""
    hinge = functional.relu(1 - true) + functional.relu(1 + false)
    return (hinge.mean((1, 2, 3)) * counts).sum() / counts.sum().clamp(min=1)
