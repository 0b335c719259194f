"""Where it is in doubt whether two tracks are one person, more views of both are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, cast

import av.video.frame
import numpy as np

from vidref.faces.candidates import STAMP_PX, Candidate, Candidates
from vidref.faces.geometry import Placement
from vidref.faces.likeness import Likeness
from vidref.faces.pack import FacePack
from vidref.faces.paths import Appearance, Presence, Track, TrackFrame
from vidref.faces.quality import PARTS, Quality
from vidref.pipeline.closer import with_more_views
from vidref.pipeline.footage import Footage
from vidref.pipeline.looking import Seen, Views
from vidref.pipeline.naming import find_people

LIKENESS = Likeness(
    same=0.7,
    doubtful=0.5,
    margin=0.1,
    agrees=0.3,
    leads=0.2,
    joins=0.6,
    perhaps=0.45,
    closer=0.45,
    spread=0.05,
)
PLACE = Placement((60.0, 60.0), 80.0, 0.0)
GOOD = Quality(**dict.fromkeys(PARTS, 0.9))
SERIOUS, LAUGHING, OTHER = np.eye(3, dtype=np.float32)
MIDDLING = 0.5 * SERIOUS + np.sqrt(0.75).astype(np.float32) * LAUGHING


class Clip:
    """Grey frames as bright as their number; remembers which were read again."""

    pixel_aspect = Fraction(1)

    def __init__(self) -> None:
        self.read: list[int] = []

    def again(self, pts: Iterable[int]) -> Iterator[tuple[int, av.video.frame.VideoFrame]]:
        for at in sorted(pts):
            self.read.append(at)
            grey = np.full((120, 120, 3), at, np.uint8)
            yield at, av.video.frame.VideoFrame.from_ndarray(grey, format="rgb24")

    def turns(self, image: object) -> int:
        return 0


def embed(crops: list[Any]) -> Any:
    """Faces laugh in every second frame of the clip, whoever they are."""
    return np.stack([LAUGHING if int(crop.mean()) % 2 else SERIOUS for crop in crops])


def track(number: int, first: int, face: Any) -> Track:
    frames = tuple(
        TrackFrame(index, index / 10, PLACE, Presence.SEEN, 0.9)
        for index in range(first, first + 20)
    )
    return Track(number, number, frames, (Appearance(first, face),))


def views(first: int) -> Views:
    stamp = np.zeros((STAMP_PX, STAMP_PX), np.uint8)
    best = [
        Candidate(index, index / 10, PLACE, GOOD, stamp) for index in range(first, first + 20, 3)
    ]
    return Views(Candidates(16, best))


def people_of(faces: list[Any]) -> tuple[list[tuple[int, ...]], list[int]]:
    tracks = [track(number, 40 * number, face) for number, face in enumerate(faces)]
    seen = Seen(
        tracks,
        {t.id: views(t.first) for t in tracks},
        np.arange(100), np.arange(100) / 10, (0, 40), np.zeros(100, np.int8),
        np.full((100, 2), 120, np.int32),
    )  # fmt: skip
    clip = Clip()
    pack = cast(FacePack, SimpleNamespace(embed_aligned=embed))
    closer = with_more_views(seen, cast(Footage, clip), pack, LIKENESS)
    people = find_people(closer, [], LIKENESS)
    return sorted(tuple(t.id for t in who.tracks) for who in people), clip.read


def test_two_shots_whose_likeness_is_in_doubt_are_looked_at_again_and_joined() -> None:
    people, read = people_of([SERIOUS, MIDDLING])
    assert people == [(0, 1)]
    assert len(read) == 38  # every frame of both, but the one it was recognised in


def test_shots_of_two_who_are_clearly_different_cost_no_second_look() -> None:
    people, read = people_of([SERIOUS, OTHER])
    assert people == [(0,), (1,)]
    assert read == []


class Dressed(Clip):
    """Four shots of twenty frames each; below the face is what is worn in that shot."""

    def __init__(self, worn: list[tuple[int, int, int]]) -> None:
        super().__init__()
        self.worn = worn

    def again(self, pts: Iterable[int]) -> Iterator[tuple[int, av.video.frame.VideoFrame]]:
        for at in sorted(pts):
            picture = np.full((240, 240, 3), (190, 150, 130), np.uint8)
            picture[100:] = self.worn[at // 40]
            yield at, av.video.frame.VideoFrame.from_ndarray(picture, format="rgb24")


def people_dressed(worn: list[tuple[int, int, int]]) -> list[tuple[int, ...]]:
    """The first two faces leave it in doubt whether they are one; the others are two more."""
    faces = np.eye(4, dtype=np.float32)
    faces[1] = 0.5 * faces[0] + np.sqrt(0.75) * faces[1]
    tracks = [track(number, 40 * number, face) for number, face in enumerate(faces)]
    tracks = [replace(t, frames=t.frames[:1] + t.frames[-1:]) for t in tracks]
    tracks = [replace(t, appearances=t.appearances * 2) for t in tracks]
    seen = Seen(
        tracks, {}, np.arange(160), np.arange(160) / 10, (0, 40, 80, 120), np.zeros(160, np.int8),
        np.full((160, 2), 240, np.int32),
    )  # fmt: skip
    of_shot = iter(faces)  # only the first two are looked at again, each in its last frame
    pack = SimpleNamespace(embed_aligned=lambda crops: np.stack([next(of_shot) for _ in crops]))
    closer = with_more_views(seen, cast(Footage, Dressed(worn)), cast(FacePack, pack), LIKENESS)
    return sorted(tuple(t.id for t in who.tracks) for who in find_people(closer, [], LIKENESS))


BLUE, RED, GREEN = (40, 60, 160), (170, 30, 30), (40, 120, 50)


def test_clothes_seen_again_make_one_person_of_two_shots_in_doubt() -> None:
    assert people_dressed([BLUE, BLUE, RED, GREEN]) == [(0, 1), (2,), (3,)]
    assert people_dressed([BLUE, RED, RED, GREEN]) == [(0,), (1,), (2,), (3,)]
    assert people_dressed([BLUE, BLUE, BLUE, GREEN]) == [(0,), (1,), (2,), (3,)]
