"""Folded batch norms made into convolutions and norms again, so that training can go on.

Exporting folds batch norms into the convolutions before them. Here every channel's weights get
length one again and its norm the statistics of the data that passes, with the scale and shift that
give what the file gives: in evaluation the network is the file, in training its statistics are
about right from the first step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidref.errors import MissingDependencyError, ModelError

Pair = tuple[Tensor, Tensor]


class Unfold:
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


def layers_of(path: Path, kinds: tuple[str, ...]) -> list[tuple[str, list[Tensor]]]:
    """Nodes of these kinds in a file's order of work, each with the constants it is given."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as error:
        raise MissingDependencyError(
            "Starting from an exported network needs the onnx package: "
            "pip install vidref[training]."
        ) from error
    try:
        graph: Any = onnx.load(str(path)).graph
    except Exception as error:  # protobuf has no error class of its own that onnx promises
        raise ModelError(f"{path} cannot be read as ONNX ({error}).") from error
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    layers = []
    for node in graph.node:
        if node.op_type in ("Cast", "Identity") and node.input and node.input[0] in values:
            values[node.output[0]] = values[node.input[0]]
        elif node.op_type in kinds:
            known = [_tensor(values[name]) for name in node.input[1:] if name in values]
            layers.append((node.op_type, known))
    return layers


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))
