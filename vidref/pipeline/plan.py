"""What the analysis decided: where every face is, whose it is, and which are to be restored.

Pass 1 writes it, people may edit it, pass 2 asks it frame by frame. Times are `pts` of the
picture's stream (of photos and folders of frames: 0, 1, 2 ...), positions are source pixels (made
square where they are not) with pixel centres at whole numbers. `plan_file` reads and writes it;
`docs/plan.md` is for editors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Discriminator, Field, Tag

from vidref.faces.geometry import Placement
from vidref.faces.turned import share_shown
from vidref.pipeline.trajectory import Knot, Trajectory

VERSION = 1
Square = tuple[float, float, float, float]
"""(x, y, size_px, turn_deg): the aligned face square, its turn clockwise."""


class _Checked:
    """What is read from a file must have known names and the right types, nothing else."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class PlannedSource(_Checked):
    """The clip, photo or folder that was analysed, well enough to know it again."""

    name: str
    bytes: int
    fingerprint: str
    stream: int
    width: int
    height: int
    time_base: Fraction
    frames: int
    first_pts: int
    last_pts: int
    is_clean: bool = True
    """Nothing in it was damaged or mended, so any frame may be jumped to."""
    deinterlaced: bool = False
    pixel_aspect: Fraction = Fraction(1)
    """Width of a stored pixel over its height; positions are told in pixels made square."""


@dataclass(frozen=True)
class PlannedPack(_Checked):
    """The face pack that found and told apart the faces."""

    name: str
    sha256: str


@dataclass(frozen=True)
class AnalysisSettings(_Checked):
    """What the analysis was told; for the record."""

    people: tuple[str, ...]
    min_face_px: float
    references: str | None = None
    max_faces: int | None = None
    detect_every: int | None = None
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class FrameReference(_Checked):
    """The person's own view at a moment of the clip."""

    pts: int
    face: Square
    quality: float
    weight: float

    @property
    def placement(self) -> Placement:
        return placement_of_square(self.face)


@dataclass(frozen=True)
class PhotoReference(_Checked):
    """A photo that the user gave; `sha256` is that of its file."""

    photo: Path
    sha256: str
    face: Square
    quality: float
    weight: float

    @property
    def placement(self) -> Placement:
        return placement_of_square(self.face)


Reference = FrameReference | PhotoReference


def _kind(reference: Any) -> str:
    """Which of the two a reference is, so that a mistake in it is told as that of its kind."""
    if isinstance(reference, dict):
        return "a photo" if "photo" in reference else "a frame"
    return "a photo" if isinstance(reference, PhotoReference) else "a frame"


_EitherReference = Annotated[
    Annotated[FrameReference, Tag("a frame")] | Annotated[PhotoReference, Tag("a photo")],
    Discriminator(_kind),
]


@dataclass(frozen=True)
class SetAside(_Checked):
    """A view or photo that is not used as reference, and why."""

    reason: str
    pts: int | None = None
    photo: Path | None = None
    face: Square | None = None
    quality: float | None = None


@dataclass(frozen=True)
class PlannedPerson(_Checked):
    """Somebody in the clip; `id` seeds the person's noise, so it stays when the name changes."""

    id: str
    name: str
    restore: bool
    named_by: str
    """"photos", or "nobody" where the name is only a number."""
    confidence: float
    """That all tracks are this person, and that the name is right."""
    unsure: bool
    """The photos may show this person, but not surely: only own views are used."""
    why: str
    references: tuple[_EitherReference, ...] = ()
    set_aside: tuple[SetAside, ...] = ()


@dataclass(frozen=True)
class LeftAlone(_Checked):
    """A stretch of a track in which the picture stays as it is; around it the restored face fades.

    `frames` and `why` are for whoever reads it.
    """

    first_pts: int
    last_pts: int
    frames: int | None = None
    why: str = ""


