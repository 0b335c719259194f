"""Pieces of a path in one shot: what is one face, and what never is."""

from __future__ import annotations

import numpy as np

from vidref.faces.followed import Followed
from vidref.faces.geometry import Placement
from vidref.faces.motion import Motion
from vidref.faces.paths import Shot, Sighting
from vidref.faces.stitch import stitched

SHOT = Shot(0, 0, [index / 25 for index in range(200)])


def face(id: int, places: dict[int, float], looks: tuple[float, float] | None = None) -> Followed:
    """A face seen at these frames with these x."""
    seen = [Sighting(index, Placement((x, 100.0), 80.0, 0.0), 0.9) for index, x in places.items()]
    made = Followed(id, Motion(seen[0].placement, 0.0), 0.0, seen)
    if looks is not None:
        made.mean = np.array(looks, np.float32)
    return made


def ids(faces: list[Followed]) -> list[tuple[int, ...]]:
    return [(one.id, *parts) for one, parts in stitched(faces, SHOT)]


def test_a_face_that_is_lost_for_a_moment_goes_on_where_it_was() -> None:
    before, after = (face(1, dict.fromkeys(range(0, 40, 3), 50.0)),
                     face(2, dict.fromkeys(range(44, 80, 3), 52.0)))  # fmt: skip
    assert ids([before, after]) == [(1, 2)]


def test_two_tracks_on_one_face_become_one_with_every_frame_once() -> None:
    one = face(1, dict.fromkeys(range(0, 60, 2), 50.0))
    other = face(2, dict.fromkeys(range(30, 90, 3), 51.0))
    ((whole, parts),) = stitched([one, other], SHOT)
    indices = [sighting.index for sighting in whole.sightings]
    assert parts == (2,) and indices == sorted(set(indices)) and indices[-1] == 87


def test_people_who_cross_stay_two() -> None:
    right = face(1, {i: 2.0 * i for i in range(0, 100, 2)})
    left = face(2, {i: 200 - 2.0 * i for i in range(0, 100, 2)})
    assert ids([right, left]) == [(1,), (2,)]


def test_someone_at_another_place_or_later_is_someone_else() -> None:
    first = face(1, dict.fromkeys(range(0, 40, 3), 50.0))
    beside = face(2, dict.fromkeys(range(42, 80, 3), 140.0))
    later = face(3, dict.fromkeys(range(60, 90, 3), 50.0))
    assert ids([first, beside, later]) == [(1,), (2,), (3,)]


def test_a_face_that_is_surely_unlike_is_someone_else_unless_at_the_very_same_place() -> None:
    first = face(1, dict.fromkeys(range(0, 40, 3), 50.0), (1.0, 0.0))
    other = face(2, dict.fromkeys(range(42, 80, 3), 68.0), (-0.2, 1.0))
    alike = face(3, dict.fromkeys(range(42, 80, 3), 68.0), (0.4, 1.0))
    blurred = face(4, dict.fromkeys(range(42, 80, 3), 51.0), (-0.2, 1.0))
    assert ids([first, other]) == [(1,), (2,)]
    assert ids([first, alike]) == [(1, 3)]
    first = face(1, dict.fromkeys(range(0, 40, 3), 50.0), (1.0, 0.0))
    assert ids([first, blurred]) == [(1, 4)]


def test_half_a_face_that_comes_back_is_a_piece_of_the_path_that_goes_on_there() -> None:
    away = [*range(0, 40, 3), *range(104, 160, 3)]
    half = dict.fromkeys(range(90, 103, 3), 70.0)
    seen = {i: 50.0 if i < 50 else 72.0 for i in away}
    assert ids([face(1, seen, (1.0, 0.0)), face(2, half, (0.4, 0.9))]) == [(1, 2)]
    assert ids([face(1, seen, (1.0, 0.0)), face(2, half, (0.0, 1.0))]) == [(1,), (2,)]
