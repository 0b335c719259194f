"""What counts as a name, and whose word it is."""

from __future__ import annotations

from vidref.faces.people import Answer, Verdict
from vidref.pipeline.naming import believed


def verdict(answer: Answer, name: str | None, likeness: float) -> Verdict:
    return Verdict(answer, name, likeness, 0.5, "Why.")


def test_on_the_users_word_only_the_likeliest_doubtful_face_gets_the_name() -> None:
    given = [
        verdict(Answer.UNSURE, "anna", 0.55),
        verdict(Answer.UNSURE, "anna", 0.60),
        verdict(Answer.UNKNOWN, None, 0.2),
    ]
    answers = [found.answer for found in believed(given)]
    assert answers == [Answer.UNSURE, Answer.NAMED, Answer.UNKNOWN]
    assert "You said that anna is in the clip" in believed(given)[1].reason


def test_a_name_that_is_certain_already_is_not_given_to_a_doubtful_face() -> None:
    given = [verdict(Answer.NAMED, "anna", 0.9), verdict(Answer.UNSURE, "anna", 0.6)]
    assert believed(given) == given
