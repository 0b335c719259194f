"""How alike two pictures are: uint8 RGB arrays in, numbers out. No network is needed here."""

from __future__ import annotations

import cv2
import numpy as np

Picture = np.ndarray


def grey(image: Picture) -> np.ndarray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.float32)


def psnr(a: Picture, b: Picture) -> float:
    """Peak signal to noise, dB."""
    error = np.mean((a.astype(np.float32) - b.astype(np.float32)) ** 2)
    return float(10 * np.log10(255**2 / max(1e-9, float(error))))


def ssim(a: Picture, b: Picture) -> float:
    """Structural similarity of the grey pictures, Gaussian window of 11 px and deviation 1.5."""
    x, y = grey(a), grey(b)

    def window(image: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.GaussianBlur(image, (11, 11), 1.5))

    steady, contrast = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_x, mean_y = window(x), window(y)
    power = window(x * x) - mean_x**2 + window(y * y) - mean_y**2
    shared = window(x * y) - mean_x * mean_y
    top = (2 * mean_x * mean_y + steady) * (2 * shared + contrast)
    return float((top / ((mean_x**2 + mean_y**2 + steady) * (power + contrast))).mean())


def haarpsi(a: Picture, b: Picture, constant: float = 30.0, steepness: float = 4.2) -> float:
    """Haar wavelet similarity: the two finest scales compared, weighted by the third."""
    pictures = [
        np.asarray(cv2.resize(grey(x), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
        for x in (a, b)
    ]
    weighted = weights = 0.0
    for turned in (False, True):
        bands = [[haar(picture, 2**k, turned) for k in (1, 2, 3)] for picture in pictures]
        weight = np.maximum(np.abs(bands[0][2]), np.abs(bands[1][2]))
        fine = [
            (2 * np.abs(p) * np.abs(q) + constant) / (p * p + q * q + constant)
            for p, q in zip(bands[0][:2], bands[1][:2], strict=True)
        ]
        likeness = (fine[0] + fine[1]) / 2
        weighted += float((weight / (1 + np.exp(-steepness * likeness))).sum())
        weights += float(weight.sum())
    value = weighted / weights
    return float((np.log(value / (1 - value)) / steepness) ** 2)


def haar(image: np.ndarray, size: int, turned: bool) -> np.ndarray:
    """The response of a Haar filter of `size` px: one half of the window against the other."""
    kernel = np.full((size, size), 1 / size**2, np.float32)
    kernel[: size // 2] *= -1
    if turned:
        kernel = np.ascontiguousarray(kernel.T)
    return np.asarray(cv2.filter2D(image, -1, kernel))


CHEEKS_512 = ((188, 318), (324, 318))
CHEEK_REACH = 18
"""Centres (x, y) and half side of two patches of cheek in the aligned 512 px square."""


def skin_angle(face: Picture) -> float:
    """Individual typology angle of the cheeks, degrees: light skin above 41, dark below 10."""
    unit = face.astype(np.float32) / 255
    lab = np.asarray(cv2.cvtColor(unit, cv2.COLOR_RGB2LAB))
    scale = face.shape[0] / 512
    patches = []
    for x, y in CHEEKS_512:
        left, right = (round((x + side * CHEEK_REACH) * scale) for side in (-1, 1))
        top, bottom = (round((y + side * CHEEK_REACH) * scale) for side in (-1, 1))
        patches.append(lab[top:bottom, left:right].reshape(-1, 3))
    lightness, _, yellow = np.median(np.concatenate(patches), axis=0)
    return float(np.degrees(np.arctan2(lightness - 50, yellow)))


def skin_group(angle: float) -> str:
    """dark, middle or light, at the usual boundaries of the angle."""
    return "dark" if angle < 10 else "middle" if angle <= 41 else "light"


def detail(restored: Picture, truth: Picture) -> float:
    """Fine detail of the inner face, restored over truth: 1 is right, below it is smooth."""
    size = truth.shape[0]
    inner = slice(int(size * 0.3), int(size * 0.8))
    found, wanted = (
        np.abs(cv2.Laplacian(grey(image)[inner, inner], cv2.CV_32F)).mean()
        for image in (restored, truth)
    )
    return float(found / wanted)
