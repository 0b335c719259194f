"""The video protocol: the truth is perfect, flicker costs stability, and lengths must agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from vidref.cli.evaluate_clip import clip
from vidref.errors import InputError, SettingsError
from vidref.evaluation.clip_motion import shake, warp_errors
from vidref.evaluation.clips import measure_clip, paired
from vidref.evaluation.judges import Judges
from vidref.faces.detected import DetectedFace

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CLEAN = SHARED / "clips" / "clean" / "talk-b.mp4"
needs_data = pytest.mark.skipif(not CLEAN.exists(), reason="the clips are not here")


def write_clip(path: Path, frames: list[np.ndarray]) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def real_frames(count: int) -> list[np.ndarray]:
    frames = []
    with av.open(str(CLEAN)) as source:
        for frame in source.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == count:
                break
    return frames


def test_clips_of_other_lengths_or_sizes_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(3)]
    truth = write_clip(tmp_path / "truth.mkv", frames)
    assert len(list(paired(truth, truth))) == 3
    short = write_clip(tmp_path / "short.mkv", frames[:2])
    with pytest.raises(InputError, match="ends after 2 frames"):
        list(paired(short, truth))
    with pytest.raises(InputError, match="more frames"):
        list(paired(truth, short))
    small = write_clip(tmp_path / "small.mkv", [f[:32] for f in frames])
    with pytest.raises(InputError, match="differ in size"):
        list(paired(small, truth))
    (tmp_path / "no.mkv").write_bytes(b"not a clip")
    with pytest.raises(InputError, match="not a readable clip"):
        list(paired(tmp_path / "no.mkv", truth))


def test_what_moves_with_the_truth_is_steady_and_what_flickers_is_not() -> None:
    rng = np.random.default_rng(1)
    base = cv2.GaussianBlur(rng.uniform(0, 255, (540, 540, 3)).astype(np.float32), (0, 0), 5)
    base = np.clip((base - 127) * 6 + 127, 0, 255)
    first, second = base[:512, :512].astype(np.uint8), base[3:515, 2:514].astype(np.uint8)

    def whole(*squares: np.ndarray) -> tuple[float, float]:
        error, floor = warp_errors(*squares)
        return error.whole, floor.whole

    darker = [(x * 0.8).astype(np.uint8) for x in (first, second)]
    steady, floor = whole(darker[1], darker[0], second, first)
    unsteady, _ = whole(second, darker[0], second, second)
    still, _ = whole(first, first, second, first)
    assert floor < 3 and steady < 3
    assert unsteady > 3 * steady
    assert still > 2 * steady

    flickering = second.copy()
    flickering[90:110, 60:80] = 255 - flickering[90:110, 60:80]  # beyond the mask, in its square
    error, floor_there = warp_errors(flickering, first, second, first)
    assert error.inside == floor_there.inside and error.whole > floor_there.whole


def test_shake_is_of_the_way_not_of_the_speed() -> None:
    points = np.random.default_rng(0).uniform(0, 1, (68, 2))
    gliding = [points + step * np.array([0.03, -0.01]) for step in range(3)]
    assert shake(gliding) < 1e-9
    jump = [points, points + np.array([0.01, 0.0]), points]
    assert shake(jump) == pytest.approx(2.0)


class TeacherPack:
    """A pack's `detect` by the teacher network, so that this test does not judge our detector."""

    def __init__(self) -> None:
        path = str(SHARED / "teachers" / "detector-teacher.onnx")
        self.network = cv2.FaceDetectorYN.create(path, "", (320, 320), 0.6)

    def detect(self, frame: np.ndarray) -> list[DetectedFace]:
        self.network.setInputSize((frame.shape[1], frame.shape[0]))
        _, rows = self.network.detect(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        return [
            DetectedFace(
                np.concatenate([row[:2], row[:2] + row[2:4]]), row[4:14].reshape(5, 2), row[14]
            )
            for row in (() if rows is None else rows)
        ]


@needs_data
def test_the_truth_itself_is_perfect_and_a_worse_clip_measures_worse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = real_frames(4)
    truth = write_clip(tmp_path / "truth.mkv", frames)
    rng = np.random.default_rng(2)
    bad = []
    for frame in frames:
        height, width = frame.shape[:2]
        small = cv2.resize(frame, (width // 10, height // 10), interpolation=cv2.INTER_AREA)
        noisy = np.clip(small + rng.normal(0, 8, small.shape), 0, 255).astype(np.uint8)
        bad.append(cv2.resize(noisy, (width, height)))
    worse = write_clip(tmp_path / "worse.mkv", bad)
    pack: Any = TeacherPack()
    judges = Judges.find(SHARED / "teachers")
    perfect, _ = measure_clip(truth, truth, pack, judges)
    measured, series = measure_clip(worse, truth, pack, judges)
    assert perfect["identity"] == pytest.approx(1) and perfect["landmarks"] == 0
    assert perfect["identity_deviation"] < 1e-4
    assert perfect["warp_error"] == pytest.approx(perfect["warp_error_truth"])
    for name in ("identity", "psnr", "ssim", "face_psnr"):
        assert measured[name] < perfect[name]
    for name in ("landmarks", "identity_deviation", "identity_step", "warp_error"):
        assert measured[name] > perfect[name], name
    assert len(series.values["identity"]) == 4 and len(series.values["identity_step"]) == 3
    assert perfect["warp_ratio"] == pytest.approx(1) and measured["warp_ratio"] > 1
    assert perfect["shake"] == pytest.approx(perfect["shake_truth"])
    assert perfect["shake"] < measured["shake"]
    blind, _ = measure_clip(truth, worse, pack, judges, guide_is_truth=False)
    assert blind["warp_ratio"] < 1 and blind["identity_step"] < blind["identity_step_input"]
    assert not {"psnr", "identity", "landmarks", "face_psnr"} & set(blind)
    monkeypatch.setattr("vidref.faces.pack.load_pack", lambda source: pack)
    arguments = [str(worse), "--truth", str(truth), "--out", str(tmp_path / "out")]
    arguments += ["--judges", str(SHARED / "teachers")]
    result = CliRunner().invoke(clip, arguments, catch_exceptions=False)
    assert f"{measured['identity']:.3f}" in result.output
    assert (tmp_path / "out" / "worse.csv").exists()
    arguments = [str(truth), "--input", str(worse), "--judges", str(SHARED / "teachers")]
    result = CliRunner().invoke(clip, arguments, catch_exceptions=False)
    assert "warp_error_input" in result.output and "psnr |" not in result.output


def test_a_clip_needs_something_to_be_measured_against(tmp_path: Path) -> None:
    alone = write_clip(tmp_path / "alone.mkv", [np.zeros((32, 32, 3), np.uint8)])
    for arguments in ([], ["--truth", str(alone), "--input", str(alone)]):
        result = CliRunner().invoke(clip, [str(alone), *arguments])
        assert isinstance(result.exception, SettingsError)
