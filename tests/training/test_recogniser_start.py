"""Training goes on from an exported recogniser: folded weights become a network again."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from vidref.cli.train_recogniser import recogniser
from vidref.errors import ModelError
from vidref.training.face_export import export_recogniser
from vidref.training.recogniser_measure import as_input
from vidref.training.recogniser_network import RecogniserNetwork
from vidref.training.recogniser_start import exported_file, fill_from_export
from vidref.weights import FACE_PACK

CONFIG = Path(__file__).resolve().parents[2] / "vidref" / "configs" / "train-recogniser.yaml"
SMALL = {"widths": [8, 8, 8], "blocks": [1, 0, 0], "embedding_size": 16}


def faces(count: int, seed: int) -> NDArray[np.uint8]:
    """Smooth random colours."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)
    return np.stack([cv2.resize(x, (112, 112), interpolation=cv2.INTER_CUBIC) for x in small])


def small_network(seed: int) -> RecogniserNetwork:
    """With statistics, scales and whitening as unlike a new network's as a trained one's are."""
    torch.manual_seed(seed)
    network = RecogniserNetwork((8, 8, 8), (1, 0, 0), 16)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2.0)
                module.bias.normal_()
        for step in range(40):
            network(as_input(faces(16, 100 + step), torch.device("cpu")))
        network.whitening.weight.normal_()
        network.whitening.bias.normal_()
    return network.eval()


def from_onnx(path: Path, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(str(path))
    batch = as_input(crops, torch.device("cpu")).contiguous().numpy()
    (out,) = session.run(None, {session.get_inputs()[0].name: batch})
    return np.asarray(out, np.float32)


def test_the_filled_network_gives_the_files_embeddings_on_faces_it_was_not_filled_with(tmp_path):
    path = tmp_path / "recogniser.onnx"
    export_recogniser(small_network(0), path)
    filled = RecogniserNetwork((8, 8, 8), (1, 0, 0), 16)
    fill_from_export(filled, path, faces(24, 1))
    crops = faces(5, 2)
    with torch.no_grad():
        out = filled.eval()(as_input(crops, torch.device("cpu"))).numpy()
    assert np.abs(out - from_onnx(path, crops)).max() < 1e-3


def test_the_bundled_recogniser_can_be_gone_on_from():
    recipe = yaml.safe_load(CONFIG.read_text())
    filled = RecogniserNetwork(
        tuple(recipe["widths"]), tuple(recipe["blocks"]), recipe["embedding_size"]
    )
    path = exported_file("bundled")
    assert path == FACE_PACK / "recogniser.onnx"
    fill_from_export(filled, path, faces(8, 1))
    crops = faces(3, 2)
    with torch.no_grad():
        out = filled.eval()(as_input(crops, torch.device("cpu"))).numpy()
    assert np.abs(out - from_onnx(path, crops)).max() < 1e-3


def test_in_training_its_features_are_those_of_evaluation_from_the_first_step(tmp_path):
    path = tmp_path / "recogniser.onnx"
    export_recogniser(small_network(0), path)
    filled = RecogniserNetwork((8, 8, 8), (1, 0, 0), 16)
    seen = faces(24, 1)
    fill_from_export(filled, path, seen)
    batch = as_input(seen, torch.device("cpu"))
    with torch.no_grad():
        steady = filled.eval().body(batch)
        trained = filled.train().body(batch)
    assert float((steady - trained).abs().max()) < 0.01 * float(steady.abs().max())


@pytest.mark.parametrize("what", ["missing", "not ONNX", "another shape", "a detector"])
def test_what_cannot_be_gone_on_from_is_refused_by_name(tmp_path, what):
    path = tmp_path / "start.onnx"
    if what == "not ONNX":
        path.write_bytes(b"\xff\xfe nothing of the kind")
    elif what == "another shape":
        export_recogniser(RecogniserNetwork((8, 8, 8), (0, 0, 0), 16), path)
    elif what == "a detector":
        path.write_bytes((FACE_PACK / "detector.onnx").read_bytes())
    filled = RecogniserNetwork((8, 8, 8), (1, 0, 0), 16)
    with pytest.raises(ModelError, match=r"start\.onnx"):
        fill_from_export(filled, exported_file(str(path)), faces(2, 0))


def small_data(folder: Path) -> Path:
    """24 people of two photographs each, alike but not one scan: identity.zip and identity.csv."""
    folder.mkdir()
    with (
        (folder / "identity.csv").open("w", newline="") as table,
        zipfile.ZipFile(folder / "identity.zip", "w") as archive,
    ):
        rows = csv.writer(table)
        rows.writerow(["file", "person", "split"])
        alone, shared = faces(48, 7), faces(24, 8)
        for number in range(48):
            name = f"{number}.png"
            face = cv2.addWeighted(shared[number // 2], 0.72, alone[number], 0.28, 0)
            done, packed = cv2.imencode(".png", cv2.resize(face, (128, 128)))
            assert done
            archive.writestr(name, packed.tobytes())
            rows.writerow([name, f"p{number // 2}", "train"])
    return folder


def train(tmp_path: Path, start: Path, **recipe: float) -> Result:
    config = tmp_path / "recipe.yaml"
    values = yaml.safe_load(CONFIG.read_text()) | SMALL
    values |= {"people_per_batch": 4, "held_out_people": 12, "minutes": 5} | recipe
    config.write_text(yaml.safe_dump(values))
    data = small_data(tmp_path / "data")
    return CliRunner().invoke(
        recogniser,
        [
            *("--data", str(data), "--out", str(tmp_path / "run"), "--config", str(config)),
            *("--start-from", str(start), "--export", str(tmp_path / "out.onnx")),
        ],
        catch_exceptions=False,
    )


def test_a_training_goes_on_from_an_export_straight_to_people_and_exports_again(tmp_path):
    start = tmp_path / "start.onnx"
    export_recogniser(small_network(0), start)
    assert train(tmp_path, start, steps=20).exit_code == 0
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[0]["step"] == 0 and "held_out" in lines[0]
    learned = next(line for line in lines if "people" in line)
    assert learned["people"] > 0
    crops = faces(6, 3)
    assert np.abs(from_onnx(tmp_path / "out.onnx", crops) - from_onnx(start, crops)).max() > 1e-3


def test_a_training_that_goes_wrong_gives_back_what_it_started_from(tmp_path):
    start = tmp_path / "start.onnx"
    network = small_network(0)
    torch.nn.init.eye_(network.whitening.weight)
    export_recogniser(network, start)
    assert train(tmp_path, start, steps=2, learning_rate=30.0).exit_code == 0
    lines = [json.loads(x) for x in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    before, after, final = [line["held_out"] for line in lines if "held_out" in line]
    assert after < before <= final
