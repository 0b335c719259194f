"""Woven fields are told of; a noisy tape is not taken for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.people_clips import write_pictures
from tests.tool import PASS, vidref

RNG = np.random.default_rng(0)
SCENE = np.kron(RNG.integers(40, 200, (12, 40)), np.ones((16, 16), int))


def whole(moment: int) -> np.ndarray:
    """Blocks that move four pixels from one moment to the next."""
    return SCENE[:, 4 * moment : 4 * moment + 320]


def woven(frame: int) -> np.ndarray:
    picture = whole(2 * frame).copy()
    picture[1::2] = whole(2 * frame + 1)[1::2]
    return picture


def noisy_lines(frame: int) -> np.ndarray:
    """As of a worn tape: dashes of a line that is brighter or darker than it should be."""
    dashes = np.kron(RNG.normal(0, 18, (192, 40)), np.ones((1, 8)))
    return whole(frame) + dashes


def grainy_and_woven(frame: int) -> np.ndarray:
    return woven(frame) + RNG.normal(0, 6, (192, 320))


@pytest.mark.parametrize(
    ("made", "told"),
    [(whole, False), (woven, True), (grainy_and_woven, True), (noisy_lines, False)],
)
def test_fields_are_told_of_where_there_are_some(
    made: Callable[[int], np.ndarray], told: bool, tmp_path: Path
) -> None:
    pictures = (np.clip(made(n), 0, 255).astype(np.uint8) for n in range(26))
    clip = write_pictures(tmp_path / "a.mkv", (np.dstack([p] * 3) for p in pictures))
    done = vidref(*PASS, clip, "-o", tmp_path / "out.mkv")
    assert done.exit_code == 0, done.stderr
    assert ("Fields are woven" in done.stderr) == told
