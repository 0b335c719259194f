"""The measure of face packs, on answers that are known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.faces.portraits import bundled_pack
from vidref.errors import InputError
from vidref.evaluation import face_pack_clips
from vidref.evaluation.face_pack_clips import longest_false_track
from vidref.evaluation.face_pack_degradation import MODERATE, SEVERE, degrade, degrade_aligned
from vidref.evaluation.face_pack_detector import Scene, Tally, Truth
from vidref.evaluation.face_pack_folds import measure_folds
from vidref.evaluation.face_pack_people import separation
from vidref.evaluation.face_pack_points import measure_points
from vidref.evaluation.face_pack_recogniser import Photographs, verify_clean
from vidref.faces.detected import DetectedFace
from vidref.faces.many_looks import SHIFTS, SIZES_PX, ManyLooks
from vidref.faces.people import Appearance


def face(left: float, top: float, size: float, score: float) -> DetectedFace:
    box = np.array([left, top, left + size, top + size], np.float32)
    points = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    return DetectedFace(box, points * size + [left, top], score)


def tally(found: list[DetectedFace], true: list[DetectedFace]) -> Tally:
    result = Tally()
    result.add("scene", found, Truth.of(true), 0.5)
    return result


def test_what_the_teacher_itself_found_is_found_without_mistakes():
    true = [face(0, 0, 50, 0.9), face(100, 0, 30, 0.85)]
    result = tally(true, true)
    assert result.recall_at_precision(0.95)[0] == 1.0
    assert result.landmark_error(0.5) == pytest.approx(0, abs=1e-6)


def test_doubtful_and_small_faces_count_neither_for_nor_against():
    true = [face(0, 0, 50, 0.9), face(100, 0, 50, 0.7), face(200, 0, 20, 0.9)]
    found = [face(0, 0, 50, 0.9), face(100, 0, 50, 0.9), face(200, 0, 20, 0.9)]
    result = tally(found, true)
    assert result.true == 1
    assert result.at_score(0.5) == (1.0, 1.0)
    assert tally(found[:1], true).at_score(0.5) == (1.0, 1.0)


def test_two_boxes_on_one_face_are_one_right_and_one_wrong():
    result = tally([face(0, 0, 50, 0.9), face(3, 3, 50, 0.8)], [face(0, 0, 50, 0.9)])
    assert result.at_score(0.5) == (1.0, 0.5)
    assert [round(score, 1) for _, _, score in result.wrong] == [0.8]


def test_recall_at_a_precision_stops_before_the_mistakes():
    true = [face(100 * i, 0, 50, 0.9) for i in range(4)]
    found = [face(0, 0, 50, 0.9), face(100, 0, 50, 0.8), face(900, 0, 50, 0.7)]
    found += [face(200, 0, 50, 0.6)]
    recall, score = tally(found, true).recall_at_precision(0.95)
    assert recall == 0.5
    assert score == pytest.approx(0.8)


def test_landmarks_off_by_a_tenth_of_the_eye_distance_measure_a_tenth():
    true = face(0, 0, 100, 0.9)
    off = DetectedFace(true.box_xyxy, np.add(true.landmarks_xy, [4, 0]), 0.9)
    assert tally([off], [true]).landmark_error(0.5) == pytest.approx(0.1)


def test_tallies_put_together_are_as_one_tally_of_all_pictures():
    true = [face(100 * i, 0, 50, 0.9) for i in range(3)]
    first = [face(0, 0, 50, 0.9), face(900, 0, 50, 0.3)]
    second = [face(100, 0, 50, 0.6), face(900, 0, 50, 0.7)]
    together, one = tally(first, true), tally(second, true)
    together.take(one)
    both = Tally()
    both.add("scene", first, Truth.of(true), 0.5)
    both.add("scene", second, Truth.of(true), 0.5)
    assert together.true == 6 and together.at_score(0.5) == both.at_score(0.5) == (2 / 6, 2 / 3)
    assert together.recall_at_precision(0.95) == both.recall_at_precision(0.95) != (0.0, 1.0)
    assert len(together.missed) == len(both.missed) == 4 and len(together.wrong) == 1
    assert together.landmark_error(0.5) == both.landmark_error(0.5)


def test_folds_are_only_measured_where_some_are_trained(tmp_path):
    (tmp_path / "fold0" / "refiner").mkdir(parents=True)
    (tmp_path / "fold0" / "refiner" / "fold.txt").write_text("scene_00001.webp\n")
    with pytest.raises(InputError, match="no trained fold"):
        measure_folds(tmp_path, tmp_path, tmp_path / "out", print)


class Known:
    """Embeddings that were decided beforehand."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors.astype(np.float32)

    def embed_aligned(self, crops: list[np.ndarray]) -> np.ndarray:
        return self.vectors


