"""The losses of the restorer, each a function of pictures in [-1, 1]."""

from __future__ import annotations

from types import EllipsisType

import torch
import torch.nn.functional as functional
from torch import Tensor

from vidref.model.aligner import Moved, local_correlation, middle, small
from vidref.model.recogniser import Recogniser
from vidref.training.perceptual import PerceptualEncoder

OF_LIKENESS = 0.02
"""The part of local likeness in the loss of the aligner, beside the error of its shifts."""
HAAR_C, HAAR_ALPHA, HAAR_PX = 30.0, 4.2, 256
"""The two constants of HaarPSI, and how large it sees a face's square."""
LUMA = (0.299, 0.587, 0.114)


def blur_matrices(detail: Tensor, size: int) -> Tensor:
    """(B, size, size): the low-pass that leaves what a target of that resolution can show.

    A photograph with a share d of the square's resolution has been enlarged 1/d times; what is
    finer than its own pixels is invented by the enlargement, and must not be learnt.
    """
    sigma = (0.5 * (1 / detail.clamp(min=0.05) - 1)).clamp(min=1e-2)
    place = torch.arange(size, device=detail.device, dtype=torch.float32)
    weights = torch.exp(-((place[:, None] - place) ** 2) / (2 * sigma.view(-1, 1, 1) ** 2))
    return weights / weights.sum(2, keepdim=True)


def at_own_resolution(difference: Tensor, detail: Tensor) -> Tensor:
    """A difference of pictures without what the target's native resolution could not show."""
    if difference.device.type == "cpu":
        # most photographs show everything: blurring those by nothing costs as much as a small U-Net
        coarse = (detail < 0.99).nonzero()[:, 0]
        if len(coarse) < len(detail):
            if len(coarse) == 0:
                return difference
            return difference.index_copy(0, coarse, low_passed(difference[coarse], detail[coarse]))
    return low_passed(difference, detail)


def low_passed(difference: Tensor, detail: Tensor) -> Tensor:
    """Each picture without what is finer than its own `detail`."""
    blur = blur_matrices(detail, difference.shape[-1]).to(difference)[:, None]
    return blur @ difference @ blur.transpose(2, 3)


def reconstruction(estimate: Tensor, target: Tensor, real: Tensor, detail: Tensor) -> Tensor:
    """Mean absolute error per picture (B,), over real pixels, at the target's own resolution."""
    error = at_own_resolution((estimate - target) * real, detail).abs().mean(1, keepdim=True)
    return (error * real).sum((1, 2, 3)) / real.sum((1, 2, 3)).clamp(min=1)


def edges(estimate: Tensor, target: Tensor, real: Tensor, detail: Tensor) -> Tensor:
    """Mean absolute error per picture (B,) of Haar coefficients of 2 and 4 px, over real pixels.

    Two pictures may have the same mean error and look very different: the one whose error lies on
    edges is blurred. Both scales are in units of a difference of two pixels' values.
    """
    error = at_own_resolution((estimate - target) * real, detail)
    total = torch.zeros(len(error), device=error.device)
    for size in (2, 4):
        if size > 2:
            error = functional.avg_pool2d(error, 2)
        across = error[..., :, 1:] - error[..., :, :-1]
        down = error[..., 1:, :] - error[..., :-1, :]
        total = total + across.abs().mean((1, 2, 3)) + down.abs().mean((1, 2, 3))
    return total / 4


def unlike_structure(estimate: Tensor, target: Tensor, real: Tensor, detail: Tensor) -> Tensor:
    """1 - HaarPSI per picture (B,), over real pixels (Reisenhofer et al. 2018).

    Where an edge may lie here or there, a mean error is as content with the faint mean of both as
    with either; this asks for one that is as strong as the truth's.
    """
    luma = torch.tensor(LUMA, device=estimate.device).view(1, 3, 1, 1)
    pair = (torch.cat([estimate, target]) * luma).sum(1, keepdim=True) * 127.5
    pair = at_own_resolution(pair, torch.cat([detail, detail]))
    if pair.shape[-1] > HAAR_PX:
        pair, real = (functional.interpolate(one, HAAR_PX, mode="area") for one in (pair, real))
    with torch.no_grad():
        heavy = torch.maximum(*haar(pair, 8).abs().chunk(2)) * real
    alike = torch.zeros_like(heavy)
    for size in (2, 4):
        a, b = haar(pair, size).chunk(2)
        alike = alike + (2 * (a * b).abs() + HAAR_C) / (a * a + b * b + HAAR_C) / 2
    found = (heavy * torch.sigmoid(HAAR_ALPHA * alike)).sum((1, 2, 3))
    mean = found / heavy.sum((1, 2, 3)).clamp(min=1)
    return 1 - (torch.logit(mean.clamp(0.5, 0.999)) / HAAR_ALPHA).square()


