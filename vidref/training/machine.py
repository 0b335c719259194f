"""What a run computes on: the CPU, one GPU, or several through accelerate."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from vidref.errors import MissingDependencyError


class Machine:
    """One process's device and its place among the others."""

    def __init__(self, precision: str) -> None:
        self._accelerator: Any = None
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            try:
                from accelerate import Accelerator
            except ImportError as error:
                raise MissingDependencyError(
                    "Training on several GPUs needs accelerate: pip install accelerate."
                ) from error
            self._accelerator = Accelerator(cpu=not torch.cuda.is_available())
        self.rank = self._accelerator.process_index if self._accelerator else 0
        if self._accelerator:
            self.device = torch.device(self._accelerator.device)
        else:
            self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.half = precision == "bf16"

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def prepare(self, module: nn.Module) -> nn.Module:
        """The module as it is trained here: as it is, or wrapped to share gradients."""
        if self._accelerator is None:
            return module
        prepared: nn.Module = self._accelerator.prepare(module)
        return prepared

    def precision(self) -> AbstractContextManager[object]:
        """bf16 arithmetic with fp32 weights, where asked for."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

    def sharing(self, module: nn.Module, now: bool) -> AbstractContextManager[object]:
        """Gradients of several processes are shared only on the last of accumulated steps."""
        if self._accelerator is None or now:
            return nullcontext()
        held: AbstractContextManager[object] = self._accelerator.no_sync(module)
        return held

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a number over the processes."""
        if self._accelerator is None:
            return value
        mean: Tensor = self._accelerator.reduce(value, "mean")
        return mean
