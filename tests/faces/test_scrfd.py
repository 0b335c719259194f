"""The detector's word on a picture: ours beside insightface's own, and packs of other kinds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.faces.portraits import bundled_pack, portrait
from vidref import weights
from vidref.errors import ModelError
from vidref.faces.boxes import overlaps
from vidref.faces.pack import load_pack
from vidref.faces.scrfd import Scrfd
from vidref.faces.shrink import resized


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    from skimage.data import astronaut

    return np.asarray(astronaut(), np.uint8)


def changed_pack(folder: Path, change) -> Path:
    """The bundled detector and recogniser, the detector's file changed."""
    ignored = shutil.ignore_patterns("refiner.onnx", "SHA256SUMS")
    shutil.copytree(weights.FACE_PACK, folder, ignore=ignored)
    model = onnx.load(folder / "detector.onnx")
    change(model.graph)
    onnx.save(model, folder / "detector.onnx")
    return folder


def test_faces_are_where_insightface_finds_them(photo):
    from insightface.model_zoo import model_zoo

    loaded = model_zoo.get_model(str(weights.FACE_PACK / "detector.onnx"))
    ours = Scrfd(loaded)
    for height, width in ((512, 512), (224, 288), (480, 320)):
        view = resized(photo[: height * 2, : width * 2], width, height)
        bgr = np.ascontiguousarray(view[..., ::-1])
        boxes, points = loaded.detect(bgr, input_size=(width, height), det_thresh=0.1)
        faces = ours.find(view, 0.1)
        assert len(boxes)
        for box, five in zip(boxes, points, strict=True):
            near = [f for f in faces if abs(f.score - box[4]) < 1e-4]
            assert any(np.abs(f.box_xyxy - box[:4]).max() < 0.01 for f in near)
            assert any(np.abs(f.landmarks_xy - five).max() < 0.01 for f in near)
        # insightface counts pixels a little differently where boxes overlap, and keeps fewer.
        assert len(boxes) <= len(faces) <= 1.3 * len(boxes)


def test_a_picture_of_any_shape_is_searched(photo):
    (whole,) = bundled_pack().detect(photo)
    box = whole.box_xyxy.astype(int)
    cut = photo[max(0, box[1] - 61) : box[3] + 32, max(0, box[0] - 57) : box[2] + 41]
    (face,) = bundled_pack().detect(np.ascontiguousarray(cut))
    back = face.box_xyxy + np.tile([max(0, box[0] - 57), max(0, box[1] - 61)], 2)
    assert overlaps(whole.box_xyxy, back[None].astype(np.float32))[0] > 0.8


def test_a_detector_that_takes_one_size_only_is_given_it(tmp_path, photo):
    def fix(graph) -> None:
        sides = graph.input[0].type.tensor_type.shape.dim
        for side in (2, 3):
            sides[side].ClearField("dim_param")
            sides[side].dim_value = 320

    pack = load_pack(str(changed_pack(tmp_path / "pack", fix)), threads=1)
    (expected,) = bundled_pack().detect(photo)
    for part in (photo, np.ascontiguousarray(photo[:400])):
        best = pack.detect(part)[0]
        assert overlaps(expected.box_xyxy, best.box_xyxy[None])[0] > 0.6


def test_a_detector_without_points_is_refused_in_one_sentence(tmp_path):
    def cut(graph) -> None:
        del graph.output[6:]

    with pytest.raises(ModelError, match="gives no points"):
        load_pack(str(changed_pack(tmp_path / "pack", cut)))


@pytest.mark.parametrize(("width", "height"), [(320, 320), (256, 144), (97, 61), (700, 500)])
def test_a_resized_picture_is_neither_shifted_nor_made_darker(width, height):
    rgb, _ = portrait()
    y, x = np.mgrid[: rgb.shape[0], : rgb.shape[1]]
    at = np.array([0.37 * rgb.shape[1], 0.61 * rgb.shape[0]])
    wide = 0.05 * min(rgb.shape[:2])
    spot = 250 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * wide**2))
    small = resized(np.repeat(np.rint(spot).astype(np.uint8)[..., None], 3, 2), width, height)
    assert small.shape == (height, width, 3)
    weight = small[..., 0].astype(float)
    v, u = np.mgrid[:height, :width]
    middle = np.array([(u * weight).sum(), (v * weight).sum()]) / weight.sum()
    scale = np.array([width / rgb.shape[1], height / rgb.shape[0]])
    assert np.abs(middle - ((at + 0.5) * scale - 0.5)).max() < 0.05
    assert weight.mean() == pytest.approx(spot.mean(), rel=0.02, abs=0.2)
