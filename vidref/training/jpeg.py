"""What JPEG leaves of a picture, on the device: halved colour, 8 x 8 cosine blocks, rounding.

Entropy coding loses nothing, so it is left out. The tables and their scaling by quality are those
of the standard's Annex K as libjpeg uses them.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor

LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)
TO_YCC = (
    (0.299, 0.587, 0.114),
    (-0.168735892, -0.331264108, 0.5),
    (0.5, -0.418687589, -0.081312411),
)

FROM_YCC = torch.linalg.inv(torch.tensor(TO_YCC))


@lru_cache(maxsize=1)
def cosines() -> Tensor:
    """The orthonormal 8-point cosine transform."""
    k, n = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    table = torch.cos((2 * n + 1) * k * math.pi / 16) / 2
    table[0] /= math.sqrt(2)
    return table


def quantisers(table: tuple[tuple[int, ...], ...], quality: Tensor) -> Tensor:
    """(B, 8, 8) step sizes of each picture's quality."""
    q = quality.float().clamp(1, 100)
    scale = torch.where(q < 50, (5000 / q).floor(), 200 - 2 * q)
    base = torch.tensor(table, dtype=torch.float32)
    return ((base * scale.view(-1, 1, 1) + 50) / 100).floor().clamp(1, 255)


def code_plane(plane: Tensor, steps: Tensor) -> Tensor:
    """(B, H, W) in 0..255, sides multiples of 8: transform, round to the steps, transform back."""
    batch, height, width = plane.shape
    dct = cosines().to(plane)
    blocks = plane.view(batch, height // 8, 8, width // 8, 8).permute(0, 1, 3, 2, 4) - 128
    steps = steps.to(plane)[:, None, None]
    kept = ((dct @ blocks @ dct.T) / steps).round() * steps
    back = (dct.T @ kept @ dct + 128).round().clamp(0, 255)
    return back.permute(0, 1, 3, 2, 4).reshape(batch, height, width)


def jpeg_round_trip(images: Tensor, quality: Tensor) -> Tensor:
    """(B, 3, H, W) RGB in [0, 1] after JPEG with 4:2:0 colour; `quality` (B,) is in 1..100."""
    height, width = images.shape[-2:]
    below, right = -height % 16, -width % 16
    levels = (images * 255).round()
    whole = functional.pad(levels, (0, right, 0, below), mode="replicate")
    matrix = torch.tensor(TO_YCC, device=images.device, dtype=images.dtype)
    ycc = torch.einsum("ij,bjhw->bihw", matrix, whole)
    luma = code_plane(ycc[:, 0].round(), quantisers(LUMA, quality))
    small = functional.avg_pool2d(ycc[:, 1:] + 128, 2).round()
    chroma = code_plane(small.flatten(0, 1), quantisers(CHROMA, quality).repeat_interleave(2, 0))
    large = functional.interpolate(
        chroma.view(len(images), 2, *chroma.shape[-2:]), scale_factor=2, mode="bilinear"
    )
    coded = torch.cat([luma[:, None], large - 128], 1)
    back = torch.einsum("ij,bjhw->bihw", FROM_YCC.to(coded), coded)
    return (back.round().clamp(0, 255) / 255)[..., :height, :width]