def test_people_far_apart_are_all_accepted_and_random_ones_hardly():
    rng = np.random.default_rng(0)
    owners = np.repeat(np.arange(60), 2)
    centres = rng.standard_normal((60, 32))
    near = centres[owners] + 0.05 * rng.standard_normal((120, 32))
    far = rng.standard_normal((120, 32))
    photos = Photographs([""] * 120, owners, [np.zeros((112, 112, 3), np.uint8)] * 120)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (near, far)]
    good = verify_clean(Known(unit[0]), photos, 0)
    assert (good.accepts, good.same, good.different) == (1.0, 60, 120 * 119 // 2 - 60)
    poor = verify_clean(Known(unit[1]), photos, 0)
    assert poor.low <= poor.accepts <= poor.high
    assert poor.accepts < 0.1


def test_severe_is_worse_than_moderate_and_both_keep_the_size():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (112, 112, 3)).astype(np.uint8)

    def detail(damage) -> float:
        worse = [degrade_aligned(image, damage, np.random.default_rng(i)) for i in range(8)]
        assert all(w.shape == image.shape for w in worse)
        return float(np.mean([np.abs(np.diff(w.astype(float), axis=0)).mean() for w in worse]))

    assert detail(SEVERE) < 0.5 * detail(MODERATE)
    assert (degrade(image, SEVERE, rng, scale=0.1) != image).any()


def someone(track: int, first_s: float, last_s: float, vector: list[float]) -> Appearance:
    unit = np.array([vector], np.float32) / np.linalg.norm(vector)
    return Appearance(track, first_s, last_s, unit, np.array([0.5], np.float32))


def test_two_who_are_seen_together_are_two_people_and_only_they():
    in_talk = [someone(0, 0, 9, [1, 0, 0]), someone(1, 5, 9, [0.6, 0.8, 0])]
    in_talk.append(someone(2, 10, 12, [1, 0.1, 0]))  # perhaps the first one again: says nothing
    alone = [someone(0, 0, 3, [0.8, 0, 0.6])]
    apart = separation({"talk": in_talk, "alone": alone, "empty": []}, [("talk", "alone")])
    assert apart.different == {"talk #0 - #1": pytest.approx(0.6)}
    assert apart.same == {"talk - alone": pytest.approx(0.8)}
    assert apart.gap == pytest.approx((0.6, 0.8))
    assert separation({"alone": alone, "empty": []}, [("alone", "empty")]).gap == (-1.0, 1.0)


class SpotTeacher:
    """Finds a face where a picture is green, and all its points in the middle of the red spot."""

    def setInputSize(self, size: tuple[int, int]) -> None:
        self.size = size

    def detect(self, bgr: np.ndarray) -> tuple[int, np.ndarray | None]:
        assert bgr.shape[1::-1] == self.size
        y, x = np.nonzero(bgr[..., 1] > 60)
        if not len(x):
            return 0, None
        red = bgr[..., 2].astype(float)
        v, u = np.mgrid[: red.shape[0], : red.shape[1]]
        middle = [(u * red).sum() / red.sum(), (v * red).sum() / red.sum()]
        box = [x.min(), y.min(), np.ptp(x), np.ptp(y)]
        return 1, np.array([[*box, *(middle * 5), 0.9]], np.float32)


def spotted(at: tuple[float, float]) -> np.ndarray:
    y, x = np.mgrid[:300, :320]
    image = np.zeros((300, 320, 3), np.uint8)
    image[..., 0] = 250 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 9**2))
    image[90:210, 100:220, 1] = 120
    return image


def test_many_looks_at_a_face_agree_in_the_pictures_own_pixels(monkeypatch):
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: SpotTeacher())
    box = np.array([100, 90, 220, 210], np.float32)
    looks = ManyLooks(Path("none")).at(spotted((150.4, 141.7)), box)
    assert looks.shape == (len(SIZES_PX) * SHIFTS * 2, 5, 2)
    assert np.abs(looks - np.array([150.4, 141.7])).max() < 0.15
    assert len(ManyLooks(Path("none")).at(np.zeros((300, 320, 3), np.uint8), box)) == 0


def test_points_are_measured_against_the_middle_of_many_looks(monkeypatch):
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: SpotTeacher())
    box = np.array([100, 90, 220, 210], np.float32)
    label = np.tile(np.array([150.0, 140.0], np.float32), (5, 1))
    label[0, 0], label[1, 0] = 130, 170  # 40 px apart
    scene = Scene("s", spotted((150, 140)), Truth.of([DetectedFace(box, label, 0.9)]))

    class Off:
        def detect(self, frame: np.ndarray) -> list[DetectedFace]:
            return [
                DetectedFace(box, label + np.float32((4, 0)), 0.9),
                DetectedFace(box, label, 0.2),
            ]

    errors = measure_points({"off": Off()}, ManyLooks(Path("none")), [scene], 0.5).of
    # The agreed points lie together, so distances are counted in pixels.
    assert errors["off"] == pytest.approx([(16 + 24 + 3 * 4) / 5], abs=0.3)
    assert errors["label"] == pytest.approx([(20 + 20) / 5], abs=0.3)
    assert errors["halves"][0] < 0.3


def test_a_pan_over_a_face_is_a_long_track_and_over_nothing_none(monkeypatch):
    from skimage.data import astronaut, brick

    monkeypatch.setattr(face_pack_clips, "PAN_FRAMES", 8)
    nobody = np.repeat(brick()[:256, :256, None], 3, 2)
    scenes = [Scene("face", astronaut(), Truth.of([])), Scene("wall", nobody, Truth.of([]))]
    longest = longest_false_track(bundled_pack(), scenes, 0)
    assert longest["face"] >= 6
    assert longest["wall"] == 0
