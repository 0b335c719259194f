"""Who is who: tracks become people, people get names, and doubt stays doubt."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from tests.faces.limits import LIKENESS
from vidref.faces.people import Answer, Appearance, join_tracks, name_people

RNG = np.random.default_rng(0)
FACES = np.linalg.qr(RNG.normal(size=(64, 64)))[0].astype(np.float32)


def seen(who, first, last, track, views=6, likeness=0.8, quality=0.8):
    """A track of person `who` whose views have about this cosine with the person's true face."""
    rng = np.random.default_rng((track, 7))
    vectors = []
    for _ in range(views):
        stray = rng.normal(size=64)
        stray -= (stray @ FACES[who]) * FACES[who]
        stray /= np.linalg.norm(stray)
        vectors.append(likeness * FACES[who] + np.sqrt(1 - likeness**2) * stray)
    embeddings = np.array(vectors, np.float32).reshape(views, 64)
    return Appearance(track, first, last, embeddings, np.full(views, quality, np.float32))


def test_tracks_of_one_person_are_joined_across_cuts_and_others_are_not():
    tracks = [
        seen(0, 0, 2, 1),
        seen(1, 0, 2, 2),
        seen(0, 3, 5, 3),
        seen(1, 6, 8, 4),
        seen(2, 6, 8, 5),
    ]
    people = join_tracks(tracks, LIKENESS)
    assert [person.tracks for person in people] == [(1, 3), (2, 4), (5,)]
    assert all(0.5 < person.confidence <= 1 for person in people)


def test_two_who_are_visible_at_once_are_never_one_person_however_alike():
    twins = [seen(0, 0, 4, 1, likeness=0.99), seen(0, 3, 6, 2, likeness=0.99)]
    assert [p.tracks for p in join_tracks(twins, LIKENESS)] == [(1,), (2,)]
    # Nor by way of a third track that either could be.
    third = seen(0, 8, 9, 3, likeness=0.99)
    assert sorted(len(p.tracks) for p in join_tracks([*twins, third], LIKENESS)) == [1, 2]


def test_bad_views_hardly_count_beside_good_ones():
    good, bad = seen(0, 0, 1, 1, views=2, quality=0.9), seen(1, 0, 1, 2, views=6, quality=0.1)
    both = Appearance(
        3,
        2,
        3,
        np.concatenate([good.embeddings, bad.embeddings]),
        np.concatenate([good.qualities, bad.qualities]),
    )
    assert both.face is not None
    assert float(both.face @ FACES[0]) > 0.8 > 0.4 > float(both.face @ FACES[1])


def test_a_track_whose_face_is_not_known_stays_by_itself_and_gets_no_name():
    blank = Appearance(9, 5, 6, np.zeros((0, 64), np.float32), np.zeros(0, np.float32))
    people = join_tracks([seen(0, 0, 2, 1), blank], LIKENESS)
    assert [person.tracks for person in people] == [(1,), (9,)]
    verdicts = name_people(people, {"Ada": FACES[0]}, LIKENESS)
    assert [verdict.answer for verdict in verdicts] == [Answer.NAMED, Answer.UNKNOWN]


def test_no_tracks_are_no_people():
    assert join_tracks([], LIKENESS) == []
    assert name_people([], {"Ada": FACES[0]}, LIKENESS) == []


def test_the_one_who_is_clearly_most_alike_gives_the_name():
    people = join_tracks([seen(0, 0, 2, 1)], LIKENESS)
    (verdict,) = name_people(people, {"Ada": FACES[0], "Bob": FACES[1]}, LIKENESS)
    assert (verdict.answer, verdict.name) == (Answer.NAMED, "Ada")
    assert verdict.confidence > 0.9


@pytest.mark.parametrize(
    ("cosine", "answer"), [(0.3, Answer.UNKNOWN), (0.45, Answer.UNSURE), (0.6, Answer.NAMED)]
)
def test_between_no_and_yes_the_answer_is_unsure(cosine, answer):
    people = join_tracks([seen(0, 0, 2, 1, views=1, likeness=1.0)], LIKENESS)
    folder = cosine * FACES[0] + np.sqrt(1 - cosine**2) * FACES[1]
    (verdict,) = name_people(people, {"Ada": folder.astype(np.float32)}, LIKENESS)
    assert verdict.answer is answer
    assert verdict.reason.endswith(".")


def test_two_folders_that_are_nearly_as_alike_leave_it_unsure():
    people = join_tracks([seen(0, 0, 2, 1, views=1, likeness=1.0)], LIKENESS)
    folders = {
        name: (c * FACES[0] + np.sqrt(1 - c * c) * FACES[k]).astype(np.float32)
        for name, c, k in (("Ada", 0.7, 1), ("Eve", 0.66, 2))
    }
    (verdict,) = name_people(people, folders, LIKENESS)
    assert verdict.answer is Answer.UNSURE
    assert "Eve" in verdict.reason


def test_one_name_is_not_given_to_two_who_are_visible_together():
    people = join_tracks(
        [seen(0, 0, 4, 1, likeness=0.95), seen(0, 1, 3, 2, likeness=0.75)], LIKENESS
    )
    verdicts = name_people(people, {"Ada": FACES[0]}, LIKENESS)
    assert [verdict.answer for verdict in verdicts] == [Answer.NAMED, Answer.UNSURE]


