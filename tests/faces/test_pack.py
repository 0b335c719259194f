"""The bundled pack, and the ways in which a pack can be wrong."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from skimage import data

from vidref import weights
from vidref.errors import InputError, ModelError
from vidref.faces.bundled import detector_of
from vidref.faces.detected import DetectedFace
from vidref.faces.fetch import fetch_pack
from vidref.faces.geometry import placement_of
from vidref.faces.pack import aligned, find_pack, load_pack

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SQUARE_512 = np.array(
    [[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]],
    np.float32,
)


@pytest.fixture(scope="module")
def pack():
    return load_pack(threads=2)


@pytest.fixture
def portrait() -> np.ndarray:
    """A 512 px face of the dev split on a wider grey ground, RGB."""
    found = sorted((DATA / "faces-dev").glob("*_gt.webp")) if DATA.is_dir() else []
    if not found:
        pytest.skip("needs ../shared/data")
    face = cv2.cvtColor(cv2.imread(str(found[0])), cv2.COLOR_BGR2RGB)
    frame = np.full((720, 960, 3), 120, np.uint8)
    frame[100:612, 300:812] = cv2.resize(face, (512, 512))
    return frame


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(weights.FACE_PACK, tmp_path / "mine"))


def test_the_bundled_pack_is_what_its_hashes_say_and_under_six_mebibytes():
    checked = {file.name for file in weights.verify(weights.FACE_PACK)}
    assert checked == {"detector.onnx", "recogniser.onnx", "refiner.onnx"}
    assert sum(f.stat().st_size for f in weights.FACE_PACK.glob("*.onnx")) <= 6 * 2**20


def test_insightface_itself_loads_the_bundled_folder_and_gives_its_own_faces(portrait):
    from insightface.app import FaceAnalysis

    analysis = FaceAnalysis(name=str(weights.FACE_PACK))
    analysis.prepare(ctx_id=0, det_size=(640, 640))
    (face,) = analysis.get(np.ascontiguousarray(portrait[..., ::-1]))
    assert face.kps.shape == (5, 2)
    assert face.normed_embedding.shape == (128,)


def test_the_bundled_networks_are_opened_as_insightface_would_open_them(monkeypatch):
    from insightface.app import FaceAnalysis

    analysis = FaceAnalysis(name=str(weights.FACE_PACK))
    theirs = analysis.models["detection"]
    ours = detector_of(weights.FACE_PACK, lambda path: onnxruntime.InferenceSession(str(path)))
    for name in ("model_file", "input_name", "input_mean", "input_std", "static_input_size"):
        assert getattr(ours, name) == getattr(theirs, name)
    frame = data.astronaut()
    alone = load_pack(threads=1)
    monkeypatch.setattr("vidref.faces.pack._only_processors", lambda: False)
    together = load_pack(threads=1)
    (one,), (other,) = alone.detect(frame), together.detect(frame)
    assert one.score == other.score and np.array_equal(one.landmarks_xy, other.landmarks_xy)
    assert np.array_equal(alone.embed(frame, [one]), together.embed(frame, [one]))


def test_a_portrait_is_found_once_with_its_eyes_where_they_are(pack, portrait):
    (face,) = pack.detect(portrait)
    true = np.add(SQUARE_512, [300, 100], dtype=np.float32)
    eyes = np.linalg.norm(true[1] - true[0])
    assert np.linalg.norm(face.landmarks_xy - true, axis=1).max() < 0.2 * eyes
    left, top, right, bottom = face.box_xyxy
    assert left < true[0, 0] < true[1, 0] < right
    assert top < true[0, 1] < true[3, 1] < bottom


def test_a_frame_without_faces_has_none(pack):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (480, 640, 3)).astype(np.uint8)
    assert pack.detect(noise) == []
    assert pack.embed(noise, []).shape == (0, 128)


def test_a_face_is_the_same_person_at_half_the_size_and_turned(pack, portrait):
    (face,) = pack.detect(portrait)
    turn = cv2.getRotationMatrix2D((556, 356), 15, 0.5)
    smaller = cv2.warpAffine(portrait, turn, (960, 720), borderValue=(120, 120, 120))
    (again,) = pack.detect(smaller)
    first, second = pack.embed(portrait, [face]), pack.embed(smaller, [again])
    assert np.linalg.norm(first, axis=1) == pytest.approx(1, abs=1e-5)
    assert float((first @ second.T)[0, 0]) > pack.same_person


def test_people_in_a_frame_are_embedded_in_the_order_given(pack, portrait):
    (face,) = pack.detect(portrait)
    elsewhere = DetectedFace(face.box_xyxy, face.landmarks_xy + 60, 1.0)
    there = pack.embed(portrait, [elsewhere, face])
    alone = pack.embed(portrait, [face])
    assert there[1] == pytest.approx(alone[0], abs=1e-4)
    assert float(there[0] @ alone[0]) < 0.99


def test_the_aligned_square_of_a_large_face_is_the_one_of_the_same_face_made_small(portrait):
    points = np.add(SQUARE_512, [300, 100], dtype=np.float32)
    large = cv2.resize(portrait, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    difference = aligned(large, points * 3).astype(float) - aligned(portrait, points)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("harm", ["truncated", "changed"])
def test_a_truncated_or_tampered_file_is_refused_in_one_sentence(copy, harm):
    file = copy / "recogniser.onnx"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000] if harm == "truncated" else whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelError, match=r"recogniser\.onnx is not what was shipped") as refusal:
        load_pack(str(copy))
    assert "\n" not in str(refusal.value)


def test_a_damaged_pack_without_hashes_is_refused_in_one_sentence(copy):
    (copy / weights.SUMS).unlink()
    (copy / "detector.onnx").write_bytes((copy / "detector.onnx").read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cannot be loaded as a face pack") as refusal:
        load_pack(str(copy))
    assert "\n" not in str(refusal.value)


def test_a_pack_without_a_detector_or_a_recogniser_says_which_is_missing(copy):
    (copy / weights.SUMS).unlink()
    (copy / "recogniser.onnx").rename(copy.parent / "recogniser.onnx")
    with pytest.raises(ModelError, match="holds no recogniser"):
        load_pack(str(copy))
    (copy / "detector.onnx").unlink()
    shutil.copy(copy.parent / "recogniser.onnx", copy)
    with pytest.raises(ModelError, match="holds no face detector"):
        load_pack(str(copy))


def test_a_pack_that_is_not_here_is_never_downloaded(tmp_path, monkeypatch):
    import insightface.utils.storage as storage

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(storage, "download_file", lambda *a, **k: pytest.fail("downloaded"))
    with pytest.raises(ModelError, match="vidref models fetch buffalo_l"):
        load_pack("buffalo_l")
    with pytest.raises(ModelError, match="check the path"):
        load_pack("./no/such/folder")


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    file = tmp_path / "any.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for onnx in weights.FACE_PACK.glob("*.onnx"):
            archive.write(onnx, f"nested/../../{onnx.name}")
    return file


def test_a_pack_fetched_from_a_local_zip_loads_by_name_and_says_its_licence(
    tmp_path, monkeypatch, zipped
):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = fetch_pack("some_pack", str(zipped))
    assert folder == tmp_path / ".insightface" / "models" / "some_pack"
    assert {f.name for f in folder.iterdir()} == {
        "detector.onnx",
        "recogniser.onnx",
        "refiner.onnx",
        weights.SUMS,
    }
    loaded = load_pack("some_pack")
    assert "non-commercial" in (loaded.licence_note or "")
    assert load_pack().licence_note is None
    assert find_pack("some_pack") == folder


def test_a_fetch_that_fails_leaves_nothing_behind(tmp_path, monkeypatch, zipped):
    monkeypatch.setenv("HOME", str(tmp_path))
    zipped.write_bytes(zipped.read_bytes()[:5000])
    with pytest.raises(ModelError, match="not a whole zip archive"):
        fetch_pack("some_pack", str(zipped))
    with pytest.raises(ModelError, match="cannot be fetched"):
        fetch_pack("some_pack", "http://127.0.0.1:9")
    with pytest.raises(InputError, match="not the name of a pack"):
        fetch_pack("../some_pack", str(zipped))
    assert list((tmp_path / ".insightface" / "models").iterdir()) == []


def test_two_threads_find_and_recognise_the_very_same_faces_as_one():
    from skimage.data import astronaut

    one, two = load_pack(threads=1), load_pack(threads=2)
    person = astronaut()
    frame = np.ascontiguousarray(np.hstack([person, person[:, ::-1]])[:500, 100:973])
    found, again = one.detect(frame), two.detect(frame)  # in one piece until the others are there
    pieces = two._finder._detector._pieces
    assert pieces is not None and pieces.wait() is not None
    in_pieces = two.detect(frame)
    assert len(found) == 2
    for face, other in [*zip(found, again, strict=True), *zip(found, in_pieces, strict=True)]:
        assert np.array_equal(face.box_xyxy, other.box_xyxy)
        assert np.array_equal(face.landmarks_xy, other.landmarks_xy)
        assert face.score == other.score
        place = placement_of(face.landmarks_xy)
        (near,), (too,) = one.detect_near(frame, place), two.detect_near(frame, place)
        assert np.array_equal(near.landmarks_xy, too.landmarks_xy)
    assert np.array_equal(one.embed(frame, found), two.embed(frame, found))
