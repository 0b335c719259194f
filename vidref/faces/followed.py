"""What the tracker keeps of a face that it follows, and of what was found in one frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import Placement
from vidref.faces.motion import Motion
from vidref.faces.paths import Appearance, Sighting
from vidref.faces.turned import is_turned_away

Embed = Callable[[Sequence[DetectedFace]], NDArray[np.float32]]


@dataclass(eq=False)
class Followed:
    """A face being followed."""

    id: int
    motion: Motion
    seen_s: float
    sightings: list[Sighting]
    missed: set[int] = field(default_factory=set)
    misses: int = 0
    """Looks in a row that did not find it."""
    appearances: list[Appearance] = field(default_factory=list)
    embedded_s: float = -np.inf
    mean: NDArray[np.float32] | None = None
    window: Placement | None = None
    """Where it is looked for."""
    strikes: int = 0
    """Looks in a row that showed somebody unlike."""
    believed: bool = False
    crowded: bool = False
    replaced_by: Followed | None = None
    """Who was found in its very place while it looked unlike itself: most likely the same face. As
    long as that one is followed, this one is neither looked for nor missing."""

    def likeness(self, vector: NDArray[np.float32] | None) -> float | None:
        if vector is None or self.mean is None:
            return None
        return float(self.mean @ vector / max(float(np.linalg.norm(self.mean)), 1e-9))

    def remember(self, index: int, time_s: float, vector: NDArray[np.float32]) -> None:
        self.appearances.append(Appearance(index, vector))
        self.embedded_s, self.strikes = time_s, 0
        # Recent views count more: light and pose drift.
        self.mean = vector.copy() if self.mean is None else 0.8 * self.mean + 0.2 * vector


class Finds:
    """What was found in one frame, and the embeddings asked for so far."""

    def __init__(
        self,
        index: int,
        time_s: float,
        faces: list[DetectedFace],
        places: list[Placement],
        embed: Embed | None,
    ) -> None:
        self.index, self.time_s, self.faces, self.places = index, time_s, faces, places
        self.vectors: dict[int, NDArray[np.float32]] = {}
        self._embed = embed

    def need(self, numbers: list[int]) -> None:
        """Have these faces embedded; from the side nobody looks like themselves."""
        new = [
            number
            for number in numbers
            if number not in self.vectors and not is_turned_away(self.faces[number].landmarks_xy)
        ]
        if self._embed is not None and new:
            vectors = self._embed([self.faces[number] for number in new])
            self.vectors.update(zip(new, vectors, strict=True))
