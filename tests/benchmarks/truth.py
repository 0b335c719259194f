"""What is really left of a sharp face in a harmed picture of it, measured against the sharp one."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.evaluation.metrics import haar
from vidref.faces.geometry import placement_of, take_crop

SIDE_PX = 512
FACE = (slice(70, 490), slice(70, 442))
"""The face within the square."""
FLOOR = 0.3
"""What HaarPSI and SSIM give two faces that have little in common."""
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Compared:
    left: float
    """1 to 0: the mean of HaarPSI and SSIM of the face, each from its floor."""
    error: float
    """Root mean square difference of the face, in levels of 255."""


class Truth:
    """The sharp face; what comparing needs of it is made once."""

    def __init__(self, rgb: NDArray[np.uint8], points: NDArray[np.float64]) -> None:
        self._face = _face(rgb, points)
        self._mean = _window(self._face)
        self._power = _window(self._face * self._face) - self._mean**2
        self._waves = _waves(self._face)

    def compare(self, rgb: NDArray[np.uint8], points: NDArray[np.float64]) -> Compared:
        face = _face(rgb, points)
        alike = [(value - FLOOR) / (1 - FLOOR) for value in (self._haarpsi(face), self._ssim(face))]
        error = float(np.sqrt(np.mean((face - self._face) ** 2)))
        return Compared(float(np.clip(np.mean(alike), 0, 1)), error)

    def left(self, rgb: NDArray[np.uint8], points: NDArray[np.float64]) -> float:
        return self.compare(rgb, points).left

    def _ssim(self, face: Grey) -> float:
        """As `vidref.evaluation.metrics.ssim`."""
        steady, contrast = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        mean = _window(face)
        both = mean * self._mean
        means = mean * mean + self._mean**2
        power = _window(face * face) - mean * mean + self._power
        shared = _window(face * self._face) - both
        top = (2 * both + steady) * (2 * shared + contrast)
        return float((top / ((means + steady) * (power + contrast))).mean())

    def _haarpsi(self, face: Grey, constant: float = 30.0, steepness: float = 4.2) -> float:
        """As `vidref.evaluation.metrics.haarpsi`."""
        weighted = weights = 0.0
        for mine, sharp in zip(_waves(face), self._waves, strict=True):
            weight = np.maximum(mine[2], sharp[2])
            fine = [
                (2 * p * q + constant) / (p * p + q * q + constant)
                for p, q in zip(mine[:2], sharp[:2], strict=True)
            ]
            weighted += float((weight / (1 + cv2.exp(-steepness * (fine[0] + fine[1]) / 2))).sum())
            weights += float(weight.sum())
        value = weighted / weights
        return float((np.log(value / (1 - value)) / steepness) ** 2)


def _face(rgb: NDArray[np.uint8], points: NDArray[np.float64]) -> Grey:
    """The face in grey at the size of the sharp one; a smaller one is enlarged from its own."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
    placement = placement_of(points)
    side = SIDE_PX if placement.size_px >= 400 else max(32, int(placement.size_px))
    crop = take_crop(grey, placement, side)
    if side < SIDE_PX:
        crop = np.asarray(cv2.resize(crop, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC))
    return crop[FACE].astype(np.float32)


def _window(values: Grey) -> Grey:
    return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))


def _waves(face: Grey) -> list[list[Grey]]:
    half = np.asarray(cv2.resize(face, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return [[np.abs(haar(half, 2**k, turned)) for k in (1, 2, 3)] for turned in (False, True)]
