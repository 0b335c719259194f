"""The way from a face in one frame to itself in another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.faces.portraits import portrait
from vidref.faces.geometry import placement_of, take_crop
from vidref.faces.way import MOTION_AT, SMALL_PX, onward, search

INNER = (slice(16, -16), slice(16, -16))


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    rgb, points = portrait()
    small = take_crop(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), placement_of(points), SMALL_PX)
    return cv2.GaussianBlur(small, (0, 0), MOTION_AT)


def moved(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = (SMALL_PX, SMALL_PX)
    return cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def away(way: np.ndarray) -> np.ndarray:
    """How far a way leads, as x and y, in its middle."""
    here = np.stack(np.meshgrid(*[np.arange(SMALL_PX, dtype=np.float32)] * 2))
    return np.median((way - here)[:, *INNER], axis=(1, 2))


def test_the_way_leads_where_the_face_went(grey: np.ndarray) -> None:
    gone = np.array([1.6, -0.8])
    assert np.abs(away(search(grey, moved(grey, *gone))) - gone).max() < 0.15


def test_one_way_after_the_other_leads_past_the_first(grey: np.ndarray) -> None:
    there, beyond = moved(grey, 1.6, -0.8), moved(grey, 2.4, 0.7)
    both = onward(search(grey, there), search(there, beyond))
    assert np.abs(away(both) - (2.4, 0.7)).max() < 0.2
