"""The quality score: it follows what is left of a face, and nothing else earns points."""

from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from tests.faces.portraits import portrait, scaled
from vidref.faces.pose import yaw_pitch_deg
from vidref.faces.quality import measure


def blurred(rgb, amount):
    return cv2.GaussianBlur(rgb, (0, 0), amount) if amount else rgb


def noisy(rgb, amount):
    rng = np.random.default_rng(0)
    return np.clip(rgb + rng.normal(0, amount, rgb.shape), 0, 255).astype(np.uint8)


def packed(rgb, quality):
    data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def streaked(rgb, length):
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    return cv2.filter2D(rgb, -1, kernel)


@pytest.mark.parametrize("name", ["evening.jpg", "studio.jpg", "outdoors.jpg"])
@pytest.mark.parametrize(
    ("harm", "amounts"),
    [
        (blurred, (0, 2, 4, 8)),
        (noisy, (0, 12, 24, 48)),
        (packed, (95, 25, 10, 4)),
        (streaked, (1, 5, 11, 21)),
    ],
)
def test_more_harm_always_gives_a_lower_score(name, harm, amounts):
    rgb, points = portrait(name)
    scores = [measure(harm(rgb, amount), points).score for amount in amounts]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < scores[0] - 0.1


@pytest.mark.parametrize("softness", [0, 2, 4, 8])
def test_noise_never_makes_a_face_better_however_blurred_it_is(softness):
    rgb, points = portrait()
    soft = blurred(rgb, softness)
    clean = measure(soft, points).score
    assert all(measure(noisy(soft, amount), points).score < clean for amount in (8, 16, 32))


def test_a_smaller_face_scores_lower_and_enlarging_it_wins_nothing_of_its_detail_back():
    rgb, points = portrait()
    small, small_points = scaled(rgb, points, 0.15)
    large, large_points = scaled(small, small_points, 1 / 0.15)
    whole = measure(rgb, points)
    assert measure(small, small_points).score < 0.85 * whole.score
    assert measure(large, large_points).sharpness < whole.sharpness - 0.08


def test_a_face_cut_by_the_frame_is_not_clear():
    rgb, points = portrait()
    middle = int(points[:, 0].mean())
    assert measure(rgb, points).clear == pytest.approx(1, abs=0.05)
    cut = np.ascontiguousarray(rgb[:, :middle])
    assert measure(cut, points).clear < 0.5


def test_a_dark_or_burnt_out_face_is_badly_exposed():
    rgb, points = portrait()
    dark = (rgb * 0.12).astype(np.uint8)
    burnt = np.clip(rgb.astype(float) * 3 + 80, 0, 255).astype(np.uint8)
    good = measure(rgb, points).exposure
    assert good > 0.9
    assert measure(dark, points).exposure < 0.5
    assert measure(burnt, points).exposure < 0.5


def test_a_hand_sized_patch_of_another_colour_before_the_mouth_is_seen():
    rgb, points = portrait()
    mouth = points[3:].mean(0).astype(int)
    hidden = rgb.copy()
    width = int(np.linalg.norm(points[1] - points[0]))
    hidden[mouth[1] - width // 2 : mouth[1] + width // 2, mouth[0] - width : mouth[0] + width] = (
        30,
        60,
        200,
    )
    assert measure(hidden, points).clear < measure(rgb, points).clear - 0.3
    assert measure(hidden, points).score < measure(rgb, points).score


def test_shut_eyes_count_less_than_open_ones():
    rgb, points = portrait()
    shut = rgb.copy()
    width = float(np.linalg.norm(points[1] - points[0]))
    for x, y in points[:2]:
        # A lid of the cheek's colour, closed by one dark line.
        cheek = rgb[int(y + 0.35 * width), int(x)].tolist()
        cv2.ellipse(
            shut, (int(x), int(y)), (int(0.27 * width), int(0.17 * width)), 0, 0, 360, cheek, -1
        )
        cv2.line(
            shut,
            (int(x - 0.2 * width), int(y + 0.06 * width)),
            (int(x + 0.2 * width), int(y + 0.06 * width)),
            (60, 40, 35),
            2,
            cv2.LINE_AA,
        )
    assert measure(shut, points).eyes < measure(rgb, points).eyes - 0.2


def test_a_turned_head_has_its_nose_off_the_middle():
    _, points = portrait()
    yaw, _ = yaw_pitch_deg(points)
    turned = points.copy()
    turned[2, 0] += 0.3 * np.linalg.norm(points[1] - points[0])
    assert yaw_pitch_deg(turned)[0] > yaw + 15
    mirrored = turned * [-1, 1]
    mirrored = mirrored[[1, 0, 2, 4, 3]]
    assert yaw_pitch_deg(mirrored)[0] == pytest.approx(-yaw_pitch_deg(turned)[0], abs=5)


def test_the_camera_s_own_tilt_is_not_a_turn_of_the_head():
    _, points = portrait()
    angle = np.radians(25)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert yaw_pitch_deg(points @ turn.T) == pytest.approx(yaw_pitch_deg(points), abs=1e-6)


def test_points_of_a_face_lying_on_its_side_are_not_believed():
    rgb, points = portrait()
    sideways = np.ascontiguousarray(np.rot90(rgb))
    turned = np.stack([points[:, 1], rgb.shape[1] - 1 - points[:, 0]], axis=1)
    assert measure(rgb, points).pose == pytest.approx(1, abs=0.05)
    assert measure(sideways, turned).pose < 0.1
    assert measure(sideways, turned).score < 0.6 * measure(rgb, points).score


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (37, 41)])
def test_a_face_that_the_picture_hardly_holds_gets_a_score_and_no_error(shape):
    rgb = np.full((*shape, 3), 90, np.uint8)
    points = np.array([[10, 10], [20, 10], [15, 16], [11, 21], [19, 21]], float)
    assert 0 <= measure(rgb, points).score <= 1


def test_measuring_a_crop_takes_a_few_milliseconds():
    rgb, points = scaled(*portrait(), 0.5)
    measure(rgb, points)
    started = time.process_time()
    for _ in range(20):
        measure(rgb, points)
    assert (time.process_time() - started) / 20 < 0.02
