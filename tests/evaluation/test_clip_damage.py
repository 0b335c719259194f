"""Clips degraded for measuring: the same size, times and frames, and the same file twice."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import write_clip
from vidref.errors import InputError
from vidref.evaluation.clip_damage import ClipDamage, degrade_clip
from vidref.evaluation.clips import paired


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as clip:
        found = [frame.pts * frame.time_base for frame in clip.decode(video=0)]
    return [time - found[0] for time in found]


def test_a_variable_rate_clip_of_odd_size_keeps_its_size_and_times(tmp_path: Path) -> None:
    stamps = [0, 40, 60, 160, 170, 250]
    source = write_clip(
        tmp_path / "clean.mkv",
        codec="ffv1",
        size=(97, 63),
        pts=stamps,
        time_base=Fraction(1, 1000),
        sounds=(),
    )
    truth, bad = tmp_path / "truth.mkv", tmp_path / "bad.mkv"
    assert degrade_clip(source, truth, bad, ClipDamage(), frames=5) == 5
    assert times(truth) == times(bad) == times(source)[:5]
    pairs = list(paired(bad, truth))
    kept = [true for true, _ in paired(truth, truth)]
    assert kept[0].shape == (63, 97, 3) and len(pairs) == 5
    with av.open(str(source)) as clip:
        first = next(clip.decode(video=0)).to_ndarray(format="rgb24")
    assert (kept[0] == first).all()


def test_damage_is_repeatable_and_grows_with_what_is_asked(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clean.mp4", size=(128, 96), frames=6, sounds=())

    def error(name: str, damage: ClipDamage) -> float:
        truth, bad = tmp_path / f"{name}-truth.mkv", tmp_path / f"{name}.mkv"
        degrade_clip(source, truth, bad, damage)
        return float(np.mean([np.abs(a.astype(float) - b).mean() for a, b in paired(bad, truth)]))

    light, again = error("light", ClipDamage(1, 0, 18)), error("again", ClipDamage(1, 0, 18))
    assert light == again
    assert (tmp_path / "light.mkv").read_bytes() == (tmp_path / "again.mkv").read_bytes()
    assert light < error("small", ClipDamage(3, 0, 18))
    assert light < error("noisy", ClipDamage(1, 12, 18))
    assert light < error("coarse", ClipDamage(1, 0, 45))


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"not a clip")
    with pytest.raises(InputError, match="not a readable clip"):
        degrade_clip(tmp_path / "no.mp4", tmp_path / "a.mkv", tmp_path / "b.mkv", ClipDamage())
