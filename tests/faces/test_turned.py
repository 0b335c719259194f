"""How far a head is turned, told from its points, and the stretches in which it is too far."""

from __future__ import annotations

import numpy as np
import pytest

from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import TEMPLATE_512
from vidref.faces.paths import Track
from vidref.faces.pose import turned_deg
from vidref.faces.track import Tracker
from vidref.faces.turned import (
    BACK_DEG,
    FADE_S,
    TOO_FAR_DEG,
    is_turned_away,
    share_shown,
    spans_away,
)

NOSE = 0.55 * 126.3
SECONDS = np.arange(0, 8, 1 / 25)


def head(yaw_deg: float, tilt_deg: float = 0.0, size: float = 512) -> np.ndarray:
    """The template's points on a head that turns, its nose before the plane of the others."""
    points = np.column_stack([TEMPLATE_512 - 256, np.zeros(5)])
    points[2, 2] = NOSE
    yaw, tilt = np.radians([yaw_deg, tilt_deg])
    turned = points[:, 0] * np.cos(yaw) + points[:, 2] * np.sin(yaw)
    seen = np.column_stack([turned, points[:, 1]])
    leaning = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    return seen @ leaning * size / 512 + 400


@pytest.mark.parametrize("tilt", [0, 30, -50])
@pytest.mark.parametrize("yaw", [-90, -60, -30, 0, 15, 45, 75, 90])
def test_the_turn_of_a_head_is_told_up_to_full_profile_however_it_leans(yaw, tilt):
    assert turned_deg(head(yaw, tilt, 140)) == pytest.approx(yaw, abs=2)


def test_a_head_that_wavers_about_the_limit_is_away_once():
    middle = (TOO_FAR_DEG + BACK_DEG) / 2
    wavering = middle + 1.5 * np.sin(SECONDS * 20)
    turned = np.where((SECONDS > 2) & (SECONDS < 2.2), TOO_FAR_DEG + 5, wavering)
    turned[SECONDS < 1] = turned[SECONDS > 5] = 0
    ((first, last),) = spans_away(SECONDS, -turned)
    assert SECONDS[first] == pytest.approx(2, abs=0.05)
    assert SECONDS[last] == pytest.approx(5, abs=0.05)


def test_between_two_turns_a_face_comes_back_only_if_there_is_time_to_fade():
    def away(*stretches: tuple[float, float]) -> list[tuple[int, int]]:
        inside = [any(a <= t <= b for a, b in stretches) for t in SECONDS]
        return spans_away(SECONDS, np.where(inside, 70, 5))

    assert len(away((1, 2), (2 + 3 * FADE_S, 4))) == 2
    assert len(away((1, 2), (2 + FADE_S, 4))) == 1
    assert away((0.5 * FADE_S, 2)) == away((0, 2))
    assert away((7, 8 - 0.5 * FADE_S))[0][1] == len(SECONDS) - 1
    assert away() == [] and spans_away([0.0], [80.0]) == [(0, 0)]


def test_a_face_fades_without_a_step():
    shares = [share_shown(s) for s in np.arange(-0.1, 2 * FADE_S, 1 / 25)]
    assert shares[0] == 0 and shares[-1] == 1
    steps = np.diff(shares)
    assert steps.min() >= 0 and steps.max() < 0.25


def followed(looks: list[np.ndarray]) -> tuple[Track, list[int]]:
    """The track of a head that turns, and the frames in which the recogniser was asked."""
    tracker, asked = Tracker(0.5, 0.5), list[int]()
    for index, (time_s, points) in enumerate(zip(SECONDS, looks, strict=True)):
        box = np.concatenate([points.min(0) - 30, points.max(0) + 30])

        def embed(faces, index=index):
            asked.append(index)
            return np.tile(np.eye(1, 8, dtype=np.float32), (len(faces), 1))

        tracker.push(index, time_s, [DetectedFace(box, points, 0.9)], embed)
    (track,) = tracker.finish()
    return track, asked


def test_the_turn_of_a_track_is_steady_and_nobody_is_recognised_from_the_side():
    yaw = 75 * np.clip(np.minimum(SECONDS - 2, 6 - SECONDS), 0, 1)
    jitter = np.random.default_rng(0).normal(0, 0.7, (len(yaw), 5, 2))
    looks = [(head(y, size=120) + j).astype(np.float32) for y, j in zip(yaw, jitter, strict=True)]
    track, asked = followed(looks)
    told = np.array([frame.turned_deg for frame in track.frames])
    raw = np.array([turned_deg(points) for points in looks])
    still = (SECONDS < 1.8) | ((SECONDS > 3.2) & (SECONDS < 4.8)) | (SECONDS > 6.2)
    assert np.abs(told - yaw)[still].mean() < 0.6 * np.abs(raw - yaw)[still].mean()
    assert np.abs(told - yaw).max() < 8
    assert asked and not any(is_turned_away(looks[i]) for i in asked)
    ((first, last),) = spans_away([f.time_s for f in track.frames], list(told))
    assert SECONDS[first] == pytest.approx(2 + TOO_FAR_DEG / 75, abs=0.1)
    assert SECONDS[last] == pytest.approx(6 - BACK_DEG / 75, abs=0.1)
