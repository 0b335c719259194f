"""The tracker on faces given as numbers: who is who, who is real, where to look next."""

from __future__ import annotations

import numpy as np
import pytest

from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import Placement, points_of
from vidref.faces.paths import Presence, Track
from vidref.faces.track import KEPT_S, Look, Tracker

RATE = 25
PEOPLE = np.eye(8, dtype=np.float32)
"""Embeddings of people who are unlike each other."""


class Stage:
    """Plays faces to a tracker, one frame after another; a face's embedding is its person's."""

    def __init__(self, **settings: int) -> None:
        self.tracker = Tracker(strong_score=0.6, same_person=0.5, **settings)
        self.rng = np.random.default_rng(0)
        self.index = 0
        self.embedded = 0
        self.looks: list[Look] = []

    def play(
        self,
        people: dict[int, tuple[float, float]],
        score: float = 0.8,
        size: float = 100.0,
        looks: bool = True,
    ) -> list[int | None]:
        faces, who = [], []
        for person, centre in people.items():
            points = points_of(Placement(centre, size, 0.0)) + self.rng.normal(0, 0.5, (5, 2))
            box = np.array([*(np.array(centre) - 40), *(np.array(centre) + 40)], np.float32)
            faces.append(DetectedFace(box, points.astype(np.float32), score))
            who.append(person)

        def embed(asked):
            self.embedded += len(asked)
            numbers = [next(i for i, f in enumerate(faces) if f is face) for face in asked]
            vectors = PEOPLE[[who[n] for n in numbers]]
            vectors = vectors + self.rng.normal(0, 0.1, vectors.shape).astype(np.float32)
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        self.looks.append(self.tracker.look(self.index, self.index / RATE))
        given = faces if looks else None
        ids = self.tracker.push(self.index, self.index / RATE, given, embed)
        self.index += 1
        return ids

    def tracks(self) -> list[Track]:
        return self.tracker.finish()


def shown(track: Track, presence: Presence) -> list[int]:
    return [frame.index for frame in track.frames if frame.presence is presence]


def test_one_face_is_one_track_over_every_frame():
    stage = Stage()
    for i in range(50):
        stage.play({0: (200 + 2 * i, 150)})
    (track,) = stage.tracks()
    assert [frame.index for frame in track.frames] == list(range(50))
    assert len(shown(track, Presence.SEEN)) == 50
    for i, frame in enumerate(track.frames):
        assert frame.placement.centre_xy == pytest.approx((200 + 2 * i, 150), abs=1.5)


def test_a_single_false_find_makes_no_track():
    stage = Stage()
    for i in range(50):
        stage.play({0: (200, 150), **({5: (600, 300)} if i in (20, 35) else {})})
    (track,) = stage.tracks()
    assert track.frames[0].placement.centre_xy == pytest.approx((200, 150), abs=2)


@pytest.mark.parametrize(
    ("aside", "score", "tracks"),
    [(range(20), 0.8, 0), (range(20), 0.95, 1), (range(15), 0.8, 1), ((), 0.8, 1)],
)
def test_a_doubtful_face_that_never_looks_to_the_front_makes_no_track(aside, score, tracks):
    tracker = Tracker(strong_score=0.6, same_person=0.5)
    for index in range(20):
        points = points_of(Placement((200.0, 150.0), 60.0, 0.0))
        if index in aside:
            points[:, 0] = 200 + (points[:, 0] - 200) * 0.35
            points[2, 0] -= 6
        points = points.astype(np.float32)
        box = np.concatenate([points.min(0), points.max(0)])
        tracker.push(index, index / RATE, [DetectedFace(box, points, score)])
    assert len(tracker.finish()) == tracks


def test_a_clip_of_one_frame_has_its_faces():
    stage = Stage()
    stage.play({0: (200, 150), 1: (500, 150)})
    tracks = stage.tracks()
    assert len(tracks) == 2
    assert [len(track.frames) for track in tracks] == [1, 1]


def test_nothing_pushed_and_nothing_found_are_no_tracks():
    assert Stage().tracks() == []
    stage = Stage()
    for _ in range(10):
        stage.play({})
    assert stage.tracks() == []


def test_a_weak_find_goes_on_a_track_but_never_begins_one():
    stage = Stage()
    for i in range(60):
        stage.play({0: (200, 150)}, score=0.4 if 20 <= i < 40 else 0.8)
    (track,) = stage.tracks()
    assert len(shown(track, Presence.SEEN)) == 60
    stage = Stage()
    for _ in range(20):
        stage.play({0: (200, 150)}, score=0.4)
    assert stage.tracks() == []