def test_without_references_nobody_has_a_name():
    people = join_tracks([seen(0, 0, 2, 1)], LIKENESS)
    (verdict,) = name_people(people, {}, LIKENESS)
    assert verdict.answer is Answer.UNKNOWN
    assert verdict.name is None


def test_a_film_of_a_thousand_tracks_is_joined_in_seconds():
    rng = np.random.default_rng(3)
    tracks = []
    for k in range(1000):
        noise = 0.07 * rng.normal(size=(3, 64))
        views = (FACES[k % 20] + noise).astype(np.float32)
        views /= np.linalg.norm(views, axis=1, keepdims=True)
        tracks.append(Appearance(k, 3.0 * k, 3.0 * k + 2, views, np.full(3, 0.7, np.float32)))
    started = time.process_time()
    people = join_tracks(tracks, LIKENESS)
    assert time.process_time() - started < 5
    assert len(people) == 20
    assert all({track % 20 for track in p.tracks} == {p.tracks[0] % 20} for p in people)


def acting(track, first, share):
    """Half of its looks are one expression, half another; `share` tells how alike to track 1."""
    rng = np.random.default_rng(track)
    kinds = [FACES[0], share * FACES[0] + np.sqrt(1 - share**2) * FACES[10 + track]]
    looks = [kinds[k % 2] + 0.02 * rng.normal(size=64) for k in range(8)]
    own = FACES[20 + track] if track > 1 else 0
    looks = [look if k % 4 == 0 else look + 1.6 * own for k, look in enumerate(looks)]
    vectors = np.array([look / np.linalg.norm(look) for look in looks], np.float32)
    return Appearance(track, first, first + 2, vectors, np.full(8, 0.8, np.float32))


def test_a_face_that_changes_a_great_deal_is_known_by_looks_with_one_expression():
    tracks = [acting(1, 0, 0.9), acting(2, 5, -0.5)]
    cosine = float(tracks[0].face @ tracks[1].face)
    assert LIKENESS.perhaps < cosine < LIKENESS.joins
    assert [p.tracks for p in join_tracks(tracks, LIKENESS)] == [(1, 2)]
    # Nobody is two people because a single look is like somebody else's.
    strict = replace(LIKENESS, same=0.999)
    assert [p.tracks for p in join_tracks(tracks, strict)] == [(1,), (2,)]


def dressed(appearance, colour, shared=0.0):
    """The same, in clothes of one colour; `shared` of them has the colour that all wear."""
    clothes = np.zeros(8, np.float32)
    clothes[colour] = 1 - shared
    clothes[7] = shared
    return replace(appearance, clothes=clothes)


def in_doubt():
    """Two shots whose faces may be one person, and two others with faces unlike anyone's."""
    one, other = seen(0, 0, 2, 1, likeness=1.0), seen(0, 3, 5, 2, likeness=1.0)
    doubtful = (0.35 * FACES[0] + np.sqrt(1 - 0.35**2) * FACES[9]).astype(np.float32)
    other = replace(other, embeddings=np.tile(doubtful, (2, 1)), qualities=np.full(2, 0.8))
    return one, other, seen(1, 6, 8, 3), seen(2, 6, 8, 4)


def test_clothes_that_nobody_else_wears_decide_where_faces_leave_it_in_doubt():
    one, other, third, fourth = in_doubt()
    assert len(join_tracks([one, other, third, fourth], LIKENESS)) == 4
    tracks = [dressed(one, 1), dressed(other, 1), dressed(third, 2), dressed(fourth, 3)]
    people = join_tracks(tracks, LIKENESS)
    assert [person.tracks for person in people] == [(1, 2), (3,), (4,)]
    assert people[0].confidence == pytest.approx(0.5)
    assert [person.by_clothes for person in people] == [True, False, False]


def test_clothes_say_nothing_where_others_wear_them_too_or_nobody_elses_are_known():
    one, other, third, fourth = in_doubt()
    in_suits = [dressed(track, k, 0.9) for k, track in enumerate((one, other, third, fourth))]
    assert len(join_tracks(in_suits, LIKENESS)) == 4
    assert len(join_tracks([dressed(one, 1), dressed(other, 1), dressed(third, 2)], LIKENESS)) == 3


def test_clothes_never_join_faces_that_are_unlike_or_visible_together_or_as_like_a_third():
    one, other, third, fourth = in_doubt()
    rest = [dressed(third, 2), dressed(fourth, 3)]
    unlike = dressed(seen(5, 3, 5, 2), 1)
    assert len(join_tracks([dressed(one, 1), unlike, *rest], LIKENESS)) == 4
    at_once = dressed(replace(other, first_s=1), 1)
    assert len(join_tracks([dressed(one, 1), at_once, *rest], LIKENESS)) == 4
    rival = dressed(replace(other, track=5, first_s=9, last_s=10), 4)
    rival = replace(rival, embeddings=rival.embeddings @ _turned(9, 10))
    people = join_tracks([dressed(one, 1), dressed(other, 1), *rest, rival], LIKENESS)
    assert len(people) == 5


def _turned(one, other):
    """Exchanges two people's directions, so that somebody else is just as like the first."""
    swap = np.eye(64) - np.outer(FACES[one] - FACES[other], FACES[one] - FACES[other])
    return swap.astype(np.float32)
