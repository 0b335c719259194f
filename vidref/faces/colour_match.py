"""The input's colours for the restored face: skin never shifts, and grey stays grey.

All of it is measured on thumbnails of 64 px, where noise and blocking are averaged away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.faces.mask import skin

Picture = NDArray[np.float32]
"""HxWx3 RGB in 0..1."""
Plane = NDArray[np.float32]

THUMB_PX = 64
MATCHED_AT = 6.0
"""Deviation, in thumbnail pixels, of the blur under which the input's colours rule: 48 of 512."""
GAINED_AT, MOST_GAIN = 2.0, 2.0
"""What is multiplied is a blur of the restored face, so that fine contrast is not."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
MONOCHROME, COLOURED = 2 / 255, 4 / 255
"""What colour there is beside a constant tint. Measured on the 16 clips of shared/data and the
sample: the black-and-white film 0.4 levels, all others 7.8 to 42."""


def thumbnail(crop: NDArray[Any]) -> Picture:
    """A crop of any dtype as a small picture, each pixel the mean of those it stands for."""
    import cv2

    small = cv2.resize(crop, (THUMB_PX, THUMB_PX), interpolation=cv2.INTER_AREA)
    return as_float(np.asarray(small))


def as_float(picture: NDArray[Any]) -> Picture:
    """Whole numbers over their type's span, floats as they are."""
    if np.issubdtype(picture.dtype, np.integer):
        unit: Picture = picture.astype(np.float32)
        unit *= np.float32(1 / np.iinfo(picture.dtype).max)
        return unit
    return np.asarray(picture, np.float32)


def sixteen_bits(picture: NDArray[Any]) -> NDArray[np.uint16]:
    """A new picture over the whole span; floats beyond 0..1 are cut off."""
    import cv2

    if picture.dtype == np.uint16:
        return picture.copy()
    if picture.dtype == np.uint8:
        whole = picture.astype(np.uint16)
        whole *= 257
        return whole
    return np.asarray(cv2.addWeighted(picture, 65535, picture, 0, 0, dtype=cv2.CV_16U))


def colour_change(restored: Picture, crop: Picture, weight: Plane) -> Picture:
    """What to add to a restored thumbnail so that its low frequencies are the input's.

    First a gain, for a wrong colour is mostly a wrong balance and hair next to skin has another
    difference; then what the skin as a whole still lacks. Only pixels with a `weight` speak:
    neither an occluder nor a repeated edge lends the skin its colour.
    """
    weight = np.maximum(weight, np.float32(1e-4))[..., None]
    summed = blur(np.concatenate([crop * weight, restored * weight], axis=2), MATCHED_AT)
    gain = summed[..., :3] / np.maximum(summed[..., 3:], np.float32(1e-3))
    change = (np.clip(gain, 1 / MOST_GAIN, MOST_GAIN) - 1) * blur(restored, GAINED_AT)
    zone = skin(THUMB_PX)[..., None]
    said = zone * weight
    missing = ((crop - restored - change) * said).sum((0, 1)) / (zone * said).sum()
    return np.asarray(change + missing * zone, np.float32)


def blur(picture: Picture, deviation: float) -> Picture:
    import cv2

    return np.asarray(
        cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE), np.float32
    )


def luma(picture: Picture) -> Plane:
    import cv2

    return np.asarray(cv2.transform(picture, LUMA[None]), np.float32)


def as_grey(grey: Plane) -> Picture:
    """The same number in all three channels."""
    import cv2

    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.float32)


@dataclass(frozen=True)
class Tint:
    """How a picture's colour follows from its luma alone: channel = luma + shift + slope * luma.

    `share` is 1 for a monochrome picture (black-and-white, sepia), 0 for a coloured one. Exactly
    grey pictures have a share of 1, shift and slope of 0.
    """

    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)
    slope: tuple[float, float, float] = (0.0, 0.0, 0.0)
    share: float = 1.0

    @property
    def is_grey(self) -> bool:
        return self.share == 1 and not any(self.shift) and not any(self.slope)


def tint_of(crop: Picture, weight: Plane) -> Tint:
    """The tint of a thumbnail, of the pixels that have a weight."""
    there = (weight > 0).ravel()
    if not there.any():
        return Tint()
    shown = np.ascontiguousarray(crop.reshape(-1, 3).T)
    shown = shown if there.all() else np.compress(there, shown, axis=1)
    if np.array_equal(shown[0], shown[1]) and np.array_equal(shown[0], shown[2]):
        return Tint()
    grey = LUMA @ shown
    colour = shown - grey
    across = grey - grey.mean()
    slope = colour @ across / max(float(across @ across), 1e-9)
    left_over = colour - colour.mean(1, keepdims=True) - slope[:, None] * across
    most = float(left_over.std(1).max())
    share = min(1.0, max(0.0, (COLOURED - most) / (COLOURED - MONOCHROME)))
    shift = colour.mean(1) - grey.mean() * slope
    return Tint(_three(shift), _three(slope), share)


def _three(values: NDArray[np.float32]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def tinted(picture: Picture, tint: Tint) -> Picture:
    """The picture with no more colour than its tint allows; a coloured one as it is."""
    if tint.share == 0:
        return picture
    grey = as_grey(luma(picture))
    if tint.is_grey:
        return grey
    shift, slope = np.array(tint.shift, np.float32), np.array(tint.slope, np.float32)
    toned = grey + shift + slope * grey
    return picture + np.float32(tint.share) * (toned - picture)
