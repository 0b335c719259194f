"""Metrics of pyiqa. Whoever asks for them lets pyiqa fetch the weights that it lacks."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidref.errors import MissingDependencyError

NEEDS_TRUTH = {"lpips-vgg", "lpips"}
PAIRED_OR_NOT = ("lpips-vgg", "musiq", "niqe")


def pyiqa_metrics(
    names: Sequence[str] = PAIRED_OR_NOT, device: str = "cpu"
) -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """Functions of (restored, truth) for the metrics named."""
    if importlib.util.find_spec("pyiqa") is None:
        raise MissingDependencyError(
            "LPIPS, MUSIQ, NIQE and FID need pyiqa and its weights: pip install pyiqa."
        )
    import pyiqa
    import torch

    def to_tensor(image: np.ndarray) -> Any:
        return torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(device) / 255

    def measure(name: str) -> Callable[[np.ndarray, np.ndarray], float]:
        metric = pyiqa.create_metric(name, device=device)

        def value(restored: np.ndarray, truth: np.ndarray) -> float:
            pictures = [to_tensor(restored)]
            if name in NEEDS_TRUTH:
                pictures.append(to_tensor(truth))
            return float(metric(*pictures))

        return value

    return {name: measure(name) for name in names}


def fid(folder: Path, device: str = "cpu") -> float:
    """FID of a folder against pyiqa's stored statistics of the 70,000 FFHQ faces at 512 px."""
    import pyiqa

    metric = pyiqa.create_metric("fid", device=device)
    return float(
        metric(str(folder), dataset_name="FFHQ", dataset_res=512, dataset_split="trainval70k")
    )
