"""Frames of files that store no presentation times follow each other evenly from the beginning."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tests.clips import ffmpeg, write_clip
from tests.judge import require_tools
from tests.tool import PASS, vidref
from vidref.media.frames import Frame
from vidref.media.reader import Reader

FRAMES = 14


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("xvid.avi", "-c:v mpeg4 -vtag XVID -bf 1"),
        ("divx.avi", "-c:v mpeg4 -bf 2 -g 9"),
        ("capture.avi", "-c:v libx264 -bf 2"),
        ("old.avi", "-c:v mpeg2video -bf 2"),
        ("picture.m2v", "-c:v mpeg2video -bf 2"),
    ],
)
def test_reordered_frames_without_stored_times_are_evenly_spaced_from_the_first(
    name: str, words: str, tmp_path: Path
) -> None:
    require_tools("ffmpeg")
    base = write_clip(tmp_path / "base.mkv", frames=FRAMES, sounds=[])
    source = tmp_path / name
    ffmpeg("-i", base, *words.split(), source)
    with Reader(source) as reader:
        times = [item.pts * item.time_base for item in reader if isinstance(item, Frame)]
    assert len(times) == FRAMES and times[0] == 0
    assert {b - a for a, b in pairwise(times)} == {times[1]}
    assert abs(float(times[1]) - 0.04) < 1e-6
    done = vidref(*PASS, source, "-o", tmp_path / "out.mkv")
    assert done.exit_code == 0, done.stderr
    assert "timestamp" not in done.stderr
