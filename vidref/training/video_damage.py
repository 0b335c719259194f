"""What old and cheap video does to a face, beyond the published degradation.

    film   grain, dust, scratches           tape    chroma blur and shift, line noise, jitter
    field  combs of interlacing             motion  blur along a line
    codec  blocking by really encoding (H.264, MPEG-2, MPEG-4), see `encoding.py`
    look   fading and grey: of the target as well, since the restorer keeps the input's colours

Each effect is a function of a batch in [0, 1] and a generator of small draws; the order is that in
which a signal meets them: scene, film, camera, tape, codec. Effects are drawn per picture.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as functional
from torch import Tensor

from vidref.training.degradation import convolve
from vidref.training.encoding import encode_round_trip
from vidref.training.jpeg import FROM_YCC, TO_YCC, jpeg_round_trip


def damage_video(
    images: Tensor, draws: torch.Generator, noise: torch.Generator, encode: bool, share: int = 1
) -> Tensor:
    """(B, 3, S, S) in [0, 1] -> a clip's worth of damage, the same shape.

    `draws` is a CPU generator, `noise` one on the images' device. With `encode` half of the groups
    of `share` neighbours go through a real encoder on the CPU, the others through JPEG.
    """
    size = images.shape[-1]

    def some(share_of_pictures: float) -> Tensor:
        chosen = torch.rand(len(images), generator=draws) < share_of_pictures
        return chosen.to(images.device).view(-1, 1, 1, 1)

    x = torch.where(some(0.4), motion_blur(images, draws), images)
    done = []
    for first in range(0, len(x), share):
        part = x[first : first + share]
        shrink = 1.5 * (10 ** float(torch.rand(1, generator=draws))) * size / 512
        small_size = max(16, int(size / max(1.0, shrink)) // 2 * 2)
        kind = ("bilinear", "area", "bicubic")[int(torch.randint(3, (1,), generator=draws))]
        # a real camera's pixel is an average; a bad scaler takes points, and both are met
        smooth = {"antialias": True} if kind != "area" and draw_one(draws) < 0.6 else {}
        small = functional.interpolate(part, (small_size,) * 2, mode=kind, **smooth)
        small = line_faults(small, draws, noise)
        coded = code(small.clamp(0, 1), draws, encode)
        kind = ("bilinear", "bicubic")[int(draw_one(draws) < 0.5)]
        done.append(functional.interpolate(coded, (size, size), mode=kind))
    return (torch.cat(done) * 255).round().clamp(0, 255) / 255


def draw_one(draws: torch.Generator) -> float:
    """One uniform number."""
    return float(torch.rand(1, generator=draws))


def line_faults(small: Tensor, draws: torch.Generator, noise: torch.Generator) -> Tensor:
    """Film, tape and field faults, which live at the clip's own resolution."""
    if draw_one(draws) < 0.4:
        small = film_grain(small, 0.02 + 0.08 * draw_one(draws), noise)
    if draw_one(draws) < 0.15:
        small = scratches(small, draws)
    if draw_one(draws) < 0.3:
        small = tape(small, draws, noise)
    if draw_one(draws) < 0.15:
        small = combs(small, 1 + int(4 * draw_one(draws)))
    if draw_one(draws) < 0.25:
        small = halo(small, 0.5 + draw_one(draws))
    if draw_one(draws) < 0.3:
        spread = 0.06 * draw_one(draws)
        small = small + spread * torch.randn(small.shape, generator=noise, device=small.device)
    return small


def code(small: Tensor, draws: torch.Generator, encode: bool) -> Tensor:
    """Through a real encoder or through the device's JPEG."""
    if encode and draw_one(draws) < 0.5:
        codec = ("libx264", "mpeg2video", "mpeg4")[int(torch.randint(3, (1,), generator=draws))]
        return encode_round_trip(small, codec, draw_one(draws))
    quality = 15 + 80 * torch.rand(len(small), generator=draws)
    return jpeg_round_trip(small, quality)


def motion_blur(images: Tensor, draws: torch.Generator) -> Tensor:
    """Blur along a line of up to 24 px at 512, its direction per picture."""
    count, reach = len(images), 20
    angle = math.pi * torch.rand(count, generator=draws)
    length = (2 + 22 * torch.rand(count, generator=draws)) * images.shape[-1] / 512
    place = torch.arange(-reach, reach + 1, dtype=torch.float32)
    y, x = torch.meshgrid(place, place, indexing="ij")
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    along, across = (x * cos + y * sin).abs(), (y * cos - x * sin).abs()
    kernels = (length.view(-1, 1, 1) / 2 + 0.5 - along).clamp(0, 1) * (1 - across).clamp(0, 1)
    kernels = kernels / kernels.sum((1, 2), keepdim=True)
    return convolve(images, kernels).clamp(0, 1)


