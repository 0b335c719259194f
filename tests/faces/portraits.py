"""A sharp portrait with its five points, for tests of faces: a sample photo, seen by the pack."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidref.faces.pack import FacePack, load_pack
from vidref.faces.pictures import read_picture

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "person"


@cache
def bundled_pack() -> FacePack:
    return load_pack(threads=1)


@cache
def portrait(name: str = "evening.jpg") -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The picture and its points (5, 2)."""
    rgb = read_picture(SAMPLES / name).rgb
    face = bundled_pack().detect(rgb)[0]
    return rgb, face.landmarks_xy.astype(np.float64)


def scaled(
    rgb: NDArray[np.uint8], points: NDArray[np.float64], scale: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """A picture made smaller or larger, and its points with it."""
    import cv2

    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
    factor = np.array([size[0] / rgb.shape[1], size[1] / rgb.shape[0]])
    return np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8), (
        points + 0.5
    ) * factor - 0.5
