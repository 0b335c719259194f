"""The published degradation (paper.md 5.2): blur, shrink, noise, JPEG, enlarge.

    x_lq = { [ (x * k_sigma) down_r + n_delta ]_JPEG q } up_r

Twice: `degrade_image` is the protocol to the letter with OpenCV, one picture at a time;
`degrade_batch` is the same arithmetic on the device, for training. A test holds them together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from vidref.training.jpeg import jpeg_round_trip

KERNEL = 41


@dataclass(frozen=True)
class Ranges:
    """Uniform ranges: blur deviation (px at 512), shrink factor, noise (/255), JPEG quality."""

    blur: tuple[float, float]
    shrink: tuple[float, float]
    noise: tuple[float, float]
    quality: tuple[float, float]


MODERATE = Ranges((0, 8), (1, 8), (0, 15), (60, 100))
SEVERE = Ranges((8, 16), (8, 32), (0, 20), (30, 100))
TRAINING = Ranges((0, 16), (1, 32), (0, 20), (30, 100))
WORN = Ranges((0, 3), (1, 3), (0, 8), (60, 100))
"""Ours: what the better frames of a bad clip look like, or a small photograph."""
NAMED = {"moderate": MODERATE, "severe": SEVERE, "training": TRAINING}


@dataclass(frozen=True)
class Damage:
    """One draw for each of B pictures, all (B,); blur in pixels of the picture itself."""

    blur_x: Tensor
    blur_y: Tensor
    angle: Tensor
    shrink: Tensor
    noise: Tensor
    quality: Tensor


def draw(ranges: Ranges, count: int, size: int, generator: torch.Generator) -> Damage:
    """Draw the parameters, scaled from 512 px to `size` so that as little of the face is left."""

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    scale = size / 512
    blur_x, other = uniform(*ranges.blur), uniform(*ranges.blur)
    isotropic = torch.rand(count, generator=generator) < 0.5
    return Damage(
        blur_x=blur_x * scale,
        blur_y=torch.where(isotropic, blur_x, other) * scale,
        angle=uniform(-math.pi, math.pi),
        shrink=(uniform(*ranges.shrink) * scale).clamp(min=1),
        noise=uniform(*ranges.noise) / 255,
        quality=uniform(*ranges.quality).round(),
    )


def gaussian_kernels(damage: Damage) -> Tensor:
    """(B, 41, 41), each summing to one."""
    reach = torch.arange(KERNEL, dtype=torch.float32) - KERNEL // 2
    y, x = torch.meshgrid(reach, reach, indexing="ij")
    cos, sin = damage.angle.cos()[:, None, None], damage.angle.sin()[:, None, None]
    along, across = x * cos + y * sin, y * cos - x * sin
    wide = damage.blur_x.clamp(min=1e-2)[:, None, None]
    high = damage.blur_y.clamp(min=1e-2)[:, None, None]
    kernels = torch.exp(-0.5 * ((along / wide) ** 2 + (across / high) ** 2))
    return kernels / kernels.sum((1, 2), keepdim=True)


def convolve(images: Tensor, kernels: Tensor) -> Tensor:
    """Each picture with its own kernel, mirrored at the border, by Fourier transform."""
    reach = kernels.shape[-1] // 2
    padded = functional.pad(images, [reach] * 4, mode="reflect")
    shape = (padded.shape[-2], padded.shape[-1])
    spectrum = torch.fft.rfft2(padded) * torch.fft.rfft2(kernels.to(images), s=shape)[:, None]
    mixed = torch.fft.irfft2(spectrum, s=shape)
    # the kernel's centre sits at (reach, reach): the result is shifted by that much
    return torch.as_tensor(mixed[..., 2 * reach :, 2 * reach :])


def degrade_batch(
    images: Tensor, damage: Damage, generator: torch.Generator, share: int = 1
) -> Tensor:
    """(B, 3, S, S) in [0, 1] -> the same shape.

    `share` neighbours get the first one's shrink factor, which saves launches on a GPU. `generator`
    lives on the images' device.
    """
    device, size = images.device, images.shape[-1]
    blurred = convolve(images, gaussian_kernels(damage).to(device)).clamp(0, 1)
    done = []
    for first in range(0, len(images), share):
        part = slice(first, first + share)
        small_size = max(1, int(size / float(damage.shrink[first])))
        small = functional.interpolate(blurred[part], (small_size,) * 2, mode="bilinear")
        noise = torch.randn(small.shape, generator=generator, device=device)
        noisy = small + noise * damage.noise[part].to(device).view(-1, 1, 1, 1)
        coded = jpeg_round_trip(noisy.clamp(0, 1), damage.quality[part])
        done.append(functional.interpolate(coded, (size, size), mode="bilinear"))
    return (torch.cat(done) * 255).round().clamp(0, 255) / 255


def degrade_image(image: np.ndarray, damage: Damage, rng: np.random.Generator) -> np.ndarray:
    """One uint8 (S, S, 3) picture in BGR by the protocol itself; `damage` holds one draw."""
    import cv2

    size = image.shape[0]
    kernel = gaussian_kernels(damage)[0].numpy()
    blurred = cv2.filter2D(image.astype(np.float32) / 255, -1, kernel)
    small_size = max(1, int(size / float(damage.shrink[0])))
    small = cv2.resize(blurred, (small_size,) * 2, interpolation=cv2.INTER_LINEAR)
    noise = rng.standard_normal(small.shape).astype(np.float32) * float(damage.noise[0])
    noisy = np.clip(small + noise, 0, 1)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(damage.quality[0])]
    _, file = cv2.imencode(".jpg", (noisy * 255).round().astype(np.uint8), quality)
    coded = np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR), np.float32)
    large = np.asarray(cv2.resize(coded, (size, size), interpolation=cv2.INTER_LINEAR))
    result: np.ndarray = np.clip(large.round(), 0, 255).astype(np.uint8)
    return result
