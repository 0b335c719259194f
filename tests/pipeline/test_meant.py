"""Whose the photos are where no face says so by itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from vidref.faces.likeness import Likeness
from vidref.faces.people import Answer, Appearance, Person, Verdict
from vidref.pipeline.meant import believed, meant

LIKENESS = Likeness(
    same=0.74,
    doubtful=0.51,
    margin=0.08,
    agrees=0.31,
    leads=0.2,
    joins=0.61,
    perhaps=0.48,
    closer=0.38,
    spread=0.06,
)


def person(to_anna: float, to_ben: float = 0.0) -> Person:
    """Somebody with these likenesses to Anna and to Ben."""
    rest = math.sqrt(1 - to_anna**2 - to_ben**2)
    return Person((), np.array([to_anna, to_ben, rest], np.float32), 1.0)


FACES = {"anna": np.array([1, 0, 0], np.float32), "ben": np.array([0, 1, 0], np.float32)}


def named(
    people: list[Person], answers: list[tuple[Answer, str | None]], *names: str
) -> list[str | None]:
    """Who has which name, on the user's word that those with these names are there."""
    verdicts = [Verdict(answer, name, 0.5, 0.9, "Why.") for answer, name in answers]
    found = believed(verdicts, people, {name: FACES[name] for name in names}, LIKENESS)
    for before, after in zip(verdicts, found, strict=True):
        told = f"you said that {after.name} is in the clip: the photos are used." in after.reason
        assert told == (before.answer is not after.answer)
        assert not told or after.confidence < 0.5
    return names_of(found)


def names_of(verdicts: list[Verdict]) -> list[str | None]:
    return [verdict.name if verdict.answer is Answer.NAMED else None for verdict in verdicts]


UNKNOWN, UNSURE = (Answer.UNKNOWN, None), (Answer.UNSURE, "anna")


def test_on_the_users_word_only_the_likeliest_doubtful_face_gets_the_name() -> None:
    people = [person(0.55), person(0.60), person(0.2)]
    assert named(people, [UNSURE, UNSURE, UNKNOWN], "anna") == [None, "anna", None]


def test_a_face_that_was_refused_gets_the_name_if_it_is_likelier_than_a_stranger() -> None:
    assert named([person(0.42), person(0.1)], [UNKNOWN] * 2, "anna") == ["anna", None]
    assert named([person(0.35), person(0.1)], [UNKNOWN] * 2, "anna") == [None, None]


def test_who_is_alone_in_clip_and_photos_is_the_one_who_is_meant() -> None:
    assert named([person(0.1)], [UNKNOWN], "anna") == ["anna"]
    assert named([Person((), None, 1.0)], [UNKNOWN], "anna") == ["anna"]
    assert named([person(0.1)], [UNKNOWN], "anna", "ben") == [None]


def test_each_name_goes_to_one_and_each_face_has_one() -> None:
    people = [person(0.60, 0.55), person(0.50, 0.1)]
    assert named(people, [UNSURE, UNKNOWN], "anna", "ben") == ["anna", None]
    people = [person(0.60, 0.55), person(0.1, 0.45)]
    assert named(people, [UNSURE, UNKNOWN], "anna", "ben") == ["anna", "ben"]


def test_a_name_that_is_certain_already_is_not_given_to_a_doubtful_face() -> None:
    people = [person(0.9), person(0.6)]
    assert named(people, [(Answer.NAMED, "anna"), UNSURE], "anna") == ["anna", None]


def seen(to_anna: float, score: float, to_ben: float = 0.0, at_s: float = 0.0) -> Person:
    """Somebody on screen for a second, whose best look has this score, and these likenesses."""
    looks = np.zeros((1, 3), np.float32)
    track = Appearance(1, at_s, at_s + 1, looks, np.array([score], np.float32), None)
    return replace(person(to_anna, to_ben), appearances=(track,))


