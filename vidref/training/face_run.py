"""What both face trainings need around their loops: a clock, an averaged copy, and a run folder.

A run is limited by minutes as much as by steps, so everything that changes over a run (learning
rate, margins, augmentation) follows `Clock.progress`, 0 at the start and 1 at the end, whichever
limit comes first. A run folder holds `log.jsonl`, `state.safetensors` (to resume) and the sheets.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidref.errors import ModelError


class Clock:
    """How far a run is, over all its resumed parts."""

    def __init__(self, minutes: float, steps: int) -> None:
        self.limit_seconds = minutes * 60
        self.limit_steps = steps
        self.step = 0
        self._spent = 0.0
        self._last = time.monotonic()

    def start(self) -> None:
        """Called when the loop begins, so that preparing data is not counted."""
        self._last = time.monotonic()

    def tick(self) -> None:
        """Counts a step. A pause longer than a minute (a stopped process) is not counted."""
        now = time.monotonic()
        if now - self._last < 60:
            self._spent += now - self._last
        self._last = now
        self.step += 1

    @property
    def seconds(self) -> float:
        return self._spent

    @property
    def progress(self) -> float:
        return min(1.0, max(self._spent / self.limit_seconds, self.step / self.limit_steps))

    def restore(self, step: int, seconds: float) -> None:
        self.step, self._spent = step, seconds


def learning_rate_factor(progress: float, warmup: float = 0.03) -> float:
    """Linear warm-up, then a cosine to one hundredth."""
    if progress < warmup:
        return max(0.02, progress / warmup)
    done = (progress - warmup) / (1 - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))


class Averaged:
    """An exponential average of a network's weights; that is what gets measured and exported."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self._updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        self._updates += 1
        decay = min(self.decay, self._updates / (self._updates + 10))
        theirs = network.state_dict()
        for name, mine in self.network.state_dict().items():
            if mine.is_floating_point():
                mine.lerp_(theirs[name], 1 - decay)
            else:
                mine.copy_(theirs[name])

    def restored(self, updates: int) -> None:
        self._updates = updates


class RunFolder:
    """Where a run writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    @property
    def state_file(self) -> Path:
        return self.path / "state.safetensors"

    def log(self, **values: float | int | str) -> None:
        line = json.dumps(
            {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        )
        with (self.path / "log.jsonl").open("a") as file:
            file.write(line + "\n")

    def save_state(
        self,
        clock: Clock,
        modules: dict[str, nn.Module],
        optimiser: torch.optim.Optimizer,
        notes: dict[str, float] | None = None,
    ) -> None:
        """Everything a resumed run needs, written whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for name, module in modules.items():
            for key, value in module.state_dict().items():
                tensors[f"{name}/{key}"] = value.contiguous()
        for index, parameter in enumerate(_parameters(optimiser)):
            for key, value in optimiser.state[parameter].items():
                tensors[f"optimiser/{index}/{key}"] = torch.as_tensor(value)
        about = {"step": clock.step, "seconds": clock.seconds, "notes": notes or {}}
        temporary = self.state_file.with_suffix(".tmp")
        save_file(
            {
                key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
                for key, value in tensors.items()
            },
            temporary,
            metadata={"about": json.dumps(about)},
        )
        temporary.replace(self.state_file)

    def load_state(
        self, clock: Clock, modules: dict[str, nn.Module], optimiser: torch.optim.Optimizer
    ) -> dict[str, float]:
        """Puts a saved state back and returns its notes."""
        with safe_open(self.state_file, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for name, module in modules.items():
            prefix = f"{name}/"
            own = {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
            try:
                module.load_state_dict(own)
            except RuntimeError as error:
                raise ModelError(
                    f"{self.state_file} was written by a run with another network; "
                    "use the same config, or another --out folder."
                ) from error
        for index, parameter in enumerate(_parameters(optimiser)):
            prefix = f"optimiser/{index}/"
            optimiser.state[parameter] = {
                key[len(prefix) :]: value if value.dim() == 0 else value.to(parameter.device)
                for key, value in tensors.items()
                if key.startswith(prefix)
            }
        clock.restore(about["step"], about["seconds"])
        notes: dict[str, float] = about["notes"]
        return notes


def _parameters(optimiser: torch.optim.Optimizer) -> Iterator[nn.Parameter]:
    for group in optimiser.param_groups:
        yield from group["params"]


def training_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_is_quicker(device: torch.device) -> bool:
    """Whether it has instructions for bfloat16: a processor without them takes longer with it."""
    return device.type != "cpu" or torch.cpu._is_avx512_bf16_supported()
