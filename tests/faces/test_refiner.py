"""The second look: the bundled pack with its refiner, and the same pack without."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.faces.portraits import bundled_pack, portrait
from vidref import weights
from vidref.errors import ModelError
from vidref.faces.detected import DetectedFace
from vidref.faces.finder import worth_a_look
from vidref.faces.geometry import Placement, placement_of
from vidref.faces.pack import FacePack, load_pack
from vidref.faces.refiner import FILE, WINDOW_PX, view_of, window_of_box


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    from skimage.data import astronaut

    return np.asarray(astronaut(), np.uint8)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> FacePack:
    """The bundled detector and recogniser alone."""
    folder = tmp_path_factory.mktemp("plain") / "pack"
    shutil.copytree(weights.FACE_PACK, folder, ignore=shutil.ignore_patterns(FILE, "SHA256SUMS"))
    return load_pack(str(folder), threads=1)


def turned(photo: np.ndarray, degrees: float, about: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    matrix = cv2.getRotationMatrix2D((float(about[0]), float(about[1])), degrees, 1.0)
    picture = cv2.warpAffine(photo, matrix, photo.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(picture, np.uint8), matrix


def error(points: np.ndarray, true: np.ndarray) -> float:
    """Mean distance over the distance of the eyes."""
    return float(np.linalg.norm(points - true, axis=1).mean() / np.linalg.norm(true[1] - true[0]))


def test_points_turn_with_the_head(photo):
    (face,) = bundled_pack().detect(photo)
    for degrees in (-25, 25):
        picture, matrix = turned(photo, degrees, face.landmarks_xy.mean(0))
        (again,) = bundled_pack().detect(picture)
        moved = face.landmarks_xy @ matrix[:, :2].T + matrix[:, 2]
        assert error(again.landmarks_xy, moved) < 0.1


def test_a_small_noisy_face_keeps_its_points(photo):
    (face,) = bundled_pack().detect(photo)
    small = cv2.resize(photo, None, fx=0.3, fy=0.3, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(0).normal(0, 12, small.shape)
    picture = np.clip(small + noise, 0, 255).astype(np.uint8)
    (again,) = bundled_pack().detect(picture)
    assert error(again.landmarks_xy, (face.landmarks_xy + 0.5) * 0.3 - 0.5) < 0.12


def test_a_mirrored_face_has_its_points_where_the_mirror_has_them(photo):
    """A network may err on a face either way; a shift to one side of all faces is a mistake."""
    shifts = []
    for picture in (photo, portrait("studio.jpg")[0], portrait("window.jpg")[0]):
        face = bundled_pack().detect(picture)[0]
        other = bundled_pack().detect(np.ascontiguousarray(picture[:, ::-1]))[0]
        back = picture.shape[1] - 1 - other.landmarks_xy[[1, 0, 2, 4, 3], 0]
        shifts.append((face.landmarks_xy[:, 0] - back) / placement_of(face.landmarks_xy).size_px)
    assert abs(float(np.mean(shifts))) < 0.005


def test_a_pack_without_a_refiner_works_as_before(plain, photo):
    (face,) = plain.detect(photo)
    (refined,) = bundled_pack().detect(photo)
    assert error(face.landmarks_xy, refined.landmarks_xy) < 0.25
    assert len(plain.detect_near(photo, placement_of(face.landmarks_xy))) == 1


def test_where_a_face_is_expected_it_is_seen_even_when_it_moved_further_than_a_window_shows(photo):
    (face,) = bundled_pack().detect(photo)
    true = placement_of(face.landmarks_xy)
    for shift, factor in ((0.0, 1.0), (0.1, 1.15), (0.5, 1.0)):
        off = true.centre_xy[0] + shift * true.size_px
        expected = Placement((off, true.centre_xy[1]), true.size_px * factor, 0.0)
        seen = bundled_pack().with_least_score(0.3).detect_near(photo, expected)
        assert len(seen) == 1
        assert error(seen[0].landmarks_xy, face.landmarks_xy) < 0.1


@pytest.mark.parametrize(
    ("scores", "looked_at"),
    [([0.7, 0.3, 0.17], 3), ([0.4] * 20 + [0.16] * 9, 20), ([0.18] * 30, 12), ([0.3] * 60, 40)],
)
def test_unlikely_proposals_are_looked_at_only_where_there_are_few(scores, looked_at):
    box, points = np.array([0, 0, 20, 20], np.float32), np.zeros((5, 2), np.float32)
    proposed = [DetectedFace(box, points, score) for score in scores]
    assert worth_a_look(proposed) == proposed[:looked_at]


def test_nothing_is_seen_where_there_is_no_face(photo):
    assert bundled_pack().detect_near(photo, Placement((60.0, 420.0), 120.0, 0.0)) == []


def test_a_window_beyond_the_frame_is_black_there_and_tells_where_it_lies(photo):
    box = np.array([-30, -30, 30, 30], np.float32)
    view, (x, y, side) = view_of(photo, window_of_box(box))
    assert (x, y, side) == (-0.5, -0.5, WINDOW_PX)
    assert not view[:47].any() and not view[:, :47].any()
    assert (view[48:, 48:] == photo[:48, :48]).all()


def test_a_damaged_refiner_is_refused_in_one_sentence(tmp_path):
    folder = tmp_path / "pack"
    shutil.copytree(weights.FACE_PACK, folder)
    file = folder / FILE
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"refiner\.onnx is not what was shipped"):
        load_pack(str(folder))
    Path(folder / "SHA256SUMS").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_pack(str(folder))
