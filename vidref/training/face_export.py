"""Trained weights to the ONNX files that insightface loads.

Weights are stored in half precision and widened by a Cast that onnxruntime folds away when it
loads: half the size, the same speed. Batch norms are folded into the convolutions beforehand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn

from vidref.errors import MissingDependencyError, ModelError
from vidref.faces.refiner import WINDOW_PX
from vidref.training.detector_network import STRIDES, DetectorNetwork
from vidref.training.recogniser_network import FACE_SIZE, RecogniserNetwork
from vidref.training.refiner_network import RefinerNetwork

OPSET = 17


class ScrfdOutputs(nn.Module):
    """The detector with SCRFD's nine outputs: scores, boxes, points, each at strides 8, 16, 32."""

    def __init__(self, network: DetectorNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> tuple[Tensor, ...]:
        maps = self.network(frames)
        scores = [_rows(level[0].sigmoid(), 1) for level in maps]
        boxes = [_rows(level[1], 4) for level in maps]
        points = [_rows(level[2], 10) for level in maps]
        return (*scores, *boxes, *points)


def _rows(maps: Tensor, size: int) -> Tensor:
    """(1, 2 * size, H, W) to (H * W * 2, size): row by row, the two anchors of a cell together."""
    return maps.permute(0, 2, 3, 1).reshape(-1, size)


class RefinerOutputs(nn.Module):
    """The refiner on windows as pictures are, uint8 BHWC, with its score between 0 and 1.

    In this shape insightface does not take it for one of its own kinds of model.
    """

    def __init__(self, network: RefinerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, windows: Tensor) -> tuple[Tensor, ...]:
        views = (windows.permute(0, 3, 1, 2).float() - 127.5) / 128
        scores, boxes, points = self.network(views)
        return scores.sigmoid(), boxes, points


def read_network(weights: Path) -> nn.Module:
    """The network a `best.safetensors` was saved from; its header says which."""
    if not weights.is_file():
        raise ModelError(f"There are no trained weights at {weights}: train first.")
    with safe_open(weights, framework="pt") as file:
        shape = (file.metadata() or {}).get("shape", "")
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    parts = [json.loads(part) for part in re.findall(r"\[[^]]*\]|\d+", shape)]
    network: nn.Module
    if shape.startswith("refiner"):
        network = RefinerNetwork(tuple(parts[0]), tuple(parts[1]))
    elif len(parts) == 3:
        network = RecogniserNetwork(tuple(parts[0]), tuple(parts[1]), parts[2])
    elif len(parts) == 2:
        network = DetectorNetwork(tuple(parts[0]), parts[1])
    else:
        raise ModelError(f"{weights} was not written by a face pack training.")
    network.load_state_dict(state)
    return network.eval()


def export_detector(network: DetectorNetwork, path: Path) -> None:
    names = [f"{kind}_{stride}" for kind in ("score", "box", "points") for stride in STRIDES]
    axes: dict[str, dict[int, str]] = {"frames": {2: "height", 3: "width"}}
    axes |= {name: {0: f"cells_{name}"} for name in names}
    torch.onnx.export(
        ScrfdOutputs(network).eval(),
        (torch.zeros(1, 3, 640, 640),),
        str(path),
        input_names=["frames"],
        output_names=names,
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,
    )
    store_half(path)


def export_recogniser(network: RecogniserNetwork, path: Path) -> None:
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, FACE_SIZE, FACE_SIZE),),
        str(path),
        input_names=["faces"],
        output_names=["embeddings"],
        dynamic_axes={"faces": {0: "batch"}, "embeddings": {0: "batch"}},
        opset_version=OPSET,
        dynamo=False,
    )
    store_half(path)


def export_refiner(network: RefinerNetwork, path: Path) -> None:
    names = ["scores", "boxes", "points"]
    torch.onnx.export(
        RefinerOutputs(network).eval(),
        (torch.zeros(1, WINDOW_PX, WINDOW_PX, 3, dtype=torch.uint8),),
        str(path),
        input_names=["windows"],
        output_names=names,
        dynamic_axes={name: {0: "batch"} for name in ["windows", *names]},
        opset_version=OPSET,
        dynamo=False,
    )
    store_half(path)


def store_half(path: Path) -> None:
    """Rewrites an ONNX file with its large constants in half precision, each behind a Cast."""
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingDependencyError(
            "Exporting needs the onnx package: pip install vidref[training]."
        ) from error
    model: Any = onnx.load(str(path))
    casts = []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 256:
            continue
        wide, narrow = tensor.name, f"{tensor.name}_half"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), narrow))
        casts.append(
            helper.make_node("Cast", [narrow], [wide], f"Widen_{wide}", to=TensorProto.FLOAT)
        )
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *rest])
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
