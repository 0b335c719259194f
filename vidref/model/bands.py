"""A picture's bands of detail, each with a gain that varies over the face."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from vidref.model.separable import gaussian, linear, low_pass


def weighted_bands(image: Tensor, gains: Tensor, deviations: Sequence[float]) -> Tensor:
    """The sum of K bands of `image`, times `gains` (B, 2K, h, w): K for grey, K for colour."""
    if image.device.type == "cpu":
        found: Tensor = _FaceByFace.apply(image, gains, tuple(deviations))  # type: ignore[no-untyped-call]
        return found
    return all_at_once(image, gains, deviations)


def all_at_once(image: Tensor, gains: Tensor, deviations: Sequence[float]) -> Tensor:
    """The plain expression, in few large products."""
    gains = functional.interpolate(gains, image.shape[-2:], mode="bilinear", align_corners=False)
    levels = torch.stack([image, *(low_pass(image, deviation) for deviation in deviations)], 1)
    bands = levels[:, :-1] - levels[:, 1:]
    grey, colour = gains.tensor_split(2, 1)
    own = (colour[:, :, None] * bands).sum(1)
    return torch.as_tensor(own + ((grey - colour) * bands.mean(2)).sum(1, keepdim=True))


class _FaceByFace(torch.autograd.Function):
    """The same, one face after the other: what one needs stays in a core's cache.

    On a CPU the plain expression and its gradient moved so much memory that they cost more than
    the U-Net itself.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, gains: Tensor, deviations: tuple[float, ...]) -> Tensor:
        enlarge = linear(gains.shape[-1], image.shape[-1], image.device, image.dtype)
        count = len(deviations)
        bands = image.new_empty(len(image), count, *image.shape[1:])
        total = torch.zeros_like(image)
        for row in range(len(image)):
            finer = image[row]
            large = enlarge(gains[row])
            for k, deviation in enumerate(deviations):
                coarser = low_pass(image[row], deviation)
                torch.sub(finer, coarser, out=bands[row, k])
                finer = coarser
                grey = bands[row, k].mean(0)
                total[row].addcmul_(bands[row, k], large[count + k])
                total[row].addcmul_(grey, large[k] - large[count + k])
        ctx.save_for_backward(bands, gains)
        ctx.deviations = deviations
        return total

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (wanted,) = outer
        bands, gains = ctx.saved_tensors
        count = len(ctx.deviations)
        size, kind = bands.shape[-1], (bands.device, bands.dtype)
        enlarge = linear(gains.shape[-1], size, *kind)
        of_image = torch.zeros_like(wanted) if ctx.needs_input_grad[0] else None
        of_gains = torch.empty_like(gains)
        for row in range(len(bands)):
            mine = wanted[row].contiguous()
            summed = mine.sum(0)
            grey = bands[row].mean(1)
            for_grey = grey * summed
            for_colour = (bands[row] * mine).sum(1) - for_grey
            of_gains[row] = enlarge.adjoint(torch.cat([for_grey, for_colour]))
            if of_image is None:
                continue
            large = enlarge(gains[row])
            before = torch.zeros_like(mine)
            for k in range(count):
                here = mine * large[count + k]
                here += summed * ((large[k] - large[count + k]) / len(mine))
                before = here - before
                if k == 0:
                    of_image[row] += before
                else:
                    of_image[row] += gaussian(size, ctx.deviations[k - 1], *kind).adjoint(before)
                before = here
            of_image[row] -= gaussian(size, ctx.deviations[-1], *kind).adjoint(before)
        return of_image, of_gains, None
