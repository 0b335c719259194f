"""What a long run tells whoever watches: a callback takes one of these, often."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a stage is; `frames_total` is None while nobody knows.

    `frames_before` were there already when this run began, and say nothing of its speed.
    """

    stage: str
    frames_done: int
    frames_total: int | None
    seconds: float
    is_final: bool = False
    frames_before: int = 0

    @property
    def fps(self) -> float:
        return (self.frames_done - self.frames_before) / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        if not self.frames_total or not self.fps:
            return None
        return max(0, self.frames_total - self.frames_done) / self.fps


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """For callers who do not watch."""


class Ticker:
    """Counts the frames of one stage, and reports no more often than anyone can read."""

    EVERY_S = 0.2

    def __init__(
        self, on_progress: OnProgress, stage: str, total: int | None, before: int = 0
    ) -> None:
        self.done = before
        self._on_progress, self._stage = on_progress, stage
        self._total, self._before = total, before
        self._begun = self._reported = time.monotonic()

    def tick(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self._reported >= self.EVERY_S:
            self._reported = now
            self._report(self._total, now, False)

    def end(self) -> None:
        self._report(self.done, time.monotonic(), True)

    def _report(self, total: int | None, now: float, is_final: bool) -> None:
        seconds = now - self._begun
        self._on_progress(Progress(self._stage, self.done, total, seconds, is_final, self._before))
