"""A face that is averaged with its own neighbours in time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from tests.faces.portraits import portrait
from vidref.faces.colour_match import thumbnail
from vidref.faces.geometry import placement_of, take_crop
from vidref.faces.steady import Moment, Steadied, in_time, moment, steadied

SIDE = 256


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    rgb, points = portrait()
    return take_crop(rgb, placement_of(points), SIDE)


def seen(picture: np.ndarray, seed: int, noise: float = 6.0) -> np.ndarray:
    """What a bad camera makes of it; of colour, video keeps a quarter of the pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, noise, (SIDE // 2, SIDE // 2, 3))
    colour = np.repeat(np.repeat(coarse - coarse.mean(2, keepdims=True), 2, 0), 2, 1)
    noisy = picture + rng.normal(0, noise, picture.shape[:2])[..., None] + colour
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


class Seen(NamedTuple):
    """What is shown of a moment, and the moment."""

    shown: np.ndarray
    moment: Moment


def shown(picture: np.ndarray) -> Seen:
    return shown_small(picture, picture)


def shown_small(picture: np.ndarray, small: np.ndarray) -> Seen:
    unit = small.astype(np.float32) / np.iinfo(small.dtype).max
    return Seen(unit, moment(picture, unit))


def steady(moments: Sequence[Seen], at: int) -> Steadied:
    """One of neighbouring moments, steadied."""
    (own, around), *_ = islice(in_time((one, {0: one.moment}) for one in moments), at, None)
    return steadied(own.shown, around[0])


def alone(here: Seen) -> np.ndarray:
    return steady([here], 0).shown


def among(moments: Sequence[Seen], at: int) -> np.ndarray:
    """What is shown at one of neighbouring moments."""
    return steady(moments, at).shown


def moved(picture: np.ndarray, by: float) -> np.ndarray:
    matrix = np.array([[1, 0, by], [0, 1, by / 2]], np.float64)
    return cv2.warpAffine(picture, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)


def error(picture: np.ndarray, truth: np.ndarray) -> float:
    inner = (slice(32, -32), slice(32, -32))
    return float(np.abs(picture[inner] * 255 - truth[inner]).mean())


def test_noise_that_is_new_in_every_frame_is_averaged_away(face: np.ndarray) -> None:
    moments = [shown(seen(face, seed)) for seed in range(5)]
    assert error(among(moments, 2), face) < 0.6 * error(alone(moments[2]), face)


def test_a_moving_face_is_followed_and_stays_sharp(face: np.ndarray) -> None:
    truth = [moved(face, 1.5 * step) for step in range(-2, 3)]
    moments = [shown(seen(picture, seed)) for seed, picture in enumerate(truth)]
    result = among(moments, 2)
    assert error(result, truth[2]) < 0.7 * error(alone(moments[2]), truth[2])
    clean = [shown(picture) for picture in truth]
    unaligned = np.mean(truth, axis=0) / 255
    assert error(among(clean, 2), truth[2]) < 0.4 * error(unaligned, truth[2])


def test_what_was_not_there_before_is_not_mixed_with_what_was(face: np.ndarray) -> None:
    covered = face.copy()
    cv2.rectangle(covered, (90, 130), (170, 230), (40, 90, 30), -1)
    result = among([shown(face), shown(face), shown(covered), shown(face)], 2) * 255
    inside = (slice(140, 220), slice(100, 160))
    assert np.abs(result[inside] - covered[inside]).max() < 6
    back = among([shown(covered), shown(covered), shown(face), shown(covered)], 2) * 255
    assert np.abs(back[inside] - face[inside]).mean() < 3


def test_a_face_alone_in_time_is_shown_as_it_is(face: np.ndarray) -> None:
    here = shown(face)
    result = steady([here], 0)
    assert np.allclose(result.shown, face / 255, atol=1 / 65535)
    assert np.allclose(result.thumb, thumbnail(face), atol=0.01)


def test_a_face_that_grows_is_steadied_by_its_smaller_self(face: np.ndarray) -> None:
    half = cv2.resize(face, (SIDE // 2, SIDE // 2), interpolation=cv2.INTER_AREA)
    small = shown_small(face, half)
    here = shown(face)
    result = among([small, here], 1)
    assert result.shape == face.shape
    assert error(result, face) < 4
    assert error(among([shown_small(face, half), shown(face)], 0), half) < 4


def test_grey_stays_grey_and_deep_colour_deep(face: np.ndarray) -> None:
    grey = np.repeat(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    result = among([shown(moved(grey, 1)), shown(seen(grey, 1, 0))], 1)
    assert np.array_equal(result[..., 0], result[..., 1])
    assert np.array_equal(result[..., 1], result[..., 2])
    deep = face.astype(np.uint16) * 257
    wide = [shown(deep), shown(deep)]
    plain = [shown(face), shown(face)]
    assert np.allclose(among(wide, 0), among(plain, 0), atol=1e-4)


def test_the_number_of_threads_changes_no_bit(face: np.ndarray) -> None:
    threads = cv2.getNumThreads()
    results = []
    try:
        for count in (1, 2, 5):
            cv2.setNumThreads(count)
            moments = [shown(seen(moved(face, 2.5 * step), step)) for step in range(3)]
            results.append(among(moments, 1))
    finally:
        cv2.setNumThreads(threads)
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_a_face_stays_as_bright_as_its_own_frame_when_the_light_flickers(face: np.ndarray) -> None:
    lit = [np.clip(face * gain, 0, 255).astype(np.uint8) for gain in (1.0, 0.94, 1.0, 0.95, 1.0)]
    moments = [shown(picture) for picture in lit]
    found = steady(moments, 2)
    own = thumbnail(lit[2])[16:48, 16:48].mean()
    assert abs(found.thumb[16:48, 16:48].mean() - own) < 0.004
