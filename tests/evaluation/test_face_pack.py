"""The measure of face packs, on answers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from vidref.evaluation.face_pack_clips import Chain, extend
from vidref.evaluation.face_pack_degradation import MODERATE, SEVERE, degrade, degrade_aligned
from vidref.evaluation.face_pack_detector import Tally, Truth
from vidref.evaluation.face_pack_recogniser import Photographs, verify_clean
from vidref.faces.detected import DetectedFace


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


def test_a_face_that_moves_a_little_is_one_chain_and_one_that_jumps_is_two():
    chains: list[Chain] = []
    for index, left in enumerate([0.0, 5.0, 10.0, 300.0, 305.0]):
        extend(chains, index, [face(left, 0, 50, 0.9)])
    assert [chain.length for chain in chains] == [3, 2]
