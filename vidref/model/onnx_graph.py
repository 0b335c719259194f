"""An ONNX graph run by torch, so that any frozen ArcFace-format recogniser can be differentiated.

Covers what recognisers are exported with: convolutions, norms, activations, pooling, matrix
products and reshapes. An operation that is not in the table is a named error, never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.errors import MissingDependencyError, ModelError

Value = Any
TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 10: torch.float16, 11: torch.float64}
"""ONNX's numbers of the element types that a recogniser's graph may convert between."""
Operation = Callable[[list[Value], dict[str, Any]], Value]


class OnnxGraph(nn.Module):
    """The nodes of a graph in order; its floating-point constants are buffers, all frozen."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            import onnx
            from onnx import numpy_helper
        except ImportError as error:
            raise MissingDependencyError(
                f"Reading {path} needs the onnx package: pip install onnx."
            ) from error
        try:
            graph = onnx.load(str(path)).graph
        except (OSError, ValueError, RuntimeError) as error:
            raise ModelError(f"{path}: not a readable ONNX file ({error}).") from error
        self.constants: dict[str, Any] = {}
        self.buffer_names: dict[str, str] = {}
        for tensor in graph.initializer:
            self._keep(tensor.name, numpy_helper.to_array(tensor))
        self.input = next(i.name for i in graph.input if i.name not in self.buffer_names)
        self.outputs = [output.name for output in graph.output]
        self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        for node in graph.node:
            settings = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                self._keep(node.output[0], numpy_helper.to_array(settings["value"]))
            elif node.op_type == "Cast" and self._constant(node.input[0]) is not None:
                # weights stored in half precision: converted once, here
                self._keep(node.output[0], _cast([self._constant(node.input[0])], settings).numpy())
            elif node.op_type in OPERATIONS:
                self.nodes.append((node.op_type, list(node.input), list(node.output), settings))
            else:
                raise ModelError(
                    f"{path}: the operation {node.op_type} is not one that recognisers use: "
                    f"export it with {', '.join(sorted(OPERATIONS))}."
                )
        self.activations = [outputs[0] for kind, _, outputs, _ in self.nodes if kind in ACTIVATIONS]
        """Names of the values after each activation, in order: what a perceptual loss looks at."""

    def _keep(self, name: str, array: np.ndarray) -> None:
        tensor = torch.from_numpy(np.array(array))
        if tensor.is_floating_point():
            self.buffer_names[name] = f"constant_{len(self.buffer_names)}"
            self.register_buffer(self.buffer_names[name], tensor)
        else:
            self.constants[name] = tensor

    def _constant(self, name: str) -> Tensor | None:
        if name in self.buffer_names:
            return self.get_buffer(self.buffer_names[name])
        return self.constants.get(name)

    def forward(self, x: Tensor) -> Tensor:
        return self.values(x, [self.outputs[0]])[0]

    def values(self, x: Tensor, names: Sequence[str]) -> list[Tensor]:
        """The named values of one pass."""
        known: dict[str, Value] = {self.input: x, "": None, **self.constants}
        known.update({name: self.get_buffer(own) for name, own in self.buffer_names.items()})
        for kind, inputs, outputs, settings in self.nodes:
            known[outputs[0]] = OPERATIONS[kind]([known[name] for name in inputs], settings)
        return [known[name] for name in names]


def _cast(v: list[Value], s: dict[str, Any]) -> Tensor:
    x: Tensor = v[0]
    return x.to(TYPES[s["to"]])


def _symmetric(pads: Sequence[int], x: Tensor, fill: float) -> tuple[Tensor, list[int]]:
    """Padding as torch's convolutions take it; lopsided padding is applied beforehand."""
    half = len(pads) // 2
    if list(pads[:half]) == list(pads[half:]):
        return x, list(pads[:half])
    order = [pad for axis in reversed(range(half)) for pad in (pads[axis], pads[axis + half])]
    return functional.pad(x, order, value=fill), [0] * half


def _conv(v: list[Value], s: dict[str, Any]) -> Tensor:
    x, pads = _symmetric(s.get("pads", [0, 0, 0, 0]), v[0], 0.0)
    bias = v[2] if len(v) > 2 else None
    strides, dilations = s.get("strides", [1, 1]), s.get("dilations", [1, 1])
    return functional.conv2d(x, v[1], bias, strides, pads, dilations, s.get("group", 1))


def _batch_norm(v: list[Value], s: dict[str, Any]) -> Tensor:
    return functional.batch_norm(v[0], v[3], v[4], v[1], v[2], False, 0.0, s.get("epsilon", 1e-5))