def look(images: Tensor, draws: torch.Generator, faded: float, grey: float) -> Tensor:
    """Shares `faded` and `grey` of the pictures with an old picture's colours, or none."""
    count, device = len(images), images.device
    is_faded = (torch.rand(count, 1, 1, 1, generator=draws) < faded).to(device)
    is_grey = (torch.rand(count, 1, 1, 1, generator=draws) < grey).to(device)
    images = torch.where(is_faded, fade(images, draws), images)
    weights = torch.tensor(TO_YCC[0], device=device).view(1, 3, 1, 1)
    return torch.where(is_grey, (images * weights).sum(1, keepdim=True).expand_as(images), images)


def fade(images: Tensor, draws: torch.Generator) -> Tensor:
    """Lost contrast, a colour cast, a wrong gamma."""
    count, device = len(images), images.device
    floor = 0.12 * torch.rand(count, 1, 1, 1, generator=draws)
    gain = 1 - floor - 0.2 * torch.rand(count, 1, 1, 1, generator=draws)
    cast = 1 + 0.08 * torch.randn(count, 3, 1, 1, generator=draws)
    gamma = torch.exp(0.25 * torch.randn(count, 1, 1, 1, generator=draws))
    bent = images.clamp(1e-4, 1) ** gamma.to(device)
    return ((bent * gain.to(device) + floor.to(device)) * cast.to(device)).clamp(0, 1)


def film_grain(images: Tensor, amount: float, noise: torch.Generator) -> Tensor:
    """Grey grain about a pixel and a half wide, strongest in the mid-tones."""
    count, _, height, width = images.shape
    grain = torch.randn(count, 1, height, width, generator=noise, device=images.device)
    soft = functional.avg_pool2d(functional.pad(grain, [1] * 4, mode="replicate"), 3, 1) * 2
    luma = images.mean(1, keepdim=True)
    return images + amount * (0.5 * grain + soft) * (0.4 + 2.4 * luma * (1 - luma))


def scratches(images: Tensor, draws: torch.Generator) -> Tensor:
    """A few bright or dark vertical lines and specks."""
    marked = images.clone()
    height, width = images.shape[-2:]
    for _ in range(1 + int(3 * draw_one(draws))):
        column, level = int(width * draw_one(draws)), float(draw_one(draws) < 0.6)
        strength = 0.2 + 0.5 * draw_one(draws)
        marked[..., column] = marked[..., column] * (1 - strength) + level * strength
    for _ in range(int(6 * draw_one(draws))):
        top, left = int(height * draw_one(draws)), int(width * draw_one(draws))
        reach = 1 + int(width / 40 * draw_one(draws))
        marked[..., top : top + reach, left : left + reach] = float(draw_one(draws) < 0.6)
    return marked


def tape(images: Tensor, draws: torch.Generator, noise: torch.Generator) -> Tensor:
    """VHS: little and late chroma, noise along lines, lines that start where they should not."""
    matrix = torch.tensor(TO_YCC, device=images.device)
    luma, chroma = torch.einsum("ij,bjhw->bihw", matrix, images).tensor_split([1], 1)
    count, _, height, width = images.shape
    narrow = max(4, int(width / (3 + 9 * draw_one(draws))))
    chroma = functional.interpolate(chroma, (height, narrow), mode="area")
    rough = torch.randn(chroma.shape, generator=noise, device=images.device)
    chroma = chroma + 0.06 * draw_one(draws) * rough
    chroma = functional.interpolate(chroma, (height, width), mode="bilinear")
    chroma = chroma.roll(int(width / 60 * (0.5 + draw_one(draws))), -1)
    lines = torch.randn(count, 1, height, max(2, width // 4), generator=noise, device=images.device)
    luma = luma + 0.05 * draw_one(draws) * functional.interpolate(
        lines, (height, width), mode="bilinear"
    )
    picture = torch.einsum("ij,bjhw->bihw", FROM_YCC.to(images), torch.cat([luma, chroma], 1))
    start = torch.randn(count, height, 1, generator=noise, device=images.device)
    start = start * 1.5 / width * draw_one(draws)
    return shift_rows(picture, start)


def shift_rows(images: Tensor, start: Tensor) -> Tensor:
    """Each row moved sideways by its own share of the half width; (B, H, 1)."""
    identity = torch.eye(2, 3, device=images.device).expand(len(images), 2, 3)
    grid = functional.affine_grid(identity, list(images.shape), align_corners=False).clone()
    grid[..., 0] = grid[..., 0] + start
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def combs(images: Tensor, reach: int) -> Tensor:
    """Two fields of a moving face woven into one frame: every other line is from another moment."""
    woven = images.clone()
    woven[..., 1::2, :] = images.roll(reach, -1)[..., 1::2, :]
    return woven


def halo(images: Tensor, amount: float) -> Tensor:
    """The rim a television's or a scaler's sharpening leaves."""
    soft = functional.avg_pool2d(functional.pad(images, [1] * 4, mode="replicate"), 3, 1)
    return images + amount * (images - soft)
