"""What is kept of a face while its clip streams by: a bounded handful of possible references.

Every measured crop is offered; the best stay, spread over time and pose, each as numbers and a
stamp of 24 px. The quality of everything offered is counted, so that later "the best tenth" means
the best tenth of all that was seen and not of what was kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement, take_crop
from vidref.faces.quality import Quality

STAMP_PX = 24
KEPT = 48
LEVELS = 200


@dataclass(frozen=True)
class Candidate:
    """One view of a person at one moment of the clip."""

    frame: int
    time_s: float
    placement: Placement
    quality: Quality
    stamp: NDArray[np.uint8]
    """The face in grey at `STAMP_PX`: enough to see that two views are the same picture."""
    embedding: NDArray[np.float32] | None = None


def stamp_of(rgb: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    """The stamp of a face in a picture."""
    import cv2

    side = STAMP_PX * 2
    grey = cv2.cvtColor(take_crop(rgb, placement, side), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (STAMP_PX, STAMP_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def likeness_of_stamps(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Correlation of two stamps, whatever their light: 1 for the same picture."""
    a, b = (stamp.astype(np.float64) - stamp.mean() for stamp in (one, other))
    power = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / power if power > 1e-9 else 1.0


@dataclass
class Candidates:
    """The best views of a track so far, at most `kept`; what it holds never grows beyond that."""

    kept: int = KEPT
    best: list[Candidate] = field(default_factory=list)
    seen: NDArray[np.int64] = field(default_factory=lambda: np.zeros(LEVELS, np.int64))
    """How many views of each level of quality were offered."""

    def wants(self, quality: Quality) -> bool:
        """Whether a view of this quality could stay: ask before making its stamp."""
        return len(self.best) < self.kept or quality.score > min(c.quality.score for c in self.best)

    def count(self, quality: Quality) -> None:
        """A view that was measured but not offered."""
        self.seen[_level(quality.score)] += 1

    def offer(self, candidate: Candidate) -> None:
        """Counts a view and keeps it if it is worth more than what it displaces."""
        self.count(candidate.quality)
        self.best.append(candidate)
        if len(self.best) > self.kept:
            self.best.pop(self._least_missed())

    def threshold(self, share: float) -> float:
        """The quality that `share` of all views offered reach."""
        return best_share(self.seen, share)

    def _least_missed(self) -> int:
        """The worst view below the best tenth, or else the worse of the two that are most alike."""
        scores = np.array([c.quality.score for c in self.best])
        worst = int(scores.argmin())
        if scores[worst] < self.threshold(0.1):
            return worst
        times = np.array([c.time_s for c in self.best])
        poses = np.array([[c.quality.yaw_deg, c.quality.pitch_deg] for c in self.best])
        span = max(float(np.ptp(times)), 1e-6)
        apart = np.abs(times[:, None] - times) / span
        apart += np.linalg.norm(poses[:, None] - poses, axis=2) / 30
        np.fill_diagonal(apart, np.inf)
        one, other = np.unravel_index(int(apart.argmin()), apart.shape)
        return int(one if scores[one] < scores[other] else other)


def best_share(seen: NDArray[np.int64], share: float) -> float:
    """The lower edge of the level in which the best `share` of all views counted ends."""
    total = int(seen.sum())
    if total == 0:
        return 0.0
    wanted = max(1, int(total * share))
    from_above = np.cumsum(seen[::-1])
    steps = int(np.searchsorted(from_above, wanted))
    return (LEVELS - 1 - steps) / LEVELS


def together(parts: Iterable[Candidates]) -> tuple[list[Candidate], NDArray[np.int64]]:
    """All views of a person who has several tracks, and how many of each quality were seen."""
    views: list[Candidate] = []
    seen = np.zeros(LEVELS, np.int64)
    for part in parts:
        views += part.best
        seen += part.seen
    return views, seen


def _level(score: float) -> int:
    return min(LEVELS - 1, max(0, int(score * LEVELS)))
