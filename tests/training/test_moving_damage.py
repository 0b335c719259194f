"""A portrait becomes a short coded clip: what is left of it is worse, and still in its place."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from vidref.training.moving_damage import Filming, draw_filming, film_batch, filmed

STILL = Filming(
    side_px=160,
    frames=6,
    shown=5,
    turn=0,
    pace=(0, 0, 0, 0),
    jitter_px=0,
    blur_px=0,
    noise=0,
    codec="libx264",
    severity=0.5,
    twice=False,
)
MOVING = replace(STILL, turn=7, pace=(2.3, 1.1, 0.5, 0.004), jitter_px=0.3, noise=5)


def face() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[0:256, 95:351])


def error(how: Filming) -> float:
    seen = filmed(face(), how, np.random.default_rng(0))
    return float(np.abs(seen.astype(float) - face()).mean())


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("how", [STILL, MOVING, replace(MOVING, shown=3, twice=True)])
def test_the_face_stays_where_it_was(how: Filming) -> None:
    seen = filmed(face(), how, np.random.default_rng(0))
    grey = [cv2.GaussianBlur(p[..., 1], (0, 0), 3).astype(np.float32) for p in (face(), seen)]
    window = cv2.createHanningWindow((256, 256), cv2.CV_32F)
    (right, down), agreement = cv2.phaseCorrelate(grey[0], grey[1], window)
    # the head moved 11 pixels of these in the clip; a coarse codec lags by a part of one
    assert np.hypot(right, down) < 1 and agreement > 0.7


def test_a_face_that_moves_loses_more_than_one_that_is_still() -> None:
    assert error(replace(MOVING, noise=0)) > 1.1 * error(STILL)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "mpeg4"])
def test_less_is_left_the_coarser_the_codec_and_the_smaller_the_face(codec: str) -> None:
    how = replace(MOVING, codec=codec)
    fine, coarse = replace(how, severity=0.1), replace(how, severity=0.9)
    assert error(fine) < error(coarse) < error(replace(coarse, side_px=60)) < 40


def test_draws_repeat_by_seed_and_fit_the_square() -> None:
    drawn = [draw_filming(128, generator(seed)) for seed in range(40)]
    assert drawn[:5] == [draw_filming(128, generator(seed)) for seed in range(5)]
    assert {how.codec for how in drawn} == {"libx264", "mpeg2video", "mpeg4"}
    assert all(44 <= how.side_px <= 128 and 0 < how.shown < how.frames for how in drawn)


def test_a_batch_is_filmed_picture_by_picture() -> None:
    pictures = torch.from_numpy(np.stack([face(), face()[:, ::-1]])).permute(0, 3, 1, 2) / 255
    one = film_batch(pictures, generator(1), generator(2))
    assert one.shape == pictures.shape and float(one.min()) >= 0 and float(one.max()) <= 1
    assert torch.equal(one, film_batch(pictures, generator(1), generator(2)))
    assert not torch.equal(one[0], one[1].flip(-1))
