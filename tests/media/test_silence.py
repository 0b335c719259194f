"""Containers without times of sound: nothing is heard too early, and no picture is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import judge
from tests.clips import Sound, ffmpeg, write_clip
from tests.tool import PASS, is_one_sentence, vidref
from vidref.media.frames import Frame
from vidref.media.reader import Reader

pytestmark = pytest.mark.usefixtures("judges")

FRAMES, RATE = 14, 48_000
HOW = {
    ".mxf": {"codec": "mpeg2video", "pix_fmt": "yuv422p", "b_frames": 0},
    ".avi": {"codec": "mpeg2video", "pix_fmt": "yuv422p", "b_frames": 0},
    ".dv": {"codec": "dvvideo", "size": (720, 576)},
}


def _with_sound(
    folder: Path, suffix: str, *timing: str, codec: str = "pcm_s16le", seconds: float = 0.3
) -> Path:
    """A clip of 0.56 s whose sound begins or ends as `timing` says."""
    silent = write_clip(folder / "silent.mov", frames=FRAMES, sounds=[], **HOW[suffix])  # type: ignore[arg-type]
    tone = f"sine=440:r={RATE}:d={seconds}"
    path = folder / "in.mov"
    ffmpeg(
        "-i", silent, *timing, "-f", "lavfi", "-i", tone, "-map", "0", "-map", "1",
        "-c:v", "copy", "-c:a", codec, "-ac", "2", path,
    )  # fmt: skip
    return path


def _heard(path: Path) -> np.ndarray:
    return np.frombuffer(judge.sound(path), np.int16).reshape(-1, 2)


@pytest.mark.parametrize("suffix", [".mxf", ".dv"])
def test_sound_that_ends_early_costs_no_picture(suffix: str, tmp_path: Path) -> None:
    source, output = _with_sound(tmp_path, suffix), tmp_path / f"out{suffix}"
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 0, done.stderr
    assert len(judge.probe(output).times) == FRAMES
    before, after = _heard(source), _heard(output)
    assert np.array_equal(after[: len(before)], before) and not after[len(before) :].any()
    assert "0.26 s of silence" in done.stderr


@pytest.mark.parametrize("suffix", [".mxf", ".avi"])
def test_sound_that_begins_late_is_heard_late(suffix: str, tmp_path: Path) -> None:
    source = _with_sound(tmp_path, suffix, "-itsoffset", "0.2", seconds=0.36)
    output = tmp_path / f"out{suffix}"
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 0 and "0.20 s of silence" in done.stderr, done.stderr
    assert len(judge.probe(output).times) == FRAMES
    after = _heard(output)
    assert not after[: RATE // 5].any()
    assert np.array_equal(after[RATE // 5 :], _heard(source)[-len(after) + RATE // 5 :])


def test_coded_sound_that_would_be_heard_too_early_is_refused(tmp_path: Path) -> None:
    source = _with_sound(tmp_path, ".avi", "-itsoffset", "0.2", codec="ac3")
    done = vidref(*PASS, source, "-o", tmp_path / "out.avi")
    assert done.exit_code == 2 and is_one_sentence(done.stderr)
    assert "s after the picture" in done.stderr
    assert not (tmp_path / "out.avi").exists()


def test_a_clip_that_begins_late_begins_at_once_where_nothing_can_begin_late(
    tmp_path: Path,
) -> None:
    early = write_clip(tmp_path / "early.mkv", frames=FRAMES, sounds=[Sound("pcm_s16le")])
    source, output = tmp_path / "in.mkv", tmp_path / "out.avi"
    ffmpeg("-i", early, "-c", "copy", "-output_ts_offset", "20.1", source)
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 0 and "silence" not in done.stderr, done.stderr
    times = judge.probe(output).times
    assert len(times) == FRAMES and times[0] == 0
    assert np.array_equal(_heard(output), _heard(source))


@pytest.mark.parametrize("suffix", [".avi", ".mxf"])
def test_sound_a_part_of_a_frame_ahead_is_no_change_of_rate(suffix: str, tmp_path: Path) -> None:
    early = write_clip(tmp_path / "early.mov", frames=FRAMES, sounds=[], **HOW[suffix])  # type: ignore[arg-type]
    source, output = tmp_path / "in.mkv", tmp_path / f"out{suffix}"
    ffmpeg(
        "-itsoffset", "0.023", "-i", early, "-f", "lavfi", "-i", f"sine=440:r={RATE}:d=0.6",
        "-map", "0", "-map", "1", "-c:v", "copy", "-c:a", "pcm_s16le", source,
    )  # fmt: skip
    done = vidref(*PASS, source, "-o", output)
    assert done.exit_code == 0, done.stderr
    with Reader(output) as reader:
        numbers = [item.pts for item in reader if isinstance(item, Frame)]
    assert numbers == list(range(FRAMES))
