"""Heads turned for training: what is on a face stays where its label says."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest

from vidref.faces.geometry import TEMPLATE_512
from vidref.faces.pose import yaw_pitch_deg
from vidref.training.detector_labels import Labels, Picture
from vidref.training.refiner_data import Turned, made_turned, turned_faces
from vidref.training.turned_heads import WORKING_PX, turned

SIDE = 2 * WORKING_PX
POINTS = (TEMPLATE_512 / 512 * SIDE * 0.6 + SIDE * 0.2).astype(np.float32)


def portrait(moved_nose_px: float = 0.0) -> Picture:
    """A plain skin-coloured disc with a white dot on each of its five points."""
    image = np.full((SIDE, SIDE, 3), (40, 60, 90), np.uint8)
    middle = POINTS.mean(0)
    cv2.ellipse(image, (int(middle[0]), int(middle[1])), (70, 95), 0, 0, 360, (200, 150, 120), -1)
    points = POINTS + np.array([[0, 0], [0, 0], [moved_nose_px, 0], [0, 0], [0, 0]], np.float32)
    for x, y in points:
        cv2.circle(image, (round(float(x)), round(float(y))), 5, (255, 255, 255), -1)
    box = np.array([middle[0] - 60, middle[1] - 85, middle[0] + 60, middle[1] + 85], np.float32)
    return Picture("disc", image, Labels(box[None], points[None], np.array([True])))


@pytest.mark.parametrize("yaw_deg", [-40.0, -20.0, 20.0, 40.0])
def test_the_points_of_a_turned_face_are_where_its_dots_went(yaw_deg: float) -> None:
    made = turned(portrait(), yaw_deg)
    assert made is not None
    # The nose and the nearer eye are in sight at every one of these angles.
    nearer = 0 if yaw_deg > 0 else 1
    for x, y in made.labels.landmarks[0][[nearer, 2]]:
        around = made.image[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3]
        assert around.min(-1).max() > 225


def test_the_more_a_head_is_turned_the_more_its_points_say_so() -> None:
    yaws = []
    for angle in (-80, -50, -25, 0, 25, 50, 80):
        made = turned(portrait(), angle)
        assert made is not None
        yaws.append(yaw_pitch_deg(made.labels.landmarks[0])[0])
        left, top, right, bottom = made.labels.boxes[0]
        assert right > left + 10 and bottom > top + 10
    assert all(after > before for before, after in pairwise(yaws))
    assert yaws[0] < -40 and yaws[-1] > 40


def test_the_eyes_of_a_profile_lie_together_and_the_nose_before_them() -> None:
    made = turned(portrait(), 90)
    assert made is not None
    points = made.labels.landmarks[0]
    apart = np.linalg.norm(points[1] - points[0]) / np.linalg.norm(points[:2].mean(0) - points[3])
    assert apart < 0.15
    assert points[2, 0] > points[[0, 1, 3, 4], 0].max() + 5


def test_a_face_that_looks_aside_already_is_not_turned() -> None:
    aside = portrait(moved_nose_px=9)
    assert turned(aside, 40) is None
    assert [face.index for face in turned_faces([portrait(), aside])] == []
    further = portrait(moved_nose_px=45)
    assert turned_faces([portrait(), further]) == [Turned(further, 0)]


def test_turned_heads_follow_from_the_seed_and_lie_to_both_sides() -> None:
    made = made_turned([portrait()], 8, seed=4)
    again = made_turned([portrait()], 8, seed=4)
    assert [one.picture.name for one in made] == [one.picture.name for one in again]
    sides = {np.sign(yaw_pitch_deg(one.picture.labels.landmarks[0])[0]) for one in made}
    assert len(made) == 8 and sides == {-1.0, 1.0}
    assert made_turned([portrait(moved_nose_px=9)], 3, seed=4) == []
