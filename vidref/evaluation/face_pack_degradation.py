"""The published degradation (paper.md, section 5.2), drawn as it is written there."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
KERNEL_PX = 41
FACE_PX = 512


@dataclass(frozen=True)
class Damage:
    """Ranges of blur sigma, downsampling, noise sigma and JPEG quality, on a 512 px face."""

    sigma: tuple[float, float]
    shrink: tuple[float, float]
    noise: tuple[float, float]
    quality: tuple[int, int]


MODERATE = Damage((0, 8), (1, 8), (0, 15), (60, 100))
SEVERE = Damage((8, 16), (8, 32), (0, 20), (30, 100))


def degrade(image: Image, damage: Damage, rng: np.random.Generator, scale: float = 1.0) -> Image:
    """`scale` is the size of the face square over 512 px: blur and downsampling follow the face."""
    height, width = image.shape[:2]
    first, second = rng.uniform(*damage.sigma, 2)
    angle = rng.uniform(-np.pi, np.pi)
    shrink = rng.uniform(*damage.shrink)
    noise = rng.uniform(*damage.noise)
    quality = int(rng.integers(damage.quality[0], damage.quality[1] + 1))
    if rng.random() < 0.5:
        second, angle = first, 0.0
    picture = image.astype(np.float32) / 255
    kernel = _kernel(first * scale, second * scale, angle)
    picture = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT)
    shrink = max(1.0, shrink * scale)
    small = (max(1, int(width / shrink)), max(1, int(height / shrink)))
    picture = cv2.resize(picture, small, interpolation=cv2.INTER_LINEAR)
    picture = picture + rng.standard_normal(picture.shape).astype(np.float32) * (noise / 255)
    packed_from = np.clip(picture * 255, 0, 255).round().astype(np.uint8)[..., ::-1]
    _, packed = cv2.imencode(".jpg", packed_from, [cv2.IMWRITE_JPEG_QUALITY, quality])
    unpacked = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
    picture = unpacked[..., ::-1].astype(np.float32)
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(picture, 0, 255).round(), np.uint8)


def degrade_aligned(crop: Image, damage: Damage, rng: np.random.Generator) -> Image:
    """An aligned crop degraded at 512 px, where the ranges are meant, and reduced again."""
    large = cv2.resize(crop, (FACE_PX, FACE_PX), interpolation=cv2.INTER_CUBIC)
    worse = degrade(np.asarray(large, np.uint8), damage, rng)
    size = (crop.shape[1], crop.shape[0])
    return np.asarray(cv2.resize(worse, size, interpolation=cv2.INTER_AREA), np.uint8)


def _kernel(across: float, along: float, angle: float) -> NDArray[np.float32]:
    reach = np.arange(KERNEL_PX, dtype=np.float32) - KERNEL_PX // 2
    x, y = np.meshgrid(reach, reach)
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    weight = np.exp(-0.5 * ((u / max(across, 1e-3)) ** 2 + (v / max(along, 1e-3)) ** 2))
    return np.asarray(weight / weight.sum(), np.float32)
