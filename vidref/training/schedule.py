"""How far a run is, and how fast it learns there."""

from __future__ import annotations

import math
from typing import Protocol

from vidref.training.state import Progress


class Schedule(Protocol):
    """What shapes a run."""

    @property
    def steps(self) -> int: ...
    @property
    def budget_seconds(self) -> float | None: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def warmup(self) -> int: ...
    @property
    def cooldown(self) -> float: ...


def share_done(run: Schedule, progress: Progress) -> float:
    """0 at the beginning, 1 at the end: by steps, or by the clock where a budget is set."""
    done = progress.step / run.steps
    if run.budget_seconds is not None:
        done = max(done, progress.seconds / run.budget_seconds)
    return min(1.0, done)


def learning_rate(run: Schedule, progress: Progress) -> float:
    """Warm-up, level, then a cosine to nothing over the cool-down."""
    done = share_done(run, progress)
    rate = run.learning_rate * min(1.0, (progress.step + 1) / max(1, run.warmup))
    if run.cooldown and done > 1 - run.cooldown:
        rate *= 0.5 * (1 + math.cos(math.pi * (done - 1 + run.cooldown) / run.cooldown))
    return rate
