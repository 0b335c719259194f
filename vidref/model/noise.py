"""Noise that belongs to a person, not to a frame.

It is a function of (seed, person) alone, fixed in aligned-face coordinates, so that with
deterministic sampling the output moves only where the input moves.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def person_noise(seed: int, person: str, shape: tuple[int, int, int]) -> Tensor:
    """Standard normal (C, H, W), equal on every machine; drawn on the CPU for that reason."""
    digest = hashlib.sha256(f"{seed}\n{person}".encode()).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(shape, generator=generator)