def test_missed_frames_are_filled_and_marked():
    stage = Stage()
    for i in range(60):
        stage.play({} if 30 <= i < 36 else {0: (200 + 3 * i, 150)})
    (track,) = stage.tracks()
    assert shown(track, Presence.MISSED) == list(range(30, 36))
    for frame in track.frames[30:36]:
        assert frame.placement.centre_xy == pytest.approx((200 + 3 * frame.index, 150), abs=3)


def test_frames_that_nobody_looked_at_are_between_and_not_missed():
    stage = Stage()
    for i in range(61):
        stage.play({0: (200, 150)}, looks=i % 3 == 0)
    (track,) = stage.tracks()
    assert len(track.frames) == 61
    assert len(shown(track, Presence.BETWEEN)) == 40
    assert shown(track, Presence.MISSED) == []


def test_a_long_absence_is_a_hole_and_a_longer_one_another_track():
    for hidden_s, count in ((1.2, 1), (KEPT_S + 1, 2)):
        stage = Stage()
        away = range(40, 40 + round(hidden_s * RATE))
        for i in range(160):
            stage.play({} if i in away else {0: (200, 150)})
        tracks = stage.tracks()
        assert len(tracks) == count
        assert not {frame.index for track in tracks for frame in track.frames} & set(away)


def test_two_who_cross_keep_their_ids():
    stage = Stage()
    for i in range(120):
        people = {0: (150 + 5 * i, 200), 1: (750 - 5 * i, 205)}
        if abs(people[0][0] - people[1][0]) < 60:
            del people[0]  # the one behind is not found
        stage.play(people)
    tracks = stage.tracks()
    assert len(tracks) == 2
    first, second = tracks
    assert first.frames[-1].placement.centre_xy[0] == pytest.approx(150 + 5 * 119, abs=4)
    assert second.frames[-1].placement.centre_xy[0] == pytest.approx(750 - 5 * 119, abs=4)


def test_two_who_meet_and_turn_back_keep_their_ids():
    stage = Stage()
    for i in range(120):
        step = 5 * min(i, 120 - i)
        people = {0: (150 + step, 200), 1: (700 - step, 205)}
        if abs(people[0][0] - people[1][0]) < 60:
            del people[0]
        stage.play(people)
    tracks = stage.tracks()
    assert len(tracks) == 2
    assert tracks[0].frames[-1].placement.centre_xy[0] < 200
    assert tracks[1].frames[-1].placement.centre_xy[0] > 600


def test_someone_who_comes_out_elsewhere_is_known_by_the_embedding():
    stage = Stage()
    for i in range(100):
        if i < 40:
            stage.play({0: (200, 200)})
        elif i < 60:
            stage.play({})
        else:
            stage.play({0: (700, 300)})
    (track,) = stage.tracks()
    assert not any(40 <= frame.index < 60 for frame in track.frames)


def test_somebody_else_in_the_same_place_is_another_track():
    stage = Stage()
    for i in range(100):
        stage.play({} if 40 <= i < 52 else {0 if i < 40 else 1: (200, 200)})
    assert len(stage.tracks()) == 2


def test_tracks_end_at_a_cut_and_shots_are_counted():
    stage = Stage()
    for i in range(60):
        if i == 30:
            stage.tracker.cut()
        stage.play({0: (200 + 3 * i, 150)})
    one, other = stage.tracks()
    assert (one.shot, one.first, one.last) == (0, 0, 29)
    assert (other.shot, other.first, other.last) == (1, 30, 59)
    assert one.id != other.id


def test_one_face_found_twice_in_a_frame_is_one():
    stage = Stage()
    for _ in range(20):
        stage.play({0: (200, 150), 1: (208, 153)})
    assert len(stage.tracks()) == 1


def test_landmarks_that_lie_on_their_side_are_no_sighting():
    stage = Stage()
    for i in range(40):
        ids = stage.play({0: (200, 150)})
        if i == 20:
            lying = points_of(Placement((200, 150), 100.0, 1.6)).astype(np.float32)
            face = DetectedFace(np.zeros(4, np.float32), lying, 0.9)
            ids = stage.tracker.push(stage.index, stage.index / RATE, [face])
            stage.index += 1
            assert ids == [None]
    (track,) = stage.tracks()
    assert all(abs(frame.placement.angle) < 0.1 for frame in track.frames)


