"""A run's exact state on disk, so that a resumed run continues as if it had not been broken.

One safetensors file: weights, averaged weights, both optimisers' moments; step and seconds in the
header. No random state is needed: every step's draws are seeded by the step's number.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vidref.errors import ModelError

STATE = "state.safetensors"


@dataclass
class Progress:
    """How far a run is."""

    step: int = 0
    seconds: float = 0.0


def save_state(folder: Path, parts: dict[str, dict[str, Tensor]], progress: Progress) -> None:
    """Write all parts under their names; the file appears only when it is whole."""
    tensors = {
        f"{part}/{key}": value.detach().to("cpu").clone().contiguous()
        for part, values in parts.items()
        for key, value in values.items()
    }
    half = folder / (STATE + ".part")
    header = {"progress": json.dumps({"step": progress.step, "seconds": progress.seconds})}
    save_file(tensors, half, metadata=header)
    half.replace(folder / STATE)


def load_state(folder: Path) -> tuple[dict[str, dict[str, Tensor]], Progress] | None:
    """The saved parts and progress, or none when the run has not begun."""
    path = folder / STATE
    if not path.exists():
        return None
    parts: dict[str, dict[str, Tensor]] = {}
    try:
        with safe_open(path, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            for key in list(file.keys()):
                part, name = key.split("/", 1)
                parts.setdefault(part, {})[name] = file.get_tensor(key)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(
            f"{path}: not a training state ({error}): delete it to begin the run anew."
        ) from error
    return parts, progress


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The moments of an Adam-like optimiser by parameter number."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {
        f"{number}.{key}": torch.as_tensor(value)
        for number, values in state.items()
        for key, value in values.items()
    }


def fill_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put the moments back."""
    whole = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    whole["state"] = state
    optimiser.load_state_dict(whole)
