"""The aligned square: the same place there and back, in any size, turn and bit depth."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from skimage import data

from vidref.faces.geometry import (
    TEMPLATE_512,
    Placement,
    placement_of,
    points_of,
    take_crop,
    to_crop,
    to_frame,
)
from vidref.faces.pack import TEMPLATE_112, aligned

PLACES = [
    Placement((300.25, 200.5), 180.0, 0.0),
    Placement((-20.0, 900.0), 37.3, 0.4),
    Placement((1000.0, 500.0), 1900.0, -2.9),
]


def _moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return cv2.resize(data.astronaut(), (1024, 1024), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("crop_px", [512, 256, 113])
def test_the_way_back_is_the_exact_inverse(place, crop_px):
    points = np.random.default_rng(0).uniform(-500, 1500, (50, 2))
    back = _moved(to_frame(place, crop_px), _moved(to_crop(place, crop_px), points))
    assert np.abs(back - points).max() < 1e-9


@pytest.mark.parametrize("place", PLACES)
def test_a_face_is_placed_by_its_points_and_its_points_by_its_place(place):
    found = placement_of(points_of(place))
    assert found.centre_xy == pytest.approx(place.centre_xy, abs=1e-6)
    assert found.size_px == pytest.approx(place.size_px)
    assert math.remainder(found.angle - place.angle, math.tau) == pytest.approx(0, abs=1e-9)
    assert _moved(to_crop(place), points_of(place)) == pytest.approx(TEMPLATE_512, abs=1e-6)


def test_a_face_that_leans_to_its_left_has_a_square_that_leans_with_it():
    leaning = points_of(Placement((100.0, 100.0), 100.0, math.pi / 2))
    left_eye, right_eye = leaning[0], leaning[1]
    assert right_eye[1] - left_eye[1] > 20  # the image's right eye went down: clockwise
    assert abs(right_eye[0] - left_eye[0]) < 1


def test_points_that_are_one_place_no_face():
    with pytest.raises(ValueError, match="place no face"):
        placement_of(np.ones((5, 2)))


def test_a_square_that_is_the_frame_is_the_frame(photo):
    small = photo[:512, :512]
    whole = Placement((255.5, 255.5), 512.0, 0.0)
    assert (take_crop(small, whole) == small).all()
    half = cv2.resize(photo, (512, 512), interpolation=cv2.INTER_AREA)
    crop = take_crop(photo, Placement((511.5, 511.5), 1024.0, 0.0))
    assert np.abs(crop.astype(int) - half).max() <= 1


def test_a_crop_reduced_four_times_shows_no_moire():
    fine = np.where(np.indices((1024, 1024)).sum(0) % 2, 255, 0).astype(np.uint8)
    crop = take_crop(np.dstack([fine] * 3), Placement((511.5, 511.5), 900.0, 0.3), 225)
    assert crop.std() < 8  # a plain reduction: 127
    assert crop.mean() == pytest.approx(127.5, abs=2)


def test_sixteen_bits_stay_sixteen_bits_and_show_the_same(photo):
    place = Placement((440.0, 260.0), 300.0, 0.2)
    deep = take_crop(photo.astype(np.uint16) * 257, place)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - take_crop(photo, place)).max() < 1.5


def test_beyond_the_frame_its_edge_is_repeated(photo):
    crop = take_crop(photo, Placement((0.0, 500.0), 200.0, 0.0), 200)
    assert (crop[:, :90] == crop[:, :1]).all()
    assert len(np.unique(crop)) > 10


def test_one_face_crops_alike_from_a_large_and_a_small_picture(photo):
    place = Placement((440.0, 260.0), 256.0, 0.1)
    large = cv2.resize(photo, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    tripled = Placement((3 * 440.0 + 1, 3 * 260.0 + 1), 768.0, 0.1)
    difference = take_crop(large, tripled, 256).astype(float) - take_crop(photo, place, 256)
    assert np.abs(difference).mean() < 1


def test_the_recognisers_square_is_where_its_template_says(photo):
    points = (TEMPLATE_112 * 1.5 + [350, 150]).astype(np.float32)
    crop = aligned(photo, points)
    straight = cv2.resize(photo[150:318, 350:518], (112, 112), interpolation=cv2.INTER_LINEAR)
    assert np.abs(crop.astype(float) - straight).mean() < 6
