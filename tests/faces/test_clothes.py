"""What someone wears: the same in other light and nearer by, another thing on somebody else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vidref.faces.clothes import ALIKE, TOLD_APART, clothes_alike, clothes_of, mean_clothes
from vidref.faces.geometry import Placement

SKIN, BLUE, RED, WHITE, DARK = (
    (200, 150, 125), (60, 80, 150), (150, 40, 50), (230, 230, 225), (35, 33, 38)
)  # fmt: skip
HERE = Placement((160.0, 90.0), 90.0, 0.0)


def someone(jacket, shirt, place=HERE, light=(1.0, 1.0, 1.0)):
    """A head over a jacket with a shirt's triangle, in some light."""
    picture = np.full((320, 320, 3), 90, np.uint8)
    (x, y), side = place.centre_xy, place.size_px
    at = lambda dx, dy: (int(x + dx * side), int(y + dy * side))  # noqa: E731
    cv2.rectangle(picture, at(-1.1, 0.55), at(1.1, 4), jacket, -1)
    cv2.fillPoly(picture, [np.array([at(-0.25, 0.5), at(0.25, 0.5), at(0, 1.4)])], shirt)
    cv2.ellipse(picture, at(0, 0), (int(0.4 * side), int(0.55 * side)), 0, 0, 360, SKIN, -1)
    return np.clip(picture * np.array(light), 0, 255).astype(np.uint8)


def test_clothes_are_known_again_in_weaker_and_warmer_light_and_nearer_by():
    usual = clothes_of(someone(BLUE, WHITE), HERE)
    dim = clothes_of(someone(BLUE, WHITE, light=(0.75, 0.65, 0.5)), HERE)
    near = Placement((150.0, 100.0), 120.0, 0.05)
    nearer = clothes_of(someone(BLUE, WHITE, near), near)
    assert clothes_alike(usual, dim) > ALIKE
    assert clothes_alike(usual, nearer) > ALIKE
    assert clothes_alike(usual, usual) == pytest.approx(1, abs=1e-5)


def test_somebody_elses_clothes_are_others():
    blue, red, dark = (clothes_of(someone(c, WHITE), HERE) for c in (BLUE, RED, DARK))
    pairs = [clothes_alike(a, b) for a, b in ((blue, red), (blue, dark), (red, dark))]
    assert max(pairs) < ALIKE - TOLD_APART


def test_a_hand_before_them_at_one_moment_of_four_counts_little():
    plain = clothes_of(someone(BLUE, WHITE), HERE)
    waving = someone(BLUE, WHITE)
    waving[150:230, 100:220] = SKIN
    with_hand = clothes_of(waving, HERE)
    usual = mean_clothes([plain, plain, plain, with_hand])
    assert clothes_alike(plain, usual) > 0.8 > clothes_alike(plain, with_hand)


def test_a_face_at_the_pictures_lower_edge_or_beyond_it_shows_no_clothes():
    picture = someone(BLUE, WHITE)
    for y in (290.0, 600.0):
        assert clothes_of(picture, Placement((160.0, y), 90.0, 0.0)) is None
    assert clothes_of(picture, Placement((-400.0, 90.0), 90.0, 0.0)) is None
    assert clothes_of(np.zeros((1, 1, 3), np.uint8), HERE) is None
