"""Faces that hid each other: which piece of a path goes on where, and which stays."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from vidref.faces.followed import Followed
from vidref.faces.geometry import Placement
from vidref.faces.motion import Motion
from vidref.faces.paths import Appearance, Shot, Sighting
from vidref.faces.swaps import Path, put_right

SHOT = Shot(0, 0, [index / 25 for index in range(300)])
ANN, BEN, EVE = np.eye(3, 8, dtype=np.float32)


def face(id: int, frames: Sequence[int], who: dict[int, np.ndarray]) -> Followed:
    """A face seen in these frames that looks from each frame of `who` on like this."""
    seen = [Sighting(i, Placement((100.0 * id, 100.0), 80.0, 0.0), 0.9) for i in frames]
    looks = [
        Appearance(i, who[max(start for start in who if start <= i)])
        for i in [*frames[::10], frames[-1]]
    ]
    missed = {i for i in range(frames[0], frames[-1]) if i not in set(frames)}
    return Followed(id, Motion(seen[0].placement, 0.0), 0.0, seen, missed, appearances=looks)


def paths(*faces: Followed) -> list[Path]:
    numbers = itertools.count(10)
    return put_right([(one, ()) for one in faces], SHOT, lambda: next(numbers))


def shown(path: Path) -> list[tuple[int, int]]:
    """First and last frame of each run of this path without a hole."""
    runs: list[tuple[int, int]] = []
    for seen in path.sightings:
        if runs and seen.index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], seen.index)
        else:
            runs.append((seen.index, seen.index))
    return runs


AWAY = [*range(0, 80), *range(100, 200)]


def test_two_who_came_back_as_each_other_are_exchanged() -> None:
    one = face(1, AWAY, {0: ANN, 100: BEN})
    other = face(2, [*range(0, 75), *range(104, 200)], {0: BEN, 104: ANN})
    first, second = paths(one, other)
    assert (first.id, first.parts, shown(first)) == (1, (2,), [(0, 79), (104, 199)])
    assert (second.id, second.parts, shown(second)) == (2, (1,), [(0, 74), (100, 199)])
    assert all((look.vector == ANN).all() for look in first.appearances)
    assert all((look.vector == BEN).all() for look in second.appearances)
    assert set(range(80, 104)) <= first.missed  # nothing is filled in where neither was seen


def test_two_who_pass_without_being_lost_are_exchanged_where_their_looks_change() -> None:
    one = face(1, range(0, 200), {0: ANN, 100: BEN})
    other = face(2, range(0, 200), {0: BEN, 100: ANN})
    first, second = paths(one, other)
    for path, who in ((first, ANN), (second, BEN)):
        assert all((look.vector == who).all() for look in path.appearances)
        assert [seen.index for seen in path.sightings] == list(range(200))


def test_a_face_that_is_unlike_itself_for_a_while_stays_one_where_nobody_else_is_like_it() -> None:
    turned = 0.3 * ANN + 0.9 * EVE
    one = face(1, AWAY, {0: ANN, 50: turned, 150: ANN})
    other = face(2, range(0, 200), {0: BEN})
    first, second = paths(one, other)
    assert (shown(first), first.parts) == ([(0, 79), (100, 199)], ())
    assert shown(second) == [(0, 199)]


def test_two_who_are_alike_are_left_as_they_were() -> None:
    nearly = 0.9 * ANN + 0.43 * BEN
    one = face(1, AWAY, {0: ANN, 100: nearly})
    other = face(2, AWAY, {0: nearly, 100: ANN})
    assert [path.parts for path in paths(one, other)] == [(), ()]


def test_someone_new_in_a_path_whose_owner_went_elsewhere_is_a_path_of_their_own() -> None:
    one = face(1, AWAY, {0: ANN, 100: EVE})
    other = face(2, range(102, 200), {102: ANN})
    first, new = paths(one, other)
    assert (first.id, shown(first)) == (1, [(0, 79), (102, 199)])
    assert (new.id, new.parts, shown(new)) == (10, (1,), [(100, 199)])


def test_half_a_face_that_comes_out_first_comes_along_with_the_whole_one() -> None:
    half = 0.4 * ANN + 0.9 * EVE
    one = face(1, range(0, 80), {0: ANN})
    other = face(2, range(100, 200), {100: half, 130: ANN})
    (path,) = paths(one, other)
    assert shown(path) == [(0, 79), (100, 199)]


def test_a_shot_without_faces_and_one_without_looks_are_nothing_special() -> None:
    assert paths() == []
    unseen = face(1, AWAY, {0: ANN})
    unseen.appearances.clear()
    (path,) = paths(unseen)
    assert (shown(path), path.appearances) == ([(0, 79), (100, 199)], ())
