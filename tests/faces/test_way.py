"""The way from a face in one frame to itself in another, and back."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.faces.portraits import portrait
from vidref.faces.geometry import placement_of, take_crop
from vidref.faces.way import MOTION_AT, SMALL_PX, back, onward, search

INNER = (slice(16, -16), slice(16, -16))


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    rgb, points = portrait()
    small = take_crop(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), placement_of(points), SMALL_PX)
    return cv2.GaussianBlur(small, (0, 0), MOTION_AT)


def here() -> np.ndarray:
    return np.dstack(np.meshgrid(*[np.arange(SMALL_PX, dtype=np.float32)] * 2))


def moved(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    size = (SMALL_PX, SMALL_PX)
    return cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REPLICATE)


def test_the_way_leads_where_the_face_went(grey: np.ndarray) -> None:
    gone, expected = np.array([1.6, -0.8]), np.float32([1.2, -1.0])
    there = moved(grey, *gone)
    for way, most in ((search(grey, there), 0.15), (search(grey, there, here() + expected), 0.3)):
        assert np.abs(np.median((way - here())[INNER], axis=(0, 1)) - gone).max() < most


def test_the_way_there_and_back_ends_where_it_began() -> None:
    own = here()
    bent = np.dstack([2 * np.sin(own[..., 1] / 12), 1.5 * np.cos(own[..., 0] / 15)])
    way = (own + bent).astype(np.float32)
    assert np.abs(onward(way, back(way)) - own)[INNER].max() < 0.05
