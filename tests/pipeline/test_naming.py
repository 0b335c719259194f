"""What counts as a name, and whose word it is."""

from __future__ import annotations

import math

import numpy as np

from vidref.faces.likeness import Likeness
from vidref.faces.people import Answer, Person, Verdict
from vidref.pipeline.naming import believed

LIKENESS = Likeness(
    same=0.74,
    doubtful=0.51,
    margin=0.08,
    agrees=0.31,
    joins=0.61,
    perhaps=0.48,
    closer=0.38,
    spread=0.06,
)


def person(to_anna: float, to_ben: float = 0.0) -> Person:
    """Somebody with these likenesses to Anna and to Ben."""
    rest = math.sqrt(1 - to_anna**2 - to_ben**2)
    return Person((), np.array([to_anna, to_ben, rest], np.float32), 1.0)


def named(
    people: list[Person], answers: list[tuple[Answer, str | None]], *names: str
) -> list[str | None]:
    """Who has which name, on the user's word that those with these names are there."""
    faces = {"anna": np.array([1, 0, 0], np.float32), "ben": np.array([0, 1, 0], np.float32)}
    verdicts = [Verdict(answer, name, 0.5, 0.5, "Why.") for answer, name in answers]
    found = believed(verdicts, people, {name: faces[name] for name in names}, LIKENESS)
    for before, after in zip(verdicts, found, strict=True):
        told = f"You said that {after.name} is in the clip." in after.reason
        assert told == (before.answer is not after.answer)
    return [verdict.name if verdict.answer is Answer.NAMED else None for verdict in found]


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
