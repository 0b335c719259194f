"""A recogniser that training can go on from, filled from an exported ONNX file.

Exporting folds batch norms into the convolutions. They are unfolded here: every channel's weights
get length one and its norm the statistics of faces as training sees them, with the scale and shift
that give what the file gives. In evaluation the network is the file; in training its statistics
are about right from the first step.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidref import weights
from vidref.errors import MissingDependencyError, ModelError
from vidref.training.recogniser_measure import as_input
from vidref.training.recogniser_network import RecogniserNetwork

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
        conv.register_forward_hook(_Unfold(bn, weight, bias))
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


class _Unfold:
    """Gives a convolution its folded weights, and the norm behind it the rest, as data passes."""

    def __init__(self, norm: nn.BatchNorm2d, weight: Tensor, bias: Tensor) -> None:
        self.norm, self.weight, self.bias = norm, weight, bias

    def __call__(self, conv: nn.Conv2d, inputs: tuple[Tensor], _: Tensor) -> Tensor:
        weight, bias = self.weight.to(inputs[0].device), self.bias.to(inputs[0].device)
        length = weight.flatten(1).norm(dim=1).clamp(min=1e-6)
        conv.weight.copy_(weight / length[:, None, None, None])
        output: Tensor = conv._conv_forward(inputs[0], conv.weight, None)
        variance, mean = torch.var_mean(output, dim=(0, 2, 3))
        norm = self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(length * (variance + norm.eps).sqrt())
        norm.bias.copy_(bias + length * mean)
        return output


Pair = tuple[Tensor, Tensor]


def _read(path: Path) -> tuple[list[Pair], Tensor, Pair, Pair]:
    """Convolutions (weight, bias) in order, the linear layer, its norm, the whitening."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingDependencyError(
            "Starting from an exported recogniser needs the onnx package: "
            "pip install vidref[training]."
        ) from error
    try:
        graph: Any = onnx.load(str(path)).graph
    except Exception as error:  # protobuf has no error class of its own that onnx promises
        raise ModelError(f"{path} cannot be read as ONNX ({error}).") from error
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    convolutions: list[Pair] = []
    found: dict[str, list[Tensor]] = {}
    try:
        for node in graph.node:
            if node.op_type in ("Cast", "Identity") and node.input[0] in values:
                values[node.output[0]] = values[node.input[0]]
            elif node.op_type in ("Conv", "MatMul", "BatchNormalization", "Gemm"):
                known = [_tensor(values[name]) for name in node.input[1:] if name in values]
                if node.op_type == "Conv":
                    convolutions.append((known[0], known[1]))
                else:
                    found[node.op_type] = known
        linear, norm, white = found["MatMul"], found["BatchNormalization"], found["Gemm"]
        return convolutions, linear[0], (norm[-2], norm[-1]), (white[0], white[1])
    except (KeyError, IndexError) as error:
        raise ModelError(
            f"{path} was not exported by `vidref train recogniser`: give a file that was."
        ) from error


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))
