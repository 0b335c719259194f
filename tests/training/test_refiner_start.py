"""A refiner's training goes on from an exported file or from another run's weights."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from vidref import weights
from vidref.errors import ModelError
from vidref.faces.refiner import FILE, WINDOW_PX
from vidref.training.detector_train import as_input
from vidref.training.face_export import export_refiner
from vidref.training.refiner_network import RefinerNetwork
from vidref.training.refiner_start import BUNDLED, start_network

SHAPE = (4, 8, 8, 8), (1, 1, 1)
CPU = torch.device("cpu")


def windows(count: int, seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 12, 12, 3)).astype(np.uint8)
    side = (WINDOW_PX, WINDOW_PX)
    return np.stack([cv2.resize(x, side, interpolation=cv2.INTER_CUBIC) for x in small])


def trained(seed: int) -> RefinerNetwork:
    """With statistics, scales and answers as unlike a new network's as a trained one's are."""
    torch.manual_seed(seed)
    network = RefinerNetwork(*SHAPE)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.uniform_(0.5, 2.0)
                module.bias.normal_()
        network.judge.weight.normal_()
        network.judge.bias.normal_()
        network.heat.weight.mul_(5)
        for step in range(40):
            network(as_input(windows(16, 100 + step), CPU))
    return network.eval()


@torch.no_grad()
def answers(network: RefinerNetwork, seed: int) -> list[torch.Tensor]:
    return [part.clone() for part in network(as_input(windows(8, seed), CPU))]


def test_an_exported_refiner_becomes_the_same_network_again(tmp_path: Path) -> None:
    network = trained(1)
    export_refiner(network, tmp_path / "refiner.onnx")
    again = RefinerNetwork(*SHAPE)
    start_network(again, str(tmp_path / "refiner.onnx"), windows(64, 7))
    assert again.training
    wanted, found = answers(network, 3), answers(again.eval(), 3)
    # The file holds half precision.
    for one, other in zip(wanted, found, strict=True):
        assert torch.allclose(one, other, atol=0.02, rtol=0.01)
    beginning = answers(RefinerNetwork(*SHAPE).eval(), 3)
    assert not torch.allclose(wanted[2], beginning[2], atol=0.02)
    # Statistics of what passes make training start from about the same answers.
    assert (answers(again.train(), 3)[2] - wanted[2]).abs().mean() < 0.05


def test_a_run_starts_from_another_runs_weights(tmp_path: Path) -> None:
    network, again = trained(2), RefinerNetwork(*SHAPE)
    save_file(network.state_dict(), tmp_path / "best.safetensors")
    start_network(again, str(tmp_path / "best.safetensors"), windows(2, 7))
    for one, other in zip(answers(network, 5), answers(again.eval(), 5), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("start", ["missing.onnx", BUNDLED, str(weights.FACE_PACK / FILE)])
def test_what_is_no_refiner_of_this_shape_is_refused_in_one_sentence(start: str) -> None:
    with pytest.raises(ModelError, match=r"^[^\n]*refiner\.onnx[^\n]*$"):
        start_network(RefinerNetwork(*SHAPE), start, windows(2, 7))