def haar(pictures: Tensor, size: int) -> Tensor:
    """(B, 2, h, w): the difference of the halves of the square of `size` around every pixel, down
    and across."""
    kernel = torch.full((2, 1, size, size), 1 / size**2, device=pictures.device)
    kernel[0, :, : size // 2] *= -1
    kernel[1, :, :, : size // 2] *= -1
    before, after = size // 2, size // 2 - 1
    padded = functional.pad(pictures, (before, after, before, after), mode="reflect")
    return functional.conv2d(padded, kernel.to(pictures))


def misplaced(found: Moved, target: Tensor, belongs: Tensor, same: Tensor) -> Tensor:
    """How badly references (B, R) lie on their targets, over the middle of the face.

    The error of the shifts, in face widths, against `belongs` (B, R, 3, 3), the map by which the
    aligned squares of both photographs agree: that is right to the pixel for two views of one
    photograph, and by five points for two photographs. What is left between these, local likeness
    finds. `same` (B, R) says where a reference counts and shows the same person.
    """
    wrong_by = found.shifts - shifts_of(belongs, found.shifts.shape[-1])
    # an untaught aligner moves nothing, and the root of exactly nothing has no slope
    error = (wrong_by.square().sum(2) + 1e-12).sqrt()
    apart = (middle(error).mean((2, 3)) / 2).mean()
    for shrink in (4, 16):
        differ = middle(unlike(found, target, shrink)).mean((2, 3))
        apart = apart + OF_LIKENESS * (differ * same).sum() / same.sum().clamp(min=1)
    return apart


def unlike(found: Moved, target: Tensor, shrink: int) -> Tensor:
    """(B, R, h, w): 1 - local correlation of each reference and its target, so many times smaller.

    It asks for the place alone, light and colour may differ.
    """
    count = found.pictures.shape[1]
    seen, wanted = small(found.pictures, shrink).flatten(0, 1), small(target, shrink)
    differ = 1 - local_correlation(seen, wanted.repeat_interleave(count, 0))
    return differ.view(len(target), count, *differ.shape[-2:])


def shifts_of(maps: Tensor, side: int) -> Tensor:
    """(B, R, 2, side, side): how far, in half widths, a projective map moves each place."""
    steps = (torch.arange(side, device=maps.device, dtype=torch.float32) + 0.5) * 2 / side - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    place = torch.stack([x, y, torch.ones_like(x)], -1).view(-1, 3)
    seen = place @ maps.transpose(2, 3)
    moved_by = seen[..., :2] / seen[..., 2:] - place[:, :2]
    return moved_by.transpose(2, 3).reshape(*maps.shape[:2], 2, side, side)


def identity_distance(a: Tensor, b: Tensor) -> Tensor:
    """L_ID(a, b) = 1 - cos, of embeddings (..., D)."""
    return 1 - functional.cosine_similarity(a, b, dim=-1)


def hard_example_identity(
    estimate: Tensor, truth: Tensor, references: Tensor, counts: Tensor, share: Tensor
) -> Tensor:
    """L_HID per picture (paper.md 2.3) of embeddings: (B, D), (B, D), (B, R, D).

    (1 - share) L_ID(truth, estimate) + share * mean over references of L_ID(reference, estimate);
    with one reference it is the paper's. `share` (B,) is lambda, or zero for a wrong person's.
    """
    slots = torch.arange(references.shape[1], device=references.device)
    present = (slots[None] < counts[:, None]).to(estimate)
    to_references = identity_distance(estimate[:, None], references)
    hard = (to_references * present).sum(1) / present.sum(1).clamp(min=1)
    return (1 - share) * identity_distance(estimate, truth) + share * hard


def random_window(size: int, draws: torch.Generator) -> tuple[slice | EllipsisType, ...]:
    """An index of a window of three eighths of the side, anywhere in the picture."""
    side = size * 3 // 8
    top, left = (int(v) for v in torch.randint(size - side + 1, (2,), generator=draws))
    return ..., slice(top, top + side), slice(left, left + side)


def trust(bars: Tensor, floor: float, no_crop: Tensor) -> Tensor:
    """How much the estimate of each picture is judged as a face (B,).

    sqrt(alpha-bar), as ReF-LDM scales its identity loss: what is made from almost pure noise says
    little. Not below `floor`, and nothing where there was no degraded crop to make a face of.
    """
    return torch.where(no_crop, torch.zeros_like(bars), bars.sqrt().clamp(min=floor))


def recogniser_features(recogniser: Recogniser, estimate: Tensor, target: Tensor) -> Tensor:
    """Distance per picture of the recogniser's feature maps, each in units of its own spread."""
    with torch.no_grad():
        wanted = recogniser.features(target)
    return feature_distance(recogniser.features(estimate), wanted)


def encoder_features(
    encoder: PerceptualEncoder, estimate: Tensor, target: Tensor, detail: Tensor
) -> Tensor:
    """Distance per picture of the tiny autoencoder's features.

    Scales finer than the target's own resolution are left out: there the target has nothing.
    """
    with torch.no_grad():
        wanted = encoder(target)
    kept = [(1.0 / (2**level) <= detail).to(estimate) for level in range(len(wanted) - 1)] + [
        torch.ones_like(detail)
    ]
    return feature_distance(encoder(estimate), wanted, kept)


def feature_distance(
    found: list[Tensor], wanted: list[Tensor], kept: list[Tensor] | None = None
) -> Tensor:
    """Mean absolute difference (B,) over maps, each divided by the wanted map's mean magnitude."""
    total = torch.zeros(len(found[0]), device=found[0].device)
    for level, (a, b) in enumerate(zip(found, wanted, strict=True)):
        size = b.abs().mean((1, 2, 3)).clamp(min=1e-3)
        distance = (a - b).abs().mean((1, 2, 3)) / size
        total = total + (distance if kept is None else distance * kept[level])
    return total / len(found)
