"""A refiner that training can go on from: another run's weights, or an exported ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vidref import weights
from vidref.errors import ModelError
from vidref.faces.refiner import FILE
from vidref.training.detector_train import as_input
from vidref.training.recogniser_network import Convolution
from vidref.training.refiner_network import RefinerNetwork
from vidref.training.unfold import Unfold, layers_of

BUNDLED = "bundled"


def start_network(network: RefinerNetwork, start_from: str, views: NDArray[np.uint8]) -> None:
    """Fills a network with what `bundled`, an exported file or a `best.safetensors` holds.

    `views` are windows as they are trained on, (n, 96, 96, 3): an exported file has lost what they
    look like within the network.
    """
    path = weights.FACE_PACK / FILE if start_from == BUNDLED else Path(start_from)
    if not path.is_file():
        raise ModelError(
            f"There is no refiner to start from at {path}: give an exported refiner.onnx, a run's "
            f"best.safetensors, or `{BUNDLED}`."
        )
    try:
        if path.suffix == ".onnx":
            _fill_from_export(network, path, views)
        else:
            network.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError, IndexError, ValueError) as error:
        raise ModelError(
            f"{path} is no refiner of the recipe's widths and blocks: give an exported "
            f"refiner.onnx, a run's best.safetensors, or `{BUNDLED}`."
        ) from error


@torch.no_grad()
def _fill_from_export(network: RefinerNetwork, path: Path, views: NDArray[np.uint8]) -> None:
    was_training = network.training
    network.eval()
    images = as_input(views, next(network.parameters()).device)
    norms = {
        module[0]: module[1] for module in network.modules() if isinstance(module, Convolution)
    }
    hooks = []
    for layer, (_, known) in zip(
        _in_order_of_work(network, images), layers_of(path, ("Conv", "Gemm")), strict=True
    ):
        if layer.weight.shape != known[0].shape:
            raise ValueError("another shape")
        if layer in norms:
            norm = norms[layer]
            assert isinstance(norm, nn.BatchNorm2d)
            hooks.append(layer.register_forward_hook(Unfold(norm, known[0], known[1])))
        else:
            assert layer.bias is not None
            layer.weight.copy_(known[0])
            layer.bias.copy_(known[1])
    network(images)
    for hook in hooks:
        hook.remove()
    network.train(was_training)


def _in_order_of_work(network: RefinerNetwork, images: Tensor) -> list[nn.Conv2d | nn.Linear]:
    """The layers with weights as they are called, which is how an exported file lists them."""
    called: list[nn.Conv2d | nn.Linear] = []
    hooks = [
        module.register_forward_hook(lambda layer, *_: called.append(layer))
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    network(images[:1])
    for hook in hooks:
        hook.remove()
    return called
