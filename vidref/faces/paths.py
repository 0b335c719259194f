"""From what the tracker saw of a face to its whole path: smoothed, filled, never across a cut."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vidref.faces.clothes import Clothes
from vidref.faces.geometry import Placement
from vidref.faces.motion import measured, placed
from vidref.faces.smooth import smooth

FILLED_S = 0.5
"""A face that was looked for and missed for longer is taken to have been hidden: a hole is left."""


class Presence(StrEnum):
    """How a frame's placement is known."""

    SEEN = "seen"  # the face was found in this frame
    BETWEEN = "between"  # not looked for: found shortly before and after
    MISSED = "missed"  # looked for and not found: hidden, blurred or turned away, for a moment


@dataclass(frozen=True, slots=True)
class TrackFrame:
    """The face in one frame: its smoothed square, and how it is known; `score` is 0 unless seen."""

    index: int
    time_s: float
    placement: Placement
    presence: Presence
    score: float
    turned_deg: float = 0.0
    """How far the head is turned, as smooth as the square; positive: to the picture's right."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """How the recogniser saw the face in one frame: a vector of length one."""

    index: int
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class Track:
    """One face through one shot. `frames` ascend; where the face was hidden for long, none are."""

    id: int
    shot: int
    frames: tuple[TrackFrame, ...]
    appearances: tuple[Appearance, ...]
    parts: tuple[int, ...] = ()
    """Ids that pieces of it had while it was followed."""
    clothes: Clothes | None = None
    """What is worn below the face, where that was asked."""

    @property
    def first(self) -> int:
        return self.frames[0].index

    @property
    def last(self) -> int:
        return self.frames[-1].index


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one look told: the face's square as it was measured, and the detector's score."""

    index: int
    placement: Placement
    score: float
    doubt: float = 1.0
    """How many times noisier than usual this look is."""
    turned_deg: float = 0.0


@dataclass(frozen=True)
class Shot:
    """The frames of one shot: their times by index from `first` on."""

    number: int
    first: int
    times_s: list[float]


def whole_path(shot: Shot, sightings: list[Sighting], missed: set[int]) -> tuple[TrackFrame, ...]:
    """All frames from the first to the last sighting, less long absences."""
    frames: list[TrackFrame] = []
    for piece in _unbroken(shot, sightings, missed):
        frames += _piece(shot, piece, missed)
    return tuple(frames)


def _unbroken(shot: Shot, sightings: list[Sighting], missed: set[int]) -> list[list[Sighting]]:
    pieces = [sightings[:1]]
    for before, after in pairwise(sightings):
        gap = shot.times_s[after.index - shot.first] - shot.times_s[before.index - shot.first]
        hidden = any(index in missed for index in range(before.index + 1, after.index))
        if hidden and gap > FILLED_S:
            pieces.append([])
        pieces[-1].append(after)
    return pieces


def _piece(shot: Shot, sightings: list[Sighting], missed: set[int]) -> list[TrackFrame]:
    first, count = sightings[0].index, sightings[-1].index - sightings[0].index + 1
    times = shot.times_s[first - shot.first :][:count]
    values, doubt = np.full((count, 5), np.nan), np.ones(count)
    seen = {sighting.index: sighting for sighting in sightings}
    for index, sighting in seen.items():
        values[index - first, :4] = measured(sighting.placement)
        values[index - first, 4] = math.radians(sighting.turned_deg)
        doubt[index - first] = sighting.doubt
    path = smooth(np.array(times), values, doubt)
    frames = []
    for offset, row in enumerate(path):
        index = first + offset
        if index in seen:
            presence, score = Presence.SEEN, seen[index].score
        else:
            presence, score = Presence.MISSED if index in missed else Presence.BETWEEN, 0.0
        turned = math.degrees(row[4])
        frames.append(TrackFrame(index, times[offset], placed(row), presence, score, turned))
    return frames
