"""What the refiner is taught: windows around faces and beside them, and what it says of them."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch

from tests.faces.portraits import bundled_pack, portrait
from vidref.faces.boxes import overlaps
from vidref.faces.finder import confirmed
from vidref.faces.refiner import WINDOW_PX, Refiner, view_of, window_of_box
from vidref.faces.shrink import resized
from vidref.training.detector_data import Sample, mirrored, placed, placement
from vidref.training.detector_labels import DetectorData, Labels, Picture
from vidref.training.face_export import export_refiner, read_network
from vidref.training.face_recipe import read_recipe
from vidref.training.refiner_data import (
    FACE,
    NO_FACE,
    UNSURE,
    Lure,
    Targets,
    WindowStream,
    find_lures,
    target_of,
)
from vidref.training.refiner_network import REACH, RefinerNetwork
from vidref.training.refiner_settle import TorchSession, settle_score
from vidref.training.refiner_start import start_network
from vidref.training.refiner_train import RefinerRecipe, refiner_losses, save_network, train_refiner

CONFIG = Path(__file__).resolve().parents[2] / "vidref" / "configs" / "train-refiner.yaml"
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
POINTS = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.5], [0.42, 0.6], [0.58, 0.6]], np.float32)


def marked(side: int) -> Picture:
    """A grey picture whose "landmarks" are white dots, so that where they went can be seen."""
    image = np.full((side, side, 3), 60, np.uint8)
    points = POINTS * side
    for x, y in points:
        cv2.circle(image, (round(float(x)), round(float(y))), side // 50, (255, 255, 255), -1)
    box = np.array([[0.3, 0.25, 0.7, 0.75]], np.float32) * side
    return Picture("marked", image, Labels(box, points[None], np.array([True])))


def blank(side: int) -> Picture:
    return Picture("blank", np.zeros((side, side, 3), np.uint8), Labels.empty())


def stream(lures: list[Lure]) -> WindowStream:
    return WindowStream(DetectorData([marked(200), blank(200)], [marked(256)]), lures, seed=3)


def label(x: float, y: float, side: float, sure: bool = True) -> Labels:
    box = np.array([[x - side / 2, y - side / 2, x + side / 2, y + side / 2]], np.float32)
    return Labels(box, np.full((1, 5, 2), x, np.float32), np.array([sure]))


def test_points_stay_on_their_dots_through_every_window_and_damage():
    brightness = []
    for number in range(60):
        sample = stream([])._face(marked(200), np.random.default_rng(number), wide=False)
        for x, y in sample.labels.landmarks.reshape(-1, 2):
            if 2 <= x < WINDOW_PX - 2 and 2 <= y < WINDOW_PX - 2:
                brightness.append(sample.image[round(float(y)), round(float(x))].max())
    assert len(brightness) > 200
    assert np.mean(np.array(brightness) > 120) > 0.97


def spot(side: int, at: np.ndarray, wide: float) -> Picture:
    """A soft spot whose middle is all five "landmarks"."""
    y, x = np.mgrid[:side, :side]
    image = 250 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * wide**2))
    box = np.array([[*(at - side / 4), *(at + side / 4)]], np.float32)
    points = np.tile(at, (5, 1)).astype(np.float32)[None]
    rgb = np.repeat(np.rint(image).astype(np.uint8)[..., None], 3, 2)
    return Picture("spot", rgb, Labels(box, points, np.array([True])))


@pytest.mark.parametrize("scale", [0.15, 0.37, 0.6, 1.0, 1.7])
def test_points_are_not_off_by_a_part_of_a_pixel_however_a_picture_is_reduced_and_mirrored(scale):
    side = 400
    picture = spot(side, np.array([190.3, 207.9]), 6 / scale**0.5)
    matrix = placement(np.array([200.0, 200.0]), np.array([47.0, 49.0]), scale, 0.3)
    straight = placed(picture, matrix, WINDOW_PX, None)
    for sample in (straight, mirrored(straight)):
        weight = sample.image[..., 0].astype(float)
        y, x = np.mgrid[:WINDOW_PX, :WINDOW_PX]
        middle = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        assert np.abs(sample.labels.landmarks[0, 0] - middle).max() < 0.06


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        (label(48, 48, 60), FACE),
        (label(60, 50, 55), FACE),
        (label(48, 48, 60, sure=False), UNSURE),
        (label(78, 48, 60), UNSURE),
        (label(48, 48, 15), NO_FACE),
        (label(120, 48, 60), NO_FACE),
        (Labels.empty(), NO_FACE),
    ],
)
def test_a_window_is_a_faces_only_where_it_is_drawn_around_it(labels, what):
    assert target_of(labels)[0] == what


def test_a_batch_follows_from_the_seed_and_its_number_alone():
    one, targets = stream([]).batch(5, 12, None)
    same, again = stream([]).batch(5, 12, None)
    other, _ = stream([]).batch(6, 12, None)
    assert (one == same).all() and (targets.points == again.points).all()
    assert (one != other).any()
    assert set(np.unique(targets.face)) <= {FACE, NO_FACE, UNSURE} and (targets.face == FACE).any()


def test_a_labelled_face_is_no_lure_whatever_the_detector_says():
    from skimage.data import astronaut

    picture = np.asarray(astronaut(), np.uint8)
    (face,) = bundled_pack().detect(picture)
    known = Labels(face.box_xyxy[None], face.landmarks_xy[None], np.array([True]))
    unknown = find_lures(bundled_pack(), [Picture("a", picture, Labels.empty())])
    left = find_lures(bundled_pack(), [Picture("a", picture, known)])
    assert overlaps(face.box_xyxy, np.stack([lure.box for lure in unknown])).max() > 0.5
    assert not left or overlaps(face.box_xyxy, np.stack([lure.box for lure in left])).max() < 0.2


def targets(face: list[float]) -> Targets:
    count = len(face)
    boxes = np.tile(np.array([0.1, 0, np.log(0.5), np.log(0.6)], np.float32), (count, 1))
    return Targets(np.array(face, np.float32), boxes, np.tile(POINTS[None] - 0.5, (count, 1, 1)))


def test_a_perfect_answer_costs_next_to_nothing_and_nothing_is_paid_for_the_unsure():
    wanted = targets([FACE, NO_FACE, UNSURE])
    scores = torch.tensor([12.0, -12.0, 3.0])
    boxes, points = torch.tensor(wanted.boxes), torch.tensor(wanted.points)
    boxes[1:] += 5
    points[1:] += 5
    assert all(float(loss) < 1e-4 for loss in refiner_losses((scores, boxes, points), wanted))
    points[0] += 0.1
    assert float(refiner_losses((scores, boxes, points), wanted)[2]) > 0.1


def test_points_can_be_said_beyond_the_window_and_follow_a_face_that_shifts():
    network = RefinerNetwork((4, 8, 8, 8), (1, 1, 1)).eval()
    assert float(network.places.max()) > 0.5 < REACH
    picture = torch.randn(1, 3, WINDOW_PX, WINDOW_PX)
    with torch.no_grad():
        network.heat.weight.mul_(50)
        here = network(picture)[2]
        there = network(picture.roll(4, dims=3))[2]
    assert torch.isfinite(here).all() and (here != there).any()


def test_the_score_is_settled_on_what_users_are_shown():
    """The bundled weights with their score moved: it is moved back to where 19 of 20 are faces."""
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (64, WINDOW_PX, WINDOW_PX, 3)).astype(np.uint8)
    people = [portrait(name)[0] for name in ("evening.jpg", "studio.jpg", "window.jpg")]
    pictures = []
    for image in people:
        small = resized(image, 320, round(320 * image.shape[0] / image.shape[1]))
        face = bundled_pack().detect(small)[0]
        labels = Labels(face.box_xyxy[None], face.landmarks_xy[None], np.array([True]))
        pictures.append(Picture("p", small, labels))
    views[: len(pictures)] = [
        view_of(p.image, window_of_box(p.labels.boxes[0]))[0] for p in pictures
    ]
    recipe = read_recipe(RefinerRecipe, CONFIG, None)
    network = RefinerNetwork(recipe.widths, recipe.blocks)
    start_network(network, "bundled", views)
    network.eval()
    faces = []
    for shift in (4.0, -6.0):
        moved = copy.deepcopy(network)
        with torch.no_grad():
            moved.judge.bias[0] += shift
        settle_score(moved, bundled_pack(), pictures, 0, torch.device("cpu"))
        refiner = Refiner(TorchSession(moved, torch.device("cpu")))
        found = [
            confirmed(refiner, p.image, bundled_pack().with_least_score(0.2).propose(p.image), 0.5)
            for p in pictures
        ]
        faces.append([face for some in found for face in some])
        assert len(faces[-1]) >= len(pictures)
    # Wherever the score began, the same faces are found in the end.
    assert len(faces[0]) == len(faces[1])


def test_the_exported_file_says_what_the_network_says_in_pixels_of_the_frame(tmp_path):
    recipe = RefinerRecipe(**{**vars(read_recipe(RefinerRecipe, CONFIG, None))})
    network = RefinerNetwork(recipe.widths, recipe.blocks).eval()
    save_network(network, tmp_path / "w.safetensors", recipe)
    again = read_network(tmp_path / "w.safetensors")
    assert isinstance(again, RefinerNetwork)
    export_refiner(again, tmp_path / "refiner.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "refiner.onnx"))
    frame = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
    # A window that is exactly the network's size is not resampled at all.
    box = np.array([100, 60, 160, 120], np.float32)
    (seen,) = Refiner(session).look(frame, [window_of_box(box)])
    view = torch.from_numpy(frame[42:138, 82:178]).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        score, _, points = network((view - 127.5) / 128)
    # Weights are stored in half precision.
    assert seen.score == pytest.approx(float(score.sigmoid()), abs=0.01)
    expected = points[0].numpy() * WINDOW_PX + (129.5, 89.5)
    assert np.abs(seen.landmarks_xy - expected).max() < 0.5


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="the training data is not here")
def test_a_training_of_seconds_writes_its_state_and_goes_on_from_it(tmp_path):
    recipe = read_recipe(RefinerRecipe, CONFIG, 0.1)
    small = RefinerRecipe(**{**vars(recipe), "portraits": 4, "small_faces": 4, "batch": 4})
    folder = train_refiner(small, DATA, tmp_path / "run", resume=False)
    assert (folder / "best.safetensors").is_file()
    longer = RefinerRecipe(**{**vars(small), "minutes": 0.2})
    train_refiner(longer, DATA, tmp_path / "run", resume=True)
    lines = (folder / "log.jsonl").read_text().splitlines()
    assert len(lines) >= 2


def test_a_sample_is_the_networks_size():
    sample = stream([]).sample(np.random.default_rng(0))
    assert isinstance(sample, Sample) and sample.image.shape == (WINDOW_PX, WINDOW_PX, 3)
