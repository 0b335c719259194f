"""Blurring and resizing of pictures as products with a matrix, for rows and for columns alike."""

from __future__ import annotations

from functools import cached_property, lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor

BLOCK = 32
"""Rows of a product that are worked on together."""
BROAD_PX = 8
"""Deviation of a blur that no longer needs the picture's own pixels."""
NOTHING = 1e-5
"""Weights that are less than this share of the greatest are as good as nothing."""

kept_for_training = torch.inference_mode(mode=False)
"""A matrix that is made once may be made while restoring and be needed for a gradient later."""


class Separable:
    """matrix @ picture @ matrix.T.

    Such a matrix is nothing off its diagonal. A CPU multiplies blocks of its rows by what they see
    alone, which is a third of the work; other devices do it whole.
    """

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.blocks: list[tuple[Tensor, slice]] = []
        if matrix.device.type != "cpu":
            return
        for at in range(0, len(matrix), BLOCK):
            rows = matrix[at : at + BLOCK]
            counts = (rows.abs().amax(0) > NOTHING * rows.abs().max()).nonzero()[:, 0]
            seen = slice(int(counts[0]), int(counts[-1]) + 1)
            self.blocks.append((rows[:, seen].contiguous(), seen))

    @cached_property
    def adjoint(self) -> Separable:
        """What its gradient is of."""
        return Separable(self.matrix.T.contiguous())

    def __call__(self, pictures: Tensor) -> Tensor:
        # half the bits would be enough for a network, and not for the pixels of a picture
        with torch.autocast(pictures.device.type, enabled=False):
            return self._product(pictures)

    def _product(self, pictures: Tensor) -> Tensor:
        if not self.blocks:
            return self.matrix @ pictures @ self.matrix.T
        flat = pictures.reshape(-1, *pictures.shape[-2:])
        high, wide = self.matrix.shape[0], pictures.shape[-1]
        rows = torch.cat(
            [torch.bmm(m.expand(len(flat), -1, -1), flat[:, seen]) for m, seen in self.blocks], 1
        )
        lines = rows.view(-1, wide)
        whole = torch.cat([lines[:, seen] @ m.T for m, seen in self.blocks], 1)
        return whole.view(*pictures.shape[:-2], high, high)


def low_pass(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian blur, right at the border too; a broad one is made of a smaller picture."""
    size, shrink = image.shape[-1], 1
    while sigma >= 2 * shrink * BROAD_PX and size % (2 * shrink) == 0:
        shrink *= 2
    small = resized(image, size // shrink)
    return resized(
        gaussian(small.shape[-1], sigma / shrink, image.device, image.dtype)(small), size
    )


@lru_cache(maxsize=32)
@kept_for_training
def gaussian(size: int, sigma: float, device: torch.device, dtype: torch.dtype) -> Separable:
    """Row i holds the normalised weights of the pixels that output pixel i is made of."""
    place = torch.arange(size, dtype=torch.float64)
    weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma**2))
    return Separable((weights / weights.sum(1, keepdim=True)).to(device, dtype))


@lru_cache(maxsize=32)
@kept_for_training
def linear(small: int, large: int, device: torch.device, dtype: torch.dtype) -> Separable:
    """Enlarging by lines between the middles of cells."""
    cells = functional.interpolate(torch.eye(small)[None], large, mode="linear")[0]
    return Separable(cells.T.to(device, dtype).contiguous())


@lru_cache(maxsize=32)
@kept_for_training
def cubic(small: int, large: int, device: torch.device, dtype: torch.dtype) -> Separable:
    """Enlarging by cubic curves through the middles of cells."""
    lines = functional.interpolate(torch.eye(small)[None, None], (large, small), mode="bicubic")
    return Separable(lines[0, 0].to(device, dtype).contiguous())


def resized(images: Tensor, side: int) -> Tensor:
    """(B, 3, side, side): averaged where that is smaller, smooth where it is larger."""
    if side == images.shape[-1]:
        return images
    if images.shape[-1] % side == 0:
        return functional.avg_pool2d(images, images.shape[-1] // side)
    if side < images.shape[-1]:
        return functional.interpolate(images, (side, side), mode="area")
    return cubic(images.shape[-1], side, images.device, images.dtype)(images)
