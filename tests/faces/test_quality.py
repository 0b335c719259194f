"""The quality score: it follows what is left of a face, and nothing else earns points."""

from __future__ import annotations

import io
import time
from functools import cache
from itertools import pairwise

import av
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
    # Known: where the face's square lies on the codec's grid moves the score by a hundredth, and
    # light JPEG on a coded frame takes no more than that.
    assert all(after < before + 0.02 for before, after in pairwise(scores))
    assert scores[-1] < scores[0] - 0.1


@cache
def frame_of_a_clip(name="evening.jpg"):
    """The portrait as a clip shows it: smaller, softened and coded."""
    rgb, points = scaled(*portrait(name), 0.6)
    soft = blurred(rgb, 1.2)
    height, width = (length - length % 2 for length in soft.shape[:2])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": "26", "threads": "1"}
        cropped = np.ascontiguousarray(soft[:height, :width])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(cropped, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24"), points


@pytest.mark.parametrize(
    ("harm", "amounts"),
    [
        (blurred, (0, 2, 4, 8)),
        (noisy, (0, 6, 12, 24, 48)),
        (packed, (95, 40, 20, 8)),
        (streaked, (1, 5, 11, 21)),
    ],
)
def test_a_frame_that_a_codec_had_smoothed_before_is_ranked_by_its_harm_too(harm, amounts):
    rgb, points = frame_of_a_clip()
    scores = [measure(harm(rgb, amount), points).score for amount in amounts]
    # Known: where the face's square lies on the codec's grid moves the score by a hundredth, and
    # light JPEG on a coded frame takes no more than that.
    assert all(after < before + 0.02 for before, after in pairwise(scores))
    assert scores[-1] < scores[0] - 0.1


def test_noise_that_was_coded_afterwards_does_not_pass_for_detail():
    rgb, points = frame_of_a_clip()
    clean = measure(rgb, points).score
    for amount in (12, 24):
        assert measure(packed(noisy(rgb, amount), 35), points).score < clean


@pytest.mark.parametrize(
    ("harm", "amount", "why"),
    [
        (blurred, 6, "it is blurred"),
        (noisy, 30, "it is noisy"),
        (packed, 8, "it is badly compressed"),
    ],
)
def test_the_reason_for_a_low_score_is_the_harm_that_was_done(harm, amount, why):
    rgb, points = portrait("studio.jpg")
    assert measure(harm(rgb, amount), points).weakest() == why


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


@pytest.mark.parametrize("name", ["evening.jpg", "studio.jpg", "outdoors.jpg"])
def test_shut_eyes_count_less_than_open_ones(name):
    rgb, points = portrait(name)
    shut = rgb.copy()
    along = points[1] - points[0]
    width, tilt = float(np.linalg.norm(along)), float(np.degrees(np.arctan2(*along[::-1])))
    down = np.array([-along[1], along[0]]) / width
    lids = np.zeros(rgb.shape[:2], np.float32)
    for eye in points[:2]:
        # A lid of the skin below the eye, that runs out softly, closed by one dark line.
        x, y = (int(value) for value in eye)
        cheek = np.array(rgb[*(eye + 0.3 * width * down).astype(int)[::-1]], float)
        lids[:] = 0
        axes = (int(0.3 * width), int(0.17 * width))
        cv2.ellipse(lids, (x, y), axes, tilt, 0, 360, 1.0, -1)
        lid = cv2.GaussianBlur(lids, (0, 0), 0.05 * width)[..., None]
        shut = (shut * (1 - lid) + cheek * lid).astype(np.uint8)
        ends = [eye + 0.06 * width * down + side * 0.2 * along for side in (-1, 1)]
        left, right = (tuple(int(value) for value in end) for end in ends)
        cv2.line(shut, left, right, (60, 40, 35), 2, cv2.LINE_AA)
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
    # The head leans to the picture's right already: turned that way it lies past level.
    sideways = np.ascontiguousarray(np.rot90(rgb, -1))
    turned = np.stack([rgb.shape[0] - 1 - points[:, 1], points[:, 0]], axis=1)
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
