"""The forward process q(z_t | z_0), and the three ways to name the same prediction.

With a = alpha-bar of t:  z_t = sqrt(a) z_0 + sqrt(1 - a) noise,
                          v   = sqrt(a) noise - sqrt(1 - a) z_0.

At t = train_steps - 1 a schedule with zero terminal signal has a = 0 exactly.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vidref.model.config import DiffusionConfig


def alpha_bars(config: DiffusionConfig) -> Tensor:
    """Alpha-bar of every training step, float32, falling."""
    steps = config.train_steps
    if config.schedule == "cosine":
        grid = torch.arange(1, steps + 1, dtype=torch.float64) / steps
        offset = 0.008
        bars = torch.cos((grid + offset) / (1 + offset) * math.pi / 2) ** 2
        bars = bars / math.cos(offset / (1 + offset) * math.pi / 2) ** 2
    else:
        power = 2 if config.schedule == "scaled-linear" else 1
        ends = (config.beta_start ** (1 / power), config.beta_end ** (1 / power))
        betas = torch.linspace(*ends, steps, dtype=torch.float64) ** power
        bars = torch.cumprod(1 - betas, 0)
    if config.zero_terminal_snr:
        root = bars.sqrt()
        bars = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    bars = bars / (bars + config.shift**2 * (1 - bars))
    if not config.zero_terminal_snr:
        bars = bars.clamp(min=1e-8)
    return bars.float()


def betas_of(bars: Tensor) -> list[float]:
    """The per-step betas that reproduce `bars`, as a diffusers scheduler takes them."""
    exact = bars.double()
    before = torch.cat([exact.new_ones(1), exact[:-1]])
    return [float(beta) for beta in 1 - exact / before]


def per_image(values: Tensor, like: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, ...) to multiply with `like`."""
    return values.view(-1, *[1] * (like.ndim - 1))


def add_noise(clean: Tensor, noise: Tensor, bars: Tensor) -> Tensor:
    """z_t of z_0, for one alpha-bar per image."""
    a = per_image(bars, clean)
    return a.sqrt() * clean + (1 - a).sqrt() * noise


def to_x0(kind: str, prediction: Tensor, z_t: Tensor, bars: Tensor) -> Tensor:
    """The clean estimate that a prediction stands for."""
    a = per_image(bars, z_t)
    if kind == "x0":
        return prediction
    if kind == "v":
        return a.sqrt() * z_t - (1 - a).sqrt() * prediction
    return (z_t - (1 - a).sqrt() * prediction) / a.sqrt()


def x0_weight(kind: str, bars: Tensor, cap: float = 5.0) -> Tensor:
    """What one unit of squared x0 error costs in the network's own terms, capped (min-SNR)."""
    snr = bars / (1 - bars).clamp(min=1e-8)
    if kind == "x0":
        return torch.ones_like(bars)
    return snr.clamp(max=cap) + 1 if kind == "v" else snr.clamp(max=cap)
