"""What counts as a name, and whose word it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from vidref.faces.likeness import Likeness
from vidref.faces.people import Answer, Appearance, Person, Verdict
from vidref.pipeline.naming import believed, meant

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


def seen(to_anna: float, score: float) -> Person:
    """Somebody whose best look has this score, and this likeness to Anna."""
    looks = np.zeros((1, 3), np.float32)
    track = Appearance(1, 0.0, 1.0, looks, np.array([score], np.float32), None)
    return replace(person(to_anna), appearances=(track,))


def alone(who: Person, *names: str) -> list[str | None]:
    """The names given in a clip with one person, without the user's word."""
    verdict = Verdict(Answer.UNKNOWN, None, 0.5, 0.9, "Why.")
    faces = {name: FACES[name] for name in names}
    return names_of(meant([verdict], [who], faces, LIKENESS))


def test_photos_of_one_person_are_those_of_the_only_one_in_the_clip() -> None:
    assert alone(seen(0.4, 0.8), "anna") == ["anna"]
    assert alone(seen(0.05, 0.25), "anna") == ["anna"]
    assert alone(replace(seen(0.0, 0.0), face=None), "anna") == ["anna"]


def test_a_face_that_can_be_read_and_is_unlike_the_photos_is_somebody_elses() -> None:
    assert alone(seen(0.2, 0.8), "anna") == [None]
    assert alone(seen(0.2, 0.25), "anna") == ["anna"]


def test_among_several_people_or_names_only_the_face_decides() -> None:
    assert alone(seen(0.5, 0.8), "anna", "ben") == [None]
    both = [seen(0.5, 0.8), seen(0.1, 0.8)]
    verdicts = [Verdict(Answer.UNKNOWN, None, 0.5, 0.9, "Why.")] * 2
    assert meant(verdicts, both, {"anna": FACES["anna"]}, LIKENESS) == verdicts
