"""The next batch is made while the device works on this one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields

import torch
from torch import Tensor

from vidref.training.batches import Batch, BatchMaker


class Prefetch:
    """Batches by step. On a GPU one is always being made ahead, on a stream of its own."""

    def __init__(self, maker: BatchMaker) -> None:
        self.maker = maker
        self.ahead: dict[int, Future[tuple[Batch, torch.cuda.Event]]] = {}
        self.stream: torch.cuda.Stream | None = None
        if maker.device.type == "cuda":
            self.stream = torch.cuda.Stream(maker.device)  # type: ignore[no-untyped-call]
            self.worker = ThreadPoolExecutor(1)

    def get(self, step: int) -> Batch:
        """The batch of a step; the next one is begun."""
        if self.stream is None:
            return self.maker.make(step)
        wanted = self.ahead.pop(step, None) or self.worker.submit(self._make, step)
        self.ahead = {step + 1: self.worker.submit(self._make, step + 1)}
        batch, ready = wanted.result()
        current = torch.cuda.current_stream(self.maker.device)
        current.wait_event(ready)
        for field in fields(batch):
            value = getattr(batch, field.name)
            if isinstance(value, Tensor) and value.is_cuda:
                # its memory must not be handed out again while the training stream still reads it
                value.record_stream(current)
        return batch

    def _make(self, step: int) -> tuple[Batch, torch.cuda.Event]:
        with torch.cuda.stream(self.stream):
            batch = self.maker.make(step)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record(self.stream)
        return batch, ready