def test_a_lone_face_is_embedded_about_once_a_second():
    stage = Stage()
    for _ in range(10 * RATE):
        stage.play({0: (200, 150), 1: (600, 150)})
    tracks = stage.tracks()
    assert stage.embedded <= 2 * 11
    assert [len(track.appearances) for track in tracks] == [10, 10]


def test_a_face_unlike_itself_for_a_while_is_one_track_and_embedded_about_once_a_second():
    stage = Stage()
    for i in range(10 * RATE):
        turned_away = 2 * RATE <= i < 5 * RATE or 7 * RATE <= i < 8 * RATE
        stage.play({1 if turned_away else 0: (200 + i / 2, 150)})
    (track,) = stage.tracks()
    assert len(track.frames) == 10 * RATE
    assert stage.embedded <= 24  # once a second, and thrice at each of the four changes


def test_a_calm_face_is_looked_at_now_and_then_and_a_lively_one_more_often():
    def share(step: float) -> float:
        stage = Stage()
        for i in range(100):
            lively = {0: (300 + step * np.sin(i / 2), 200)}
            look = stage.tracker.look(stage.index, stage.index / RATE)
            stage.play(lively, looks=bool(look))
        return np.mean([bool(look) for look in stage.looks[20:]])

    assert share(0) <= 0.5
    assert share(60) > 1.5 * share(0)


@pytest.mark.parametrize("every", [1, 4, 12])
def test_the_whole_frame_is_looked_at_as_often_as_asked(every):
    stage = Stage(detect_every=every)
    for _ in range(60):
        look = stage.tracker.look(stage.index, stage.index / RATE)
        stage.play({0: (200, 150)} if look else {}, looks=bool(look))
        if look and not look.whole:
            # The stage pushes every look as one at the whole frame: only count what was asked.
            stage.tracker._whole_at = max(i for i, k in enumerate(stage.looks) if k.whole)
    whole = [i for i, look in enumerate(stage.looks) if look.whole]
    assert max(np.diff(whole), default=0) <= every


def test_a_window_that_shows_nothing_says_nothing_about_faces_elsewhere():
    stage = Stage()
    for _ in range(10):
        stage.play({0: (200, 150), 1: (600, 150)})
    near = Look(False, (Placement((200, 150), 100.0, 0.0),))
    points = points_of(Placement((200, 150), 100.0, 0.0)).astype(np.float32)
    for i in range(10, 13):
        face = DetectedFace(np.zeros(4, np.float32), points, 0.8)
        stage.tracker.push(i, i / RATE, [face], None, near)
    stage.index = 13
    for _ in range(5):
        stage.play({0: (200, 150), 1: (600, 150)})
    tracks = stage.tracks()
    assert shown(tracks[1], Presence.BETWEEN) == [10, 11, 12]
    assert shown(tracks[1], Presence.MISSED) == []


def test_times_of_any_rate_give_the_same_path_in_seconds():
    rng = np.random.default_rng(1)
    times = np.cumsum(rng.uniform(0.01, 0.1, 80))
    tracker = Tracker(0.6, 0.5)
    for i, t in enumerate(times):
        place = Placement((200 + 100 * t, 150.0), 100.0, 0.0)
        points = points_of(place).astype(np.float32)
        faces = [DetectedFace(np.zeros(4, np.float32), points, 0.8)] if i % 3 == 0 else None
        tracker.push(i, float(t), faces)
    (track,) = tracker.finish()
    for frame in track.frames:
        expected = (200 + 100 * frame.time_s, 150)
        assert frame.placement.centre_xy == pytest.approx(expected, abs=1)
    assert track.frames[0].placement.size_px == pytest.approx(100, rel=0.02)


def test_an_earlier_sighting_lengthens_its_own_track_and_never_takes_anothers():
    stage = Stage()
    for i in range(30):
        stage.play({0: (200, 150)} if i < 10 else {0: (200, 150), 1: (500, 150)})
    arrivals = stage.tracker.take_arrivals()
    assert [arrival.index for arrival in arrivals] == [0, 10]
    assert stage.tracker.take_arrivals() == []
    late = arrivals[1].id

    def face_at(x: float) -> DetectedFace:
        points = points_of(Placement((x, 150.0), 100.0, 0.0)).astype(np.float32)
        return DetectedFace(np.zeros(4, np.float32), points, 0.8)

    assert stage.tracker.seen_before(late, 9, face_at(500.0))
    assert not stage.tracker.seen_before(late, 8, face_at(200.0))
    tracks = stage.tracks()
    assert [track.first for track in tracks] == [0, 9]