def given(people: list[Person], *names: str) -> list[str | None]:
    """The names given without the user's word, where the faces alone gave none."""
    verdicts = [Verdict(Answer.UNKNOWN, None, 0.5, 0.9, "Why.")] * len(people)
    return names_of(meant(verdicts, people, {name: FACES[name] for name in names}, LIKENESS))


def test_photos_of_one_person_are_those_of_the_only_one_in_the_clip() -> None:
    assert given([seen(0.4, 0.8)], "anna") == ["anna"]
    assert given([seen(0.05, 0.25)], "anna") == ["anna"]
    assert given([replace(seen(0.0, 0.0), face=None)], "anna") == ["anna"]


def test_a_face_that_can_be_read_and_is_unlike_the_photos_is_somebody_elses() -> None:
    assert given([seen(0.2, 0.8)], "anna") == [None]
    assert given([seen(0.2, 0.25)], "anna") == ["anna"]


def test_among_several_people_the_photos_are_of_whoever_leads() -> None:
    assert given([seen(0.5, 0.2), seen(0.1, 0.2)], "anna") == ["anna", None]
    assert given([seen(0.5, 0.2), seen(0.35, 0.2)], "anna") == [None, None]


def test_a_face_that_leads_must_agree_with_the_photos_too() -> None:
    assert given([seen(0.3, 0.2), seen(-0.2, 0.2)], "anna") == [None, None]


def test_among_several_a_face_that_can_be_read_must_at_least_be_in_doubt() -> None:
    assert given([seen(0.45, 0.2), seen(0.0, 0.8)], "anna") == ["anna", None]
    assert given([seen(0.45, 0.8), seen(0.0, 0.8)], "anna") == [None, None]
    assert given([seen(0.55, 0.8), seen(0.0, 0.8)], "anna") == ["anna", None]


def test_among_several_names_a_face_is_whom_it_is_clearly_most_like() -> None:
    both = [seen(0.5, 0.2, to_ben=0.4), seen(0.0, 0.2, to_ben=0.1)]
    assert given(both, "anna", "ben") == [None, None]
    both = [seen(0.5, 0.2, to_ben=0.1), seen(0.0, 0.2, to_ben=0.45)]
    assert given(both, "anna", "ben") == ["anna", "ben"]


def test_somebody_who_is_not_there_takes_nobodys_place() -> None:
    """That Anna was found says nothing of the other one: it is Ben only if he is like Ben."""
    both = [seen(0.6, 0.2, to_ben=0.1), seen(0.1, 0.2, to_ben=0.25)]
    assert given(both, "anna", "ben") == ["anna", None]


def test_of_more_names_than_people_none_is_meant() -> None:
    """Whoever hands the whole office's photos to every clip does not say who is in this one."""
    assert given([seen(0.5, 0.2)], "anna", "ben") == [None]


def test_shots_that_may_be_of_one_person_are_no_rivals() -> None:
    shots = [seen(0.5, 0.2), seen(0.45, 0.2, at_s=5)]
    assert shots[0].face is not None and shots[1].face is not None
    assert shots[0].face @ shots[1].face > LIKENESS.perhaps
    assert given(shots, "anna") == ["anna", "anna"]
    assert given([*shots, seen(0.1, 0.2, to_ben=0.9, at_s=5)], "anna") == ["anna", "anna", None]


def test_two_who_are_on_screen_together_are_rivals_however_alike() -> None:
    assert given([seen(0.5, 0.2), seen(0.45, 0.2)], "anna") == [None, None]


def test_a_name_that_the_face_gave_is_kept_and_counts_as_a_rival() -> None:
    people = [seen(0.9, 0.8), seen(0.5, 0.2)]
    verdicts = [
        Verdict(Answer.NAMED, "anna", 0.9, 0.9, "Why."),
        Verdict(Answer.UNSURE, "anna", 0.5, 0.4, "Why."),
    ]
    assert meant(verdicts, people, {"anna": FACES["anna"]}, LIKENESS) == verdicts
