"""Which faces are left alone, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vidref.faces.geometry import Placement
from vidref.faces.paths import Presence, Track, TrackFrame
from vidref.pipeline.looking import Views
from vidref.pipeline.naming import Somebody
from vidref.pipeline.selection import Wish, decide, left_alone, with_stretches

ANYONE = Wish((), 40, None)


def _track(
    id: int,
    size_px: float,
    frames: range = range(10),
    shot: int = 0,
    turned: Callable[[int], float] = lambda index: 0.0,
) -> Track:
    place = Placement((100.0, 100.0), size_px, 0.0)
    seen = (TrackFrame(i, i / 25, place, Presence.SEEN, 0.9, turned(i)) for i in frames)
    return Track(id, shot, tuple(seen), ())


def _views(detail: float) -> Views:
    views = Views()
    views.detail.extend([detail] * 3)
    return views


def _person(*tracks: Track, name: str | None = None) -> Somebody:
    return Somebody(tracks, None, name, False, 1.0, "")


@pytest.mark.parametrize(
    ("size_px", "detail", "restored"),
    [
        (500, 0.97, False),
        (500, 0.90, True),
        (200, 0.86, False),
        (200, 0.70, True),
        (60, 0.95, True),
    ],
)
def test_a_face_as_sharp_as_a_clean_photo_of_its_size_is_left_alone(size_px, detail, restored):
    decision = decide([_person(_track(1, size_px))], {1: _views(detail)}, ANYONE)[1]
    assert decision.restore == restored
    assert ("sharp already" in decision.why) == (not restored)


def test_a_face_from_the_side_is_left_alone_and_a_turning_one_for_that_stretch():
    side = _track(1, 200, turned=lambda index: -70.0)
    turning = _track(2, 200, range(100), turned=lambda index: 65.0 if 40 <= index < 60 else 10.0)
    decisions = decide([_person(side), _person(turning)], {2: _views(0.4)}, ANYONE)
    assert not decisions[1].restore and "from the side (70°)" in decisions[1].why
    told = with_stretches(decisions[2], turning.frames)
    assert told.restore and "In 20 of 100 frames" in told.why
    ((first, *_, last),) = left_alone(turning.frames)
    assert (first.index, last.index) == (40, 59)
    again = with_stretches(decisions[2], turning.frames[45:55])
    assert not again.restore and "from the side (65°)" in again.why


def test_a_face_that_was_never_measured_is_restored():
    assert decide([_person(_track(1, 200))], {}, ANYONE)[1].restore


def test_a_person_who_only_may_be_the_one_asked_for_is_left_alone():
    people = [_person(_track(1, 100), name="anna"), _person(_track(2, 100)),
              _person(_track(3, 100), name="bob")]  # fmt: skip
    found = decide(people, {}, Wish(("anna",), 40, None))
    assert [found[i].restore for i in (1, 2, 3)] == [True, False, False]
    assert "not surely one of those asked for (anna)" in found[2].why


def test_the_largest_faces_of_each_moment_are_kept_not_of_the_clip():
    large, middle, small = _track(1, 300), _track(2, 200), _track(3, 100)
    alone_later = _track(4, 80, range(10, 20))
    elsewhere = _track(5, 60, range(20, 30), shot=1)
    people = [_person(track) for track in (large, middle, small, alone_later, elsewhere)]
    found = decide(people, {}, Wish((), 40, 2))
    assert [found[i].restore for i in range(1, 6)] == [True, True, False, True, True]
    assert "2 larger faces are in the picture" in found[3].why


def test_a_face_that_is_left_alone_takes_nobodys_place():
    tiny_but_wanted, large_but_other = _track(1, 100), _track(2, 300)
    people = [_person(tiny_but_wanted, name="anna"), _person(large_but_other, name="bob")]
    assert decide(people, {}, Wish(("anna",), 40, 1))[1].restore
