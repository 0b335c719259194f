"""The next batch is made while this one is worked on, by a thread of its own."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields
from typing import Protocol

import torch
from torch import Tensor

from vidref.training.batches import Batch


class Maker(Protocol):
    """Makes the batch of any step."""

    device: torch.device

    def make(self, step: int) -> Batch:
        """The batch of a step."""


class Prefetch:
    """Batches by step; one is always being made ahead, on a GPU on a stream of its own."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.ahead: dict[int, Future[tuple[Batch, torch.cuda.Event | None]]] = {}
        self.stream: torch.cuda.Stream | None = None
        if maker.device.type == "cuda":
            self.stream = torch.cuda.Stream(maker.device)  # type: ignore[no-untyped-call]
        self.worker = ThreadPoolExecutor(1)

    def get(self, step: int) -> Batch:
        """The batch of a step; the next one is begun."""
        wanted = self.ahead.pop(step, None) or self.worker.submit(self._make, step)
        self.ahead = {step + 1: self.worker.submit(self._make, step + 1)}
        batch, ready = wanted.result()
        if ready is None:
            return batch
        current = torch.cuda.current_stream(self.maker.device)
        current.wait_event(ready)
        for field in fields(batch):
            value = getattr(batch, field.name)
            if isinstance(value, Tensor) and value.is_cuda:
                # its memory must not be handed out again while the training stream still reads it
                value.record_stream(current)
        return batch

    def _make(self, step: int) -> tuple[Batch, torch.cuda.Event | None]:
        if self.stream is None:
            return self.maker.make(step), None
        with torch.cuda.stream(self.stream):
            batch = self.maker.make(step)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record(self.stream)
        return batch, ready
