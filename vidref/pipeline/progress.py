"""What a long run tells whoever watches: a callback takes one of these, often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a stage is; `total` is None while nobody knows."""

    stage: str
    frames_done: int
    frames_total: int | None
    seconds: float
    is_final: bool = False

    @property
    def fps(self) -> float:
        return self.frames_done / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta_s(self) -> float | None:
        if not self.frames_total or not self.frames_done:
            return None
        return max(0, self.frames_total - self.frames_done) * self.seconds / self.frames_done


OnProgress = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """For callers who do not watch."""