def _prelu(v: list[Value], s: dict[str, Any]) -> Tensor:
    slope = v[1]
    return torch.where(v[0] >= 0, v[0], v[0] * slope)


def _gemm(v: list[Value], s: dict[str, Any]) -> Tensor:
    a = v[0].T if s.get("transA", 0) else v[0]
    b = v[1].T if s.get("transB", 0) else v[1]
    out: Tensor = s.get("alpha", 1.0) * (a @ b)
    return out + s.get("beta", 1.0) * v[2] if len(v) > 2 else out


def _reshape(v: list[Value], s: dict[str, Any]) -> Tensor:
    wanted = [int(n) for n in v[1]]
    x: Tensor = v[0]
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(wanted)])


def _pool(v: list[Value], s: dict[str, Any], largest: bool) -> Tensor:
    fill = float("-inf") if largest else 0.0
    x, pads = _symmetric(s.get("pads", [0, 0, 0, 0]), v[0], fill)
    strides = s.get("strides", [1, 1])
    if largest:
        return functional.max_pool2d(x, s["kernel_shape"], strides, pads)
    include = bool(s.get("count_include_pad", 0))
    return functional.avg_pool2d(x, s["kernel_shape"], strides, pads, count_include_pad=include)


def _axes(v: list[Value], s: dict[str, Any]) -> list[int]:
    return [int(a) for a in (v[1] if len(v) > 1 and v[1] is not None else s["axes"])]


def _clip(v: list[Value], s: dict[str, Any]) -> Tensor:
    low = v[1] if len(v) > 1 and v[1] is not None else s.get("min")
    high = v[2] if len(v) > 2 and v[2] is not None else s.get("max")
    return torch.clamp(
        v[0], None if low is None else float(low), None if high is None else float(high)
    )


def _unsqueeze(v: list[Value], s: dict[str, Any]) -> Tensor:
    out: Tensor = v[0]
    for axis in sorted(_axes(v, s)):
        out = out.unsqueeze(axis)
    return out


def _mean(v: list[Value], s: dict[str, Any]) -> Tensor:
    return torch.as_tensor(v[0]).mean(_axes(v, s), keepdim=bool(s.get("keepdims", 1)))


def _norm(v: list[Value], s: dict[str, Any]) -> Tensor:
    keep = bool(s.get("keepdims", 1))
    return torch.as_tensor(torch.linalg.vector_norm(v[0], dim=_axes(v, s), keepdim=keep))


def _gather(v: list[Value], s: dict[str, Any]) -> Tensor:
    index = v[1].to(v[0].device)
    picked = torch.index_select(v[0], s.get("axis", 0), index.reshape(-1))
    return picked.squeeze(s.get("axis", 0)) if index.ndim == 0 else picked


ACTIVATIONS = ("PRelu", "Relu", "LeakyRelu", "Clip", "HardSwish")

OPERATIONS: dict[str, Operation] = {
    "Add": lambda v, s: v[0] + v[1],
    "Sub": lambda v, s: v[0] - v[1],
    "Mul": lambda v, s: v[0] * v[1],
    "Div": lambda v, s: v[0] / v[1],
    "Sqrt": lambda v, s: v[0].sqrt(),
    "AveragePool": lambda v, s: _pool(v, s, largest=False),
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda v, s: torch.cat([torch.as_tensor(x) for x in v], s["axis"]),
    "Conv": _conv,
    "Dropout": lambda v, s: v[0],
    "Flatten": lambda v, s: v[0].flatten(s.get("axis", 1)),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda v, s: v[0].mean((2, 3), keepdim=True),
    "HardSigmoid": lambda v, s: (s.get("alpha", 0.2) * v[0] + s.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda v, s: functional.hardswish(v[0]),
    "Identity": lambda v, s: v[0],
    "LeakyRelu": lambda v, s: functional.leaky_relu(v[0], s.get("alpha", 0.01)),
    "MatMul": lambda v, s: v[0] @ v[1],
    "MaxPool": lambda v, s: _pool(v, s, largest=True),
    "PRelu": _prelu,
    "ReduceL2": _norm,
    "ReduceMean": _mean,
    "Relu": lambda v, s: functional.relu(v[0]),
    "Reshape": _reshape,
    "Shape": lambda v, s: torch.tensor(v[0].shape),
    "Sigmoid": lambda v, s: v[0].sigmoid(),
    "Squeeze": lambda v, s: v[0].squeeze(tuple(_axes(v, s))),
    "Transpose": lambda v, s: v[0].permute(*s["perm"]),
    "Unsqueeze": _unsqueeze,
}
