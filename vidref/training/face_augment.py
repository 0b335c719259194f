"""What happens to pictures between a face and us: light, lenses, sensors, codecs, film and hands.

Every function takes an RGB uint8 image and a generator and returns a new RGB uint8 image of the
same size. Strengths are in pixels of the image given, so callers scale them to the face.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

# Encoding and small kernels are faster on one thread, and trainings are given their threads.
cv2.setNumThreads(0)


@cache
def _noise_pool() -> NDArray[np.float32]:
    """Drawing fresh normal noise costs more than everything else here: draw once, take windows."""
    return np.random.default_rng(0).standard_normal((768, 768, 3)).astype(np.float32)


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    pool = _noise_pool()
    height, width = shape[:2]
    if height > pool.shape[0] or width > pool.shape[1]:
        return rng.standard_normal((height, width, 3)).astype(np.float32)
    top = rng.integers(pool.shape[0] - height + 1)
    left = rng.integers(pool.shape[1] - width + 1)
    window: NDArray[np.float32] = pool[top : top + height, left : left + width]
    return window[:, ::-1] if rng.random() < 0.5 else window


def darken(image: Image, rng: np.random.Generator) -> Image:
    """A picture taken with far too little light: a few grey levels, and the camera's noise."""
    gain = np.exp(rng.uniform(np.log(0.06), np.log(0.4)))
    tint = 1 + rng.normal(0, 0.12, 3)
    dark = image * (gain * tint) + _noise(image.shape, rng) * rng.uniform(0, 3)
    return np.asarray(np.clip(dark, 0, 255), np.uint8)


def light(image: Image, rng: np.random.Generator, strength: float = 1.0) -> Image:
    """Exposure, contrast, gamma, white balance, saturation; sometimes grey or sepia."""
    ramp = np.linspace(0, 1, 256, dtype=np.float32)
    gamma = np.exp(rng.normal(0, 0.3 * strength))
    contrast = np.exp(rng.normal(0, 0.22 * strength))
    shift = rng.normal(0, 0.08 * strength)
    balance = 1 + rng.normal(0, 0.05 * strength, 3)
    curve = (ramp**gamma - 0.5) * contrast + 0.5 + shift
    table = np.clip(curve[:, None] * balance * 255, 0, 255).astype(np.uint8)
    image = np.asarray(cv2.LUT(image, table[None]), dtype=np.uint8)
    draw = rng.random()
    if draw < 0.3:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
        if draw < 0.08:
            tone = np.clip(ramp[:, None] * 255 * (1 + rng.normal(0, 0.12, 3)), 0, 255)
            image = np.asarray(cv2.LUT(image, tone.astype(np.uint8)[None]), dtype=np.uint8)
    elif draw < 0.6:
        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = rng.uniform(0.2, 1.5)
        image = np.asarray(cv2.addWeighted(image, keep, grey, 1 - keep, 0), dtype=np.uint8)
    return image


def side_light(image: Image, rng: np.random.Generator) -> Image:
    """A lamp from one side: a linear gain across the picture."""
    height, width = image.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, width, dtype=np.float32) * np.cos(angle)
    down = np.linspace(-1, 1, height, dtype=np.float32) * np.sin(angle)
    gain = 1 + rng.uniform(0.1, 0.55) * (across[None] + down[:, None])
    return np.asarray(np.clip(image * gain[..., None], 0, 255), np.uint8)


def blur(image: Image, rng: np.random.Generator, sigma: float) -> Image:
    """Gaussian of the given size, or motion of about the same extent."""
    if sigma < 0.2:
        return image
    if rng.random() < 0.25:
        length = max(3, int(2.5 * sigma) | 1)
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        middle = (length - 1) / 2
        step = np.array([np.cos(angle), np.sin(angle)]) * middle
        start, end = middle - step, middle + step
        cv2.line(kernel, tuple(np.rint(start).astype(int)), tuple(np.rint(end).astype(int)), 1.0, 1)
        return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), dtype=np.uint8)
    other = sigma if rng.random() < 0.5 else sigma * rng.uniform(0.3, 1.0)
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, sigmaY=other), dtype=np.uint8)


def degrade(
    image: Image,
    rng: np.random.Generator,
    sigma: float,
    shrink: float,
    noise: float,
    quality: int,
) -> Image:
    """Blur, downsample, noise, JPEG, upsample: the published order (paper.md, section 5.2)."""
    height, width = image.shape[:2]
    image = blur(image, rng, sigma)
    if shrink > 1:
        small = (max(2, round(width / shrink)), max(2, round(height / shrink)))
        how = cv2.INTER_AREA if rng.random() < 0.5 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, small, interpolation=how), dtype=np.uint8)
    if noise > 0.5:
        grains = _noise(image.shape, rng) * noise
        if rng.random() < 0.4:
            grains = grains[..., :1]
        image = np.clip(image + grains, 0, 255).astype(np.uint8)
    if quality < 96:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), dtype=np.uint8)
    if image.shape[:2] != (height, width):
        how = cv2.INTER_CUBIC if rng.random() < 0.4 else cv2.INTER_LINEAR
        image = np.asarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)
    return image


def old_film(image: Image, rng: np.random.Generator) -> Image:
    """Grain that is coarser than a pixel, scratches, dust and flicker, on grey."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    coarse = rng.uniform(1, 2.2)
    small = (max(2, int(height / coarse)), max(2, int(width / coarse)))
    grain = cv2.resize(np.ascontiguousarray(_noise(small, rng)[..., 0]), (width, height))
    grey = grey * rng.uniform(0.7, 1.2) + grain * rng.uniform(6, 28)
    for _ in range(rng.integers(0, 4)):
        column = int(rng.integers(width))
        tone = float(rng.choice([20.0, 235.0]))
        lean = int(rng.integers(-6, 7))
        cv2.line(grey, (column, 0), (column + lean, height), tone, 1)
    for _ in range(rng.integers(0, 8)):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(grey, centre, int(rng.integers(1, 3)), float(rng.choice([10.0, 245.0])), -1)
    grey = np.clip(grey, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def occlude(
    image: Image, rng: np.random.Generator, centre_xy: tuple[float, float], extent: float
) -> Image:
    """A hand, a microphone, a cap: a smooth blob or bar over part of the face."""
    out = image.copy()
    height, width = image.shape[:2]
    away = rng.uniform(0.25, 0.6) * extent
    angle = rng.uniform(0, 2 * np.pi)
    x, y = centre_xy[0] + away * np.cos(angle), centre_xy[1] + away * np.sin(angle)
    axes = (
        max(1, int(rng.uniform(0.1, 0.4) * extent)),
        max(1, int(rng.uniform(0.08, 0.28) * extent)),
    )
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 255, -1)
    if rng.random() < 0.5:
        # Skin-like: the picture's own colours from elsewhere in it, so that a hand is plausible.
        fill = np.roll(image, (int(rng.integers(height)), int(rng.integers(width))), (0, 1))
    else:
        fill = np.empty_like(image)
        fill[:] = rng.integers(0, 256, 3).astype(np.uint8)
        fill = degrade(fill, rng, 0, 1, rng.uniform(0, 20), 100)
    chosen = mask > 0
    out[chosen] = fill[chosen]
    return out
