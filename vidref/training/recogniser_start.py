"""A recogniser that training can go on from, filled from an exported ONNX file."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidref import weights
from vidref.errors import ModelError
from vidref.training.recogniser_measure import as_input
from vidref.training.recogniser_network import RecogniserNetwork
from vidref.training.unfold import Pair, Unfold, layers_of

BUNDLED = "bundled"


def exported_file(start_from: str) -> Path:
    """The file that `--start-from` names: `bundled`, or an exported recogniser."""
    path = weights.FACE_PACK / "recogniser.onnx" if start_from == BUNDLED else Path(start_from)
    if not path.is_file():
        raise ModelError(
            f"There is no recogniser to start from at {path}: "
            f"give an exported recogniser.onnx, or `{BUNDLED}`."
        )
    return path


@torch.no_grad()
def fill_from_export(network: RecogniserNetwork, path: Path, faces: NDArray[np.uint8]) -> None:
    """Makes `network` the exported one; `faces` are augmented views, (n, 112, 112, 3)."""
    convolutions, linear, norm, whitening = _read(path)
    modules = list(network.modules())
    own = [
        (module, follower)
        for module, follower in pairwise(modules)
        if isinstance(module, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d)
    ]
    own_linear, own_norm = network.head[4], network.head[5]
    assert isinstance(own_linear, nn.Linear) and isinstance(own_norm, nn.BatchNorm1d)
    assert own_norm.running_mean is not None and own_norm.running_var is not None
    size, wide = own_linear.weight.shape
    fits = (
        [list(conv.weight.shape) for conv, _ in own] == [list(w.shape) for w, _ in convolutions]
        and tuple(linear.shape) == (wide, size)
        and tuple(whitening[0].shape) == (size, size)
    )
    if not fits:
        raise ModelError(
            f"{path} is a recogniser of another shape than the recipe's widths, blocks and "
            "embedding_size: use the recipe it was trained with, or begin without --start-from."
        )
    hooks = [
        conv.register_forward_hook(Unfold(bn, weight, bias))
        for (conv, bn), (weight, bias) in zip(own, convolutions, strict=True)
    ]
    own_linear.weight.copy_(linear.T)
    own_norm.running_mean.copy_(norm[0])
    own_norm.running_var.copy_(norm[1])
    network.whitening.weight.copy_(whitening[0])
    network.whitening.bias.copy_(whitening[1])
    was_training = network.training
    network.eval()(as_input(faces, network.whitening.weight.device))
    network.train(was_training)
    for hook in hooks:
        hook.remove()


def _read(path: Path) -> tuple[list[Pair], Tensor, Pair, Pair]:
    """Convolutions (weight, bias) in order, the linear layer, its norm, the whitening."""
    convolutions: list[Pair] = []
    found: dict[str, list[Tensor]] = {}
    try:
        for kind, known in layers_of(path, ("Conv", "MatMul", "BatchNormalization", "Gemm")):
            if kind == "Conv":
                convolutions.append((known[0], known[1]))
            else:
                found[kind] = known
        linear, norm, white = found["MatMul"], found["BatchNormalization"], found["Gemm"]
        return convolutions, linear[0], (norm[-2], norm[-1]), (white[0], white[1])
    except (KeyError, IndexError) as error:
        raise ModelError(
            f"{path} was not exported by `vidref train recogniser`: give a file that was."
        ) from error