@dataclass(frozen=True)
class PlannedTrack(_Checked):
    """A face followed through one shot, as the knots of its trajectory."""

    id: int
    person: str
    shot: int
    restore: bool
    why: str
    quality: float
    path: tuple[Knot, ...]
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0
    """How much of the restoration is shown; the user's own strength multiplies it. At 0 the face is
    only steadied, as it is."""
    left_alone: tuple[LeftAlone, ...] = ()
    """Where the head is turned too far."""

    @cached_property
    def trajectory(self) -> Trajectory:
        return Trajectory(self.path)

    @property
    def first_pts(self) -> int:
        return self.path[0][0]

    @property
    def last_pts(self) -> int:
        return self.path[-1][0]

    def shown_at(self, pts: int, time_base: Fraction) -> float:
        """How much of the face is to be seen restored at a moment: 0 where it is left alone."""
        away = [max(span.first_pts - pts, pts - span.last_pts, 0) for span in self.left_alone]
        return share_shown(float(min(away) * time_base)) if away else 1.0


@dataclass(frozen=True)
class PlannedFace:
    """A face in one frame; `strength` is its track's, `shown` this frame's share beside it."""

    person: str
    placement: Placement
    track: int
    restore: bool
    strength: float
    shown: float = 1.0


@dataclass(frozen=True)
class Plan(_Checked):
    """All of it. People and tracks are edited freely; what cannot be is refused when it is read."""

    source: PlannedSource
    made_by: str
    face_pack: PlannedPack
    settings: AnalysisSettings
    shots: tuple[int, ...]
    """The pts at which each shot begins."""
    people: tuple[PlannedPerson, ...]
    tracks: tuple[PlannedTrack, ...]
    notes: tuple[str, ...] = field(default=())
    """What the user should know: who was looked for and not found, damage, and so on."""

    def faces_at(self, pts: int) -> list[PlannedFace]:
        """The faces in the frame shown at `pts`, to be restored or not."""
        first, last, tracks = self._spans
        return [
            PlannedFace(
                track.person,
                track.trajectory.at(pts),
                track.id,
                self.is_restored(track),
                track.strength,
                track.shown_at(pts, self.source.time_base),
            )
            for track in (tracks[i] for i in np.flatnonzero((first <= pts) & (pts <= last)))
        ]

    def person(self, id: str) -> PlannedPerson:
        return self._people[id]

    def references_of(self, id: str) -> tuple[Reference, ...]:
        """What is known of a person, the weightiest first."""
        return self._people[id].references

    def tracks_of(self, id: str) -> Iterator[PlannedTrack]:
        return (track for track in self.tracks if track.person == id)

    def is_restored(self, track: PlannedTrack) -> bool:
        """Whether this track is restored: both it and its person must say so."""
        return track.restore and self._people[track.person].restore

    def left_alone(self) -> Iterator[tuple[PlannedTrack, LeftAlone]]:
        """All that is not restored: tracks, and stretches of those that are."""
        for track in self.tracks:
            if self.is_restored(track):
                yield from ((track, stretch) for stretch in track.left_alone)
            else:
                why = self._people[track.person].why if track.restore else track.why
                yield track, LeftAlone(track.first_pts, track.last_pts, why=why)

    @cached_property
    def _people(self) -> dict[str, PlannedPerson]:
        return {person.id: person for person in self.people}

    @cached_property
    def _spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[PlannedTrack, ...]]:
        tracks = tuple(sorted(self.tracks, key=lambda track: track.first_pts))
        first = np.array([track.first_pts for track in tracks], np.int64)
        last = np.array([track.last_pts for track in tracks], np.int64)
        return first, last, tracks


def placement_of_square(square: Square) -> Placement:
    x, y, size, turn = square
    return Placement((x, y), size, math.radians(turn))


def square_of(placement: Placement) -> Square:
    """Rounded to what is visible."""
    x, y = placement.centre_xy
    turn = math.degrees(placement.angle)
    return (round(x, 2), round(y, 2), round(placement.size_px, 2), round(turn, 2))
