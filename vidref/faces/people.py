"""Who is who: the tracks of a clip joined to people, and people given the names of folders.

Two tracks that are visible at one moment are two people, whatever their faces look like. A name is
given only where the face is alike enough and clearly more alike than every other name; between
that and a clear no the verdict is "unsure", and such a person is restored from the clip alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from vidref.faces.likeness import Embedding, Likeness, mean_face

LEAST_WEIGHT = 0.02


@dataclass(frozen=True)
class Appearance:
    """A track as far as identity goes: when it was visible, and what its face looked like."""

    track: int
    first_s: float
    last_s: float
    """The first and the last moment at which the face was really seen."""
    embeddings: NDArray[np.float32]
    """A few views of it (n, d); n may be 0."""
    qualities: NDArray[np.float32]
    """The quality of those views (n,)."""

    @property
    def face(self) -> Embedding | None:
        if not len(self.embeddings):
            return None
        return mean_face(self.embeddings, view_weights(self.qualities))

    @property
    def weight(self) -> float:
        """How much this track has to say about the face: the sum over its views."""
        return float(view_weights(self.qualities).sum())


@dataclass(frozen=True)
class Person:
    """Tracks that are one person."""

    appearances: tuple[Appearance, ...]
    face: Embedding | None
    confidence: float
    """That all its tracks are one person: of the least sure joint; 1 for a single track."""

    @property
    def tracks(self) -> tuple[int, ...]:
        return tuple(sorted(appearance.track for appearance in self.appearances))


class Answer(StrEnum):
    NAMED = "named"
    UNSURE = "unsure"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Verdict:
    """Which name a person was given, if any, and why."""

    answer: Answer
    name: str | None
    """The name given, or the likeliest one where the answer is unsure."""
    likeness: float | None
    confidence: float
    """That the person is `name`."""
    reason: str


def view_weights(qualities: NDArray[np.floating]) -> NDArray[np.float64]:
    """How much each view counts in a mean face: a blurred one says little, and errs."""
    return np.maximum(np.asarray(qualities, np.float64), LEAST_WEIGHT) ** 2


def join_tracks(appearances: Sequence[Appearance], likeness: Likeness) -> list[Person]:
    """People in the order of their first appearance; the most alike are joined first."""
    people: list[Person | None] = [Person((a,), a.face, 1.0) for a in appearances]
    apart = _visible_together(appearances)
    cosines = _cosines([a.face for a in appearances])
    cosines[apart] = -np.inf
    while cosines.size:
        i, j = (int(k) for k in np.unravel_index(int(cosines.argmax()), cosines.shape))
        cosine = float(cosines[i, j])
        one, other = people[i], people[j]
        if cosine < likeness.joins or one is None or other is None:
            break
        people[i] = _joined(one, other, likeness.certainty(cosine, likeness.joins))
        people[j] = None
        apart[i] |= apart[j]
        apart[:, i] = apart[i]
        again = _cosines([None if p is None else p.face for p in people], only=i)
        again[apart[i]] = -np.inf
        cosines[i], cosines[:, i] = again, again
        cosines[j], cosines[:, j] = -np.inf, -np.inf
    found = [person for person in people if person is not None]
    return sorted(found, key=lambda person: min(a.first_s for a in person.appearances))


def name_people(
    people: Sequence[Person], named: dict[str, Embedding], likeness: Likeness
) -> list[Verdict]:
    """A verdict for each person; one name never goes to two who are visible together."""
    verdicts = [_judge(person, named, likeness) for person in people]
    order = sorted(range(len(people)), key=lambda k: -(verdicts[k].likeness or -1.0))
    for rank, k in enumerate(order):
        if verdicts[k].answer is not Answer.NAMED:
            continue
        for before in order[:rank]:
            taken = verdicts[before]
            if (
                taken.answer is Answer.NAMED
                and taken.name == verdicts[k].name
                and not _may_be_one(people[before], people[k])
            ):
                verdicts[k] = Verdict(
                    Answer.UNSURE,
                    verdicts[k].name,
                    verdicts[k].likeness,
                    min(verdicts[k].confidence, 0.5),
                    f"{taken.name} is visible at the same time and more alike.",
                )
                break
    return verdicts


def _judge(person: Person, named: dict[str, Embedding], likeness: Likeness) -> Verdict:
    if not named:
        return Verdict(Answer.UNKNOWN, None, None, 0.0, "No reference photos were given.")
    if person.face is None:
        return Verdict(Answer.UNKNOWN, None, None, 0.0, "The face was never clear enough to tell.")
    cosines = {name: float(person.face @ face) for name, face in named.items()}
    ranked = sorted(cosines, key=lambda name: -cosines[name])
    name, best = ranked[0], cosines[ranked[0]]
    certain = likeness.certainty(best, likeness.same)
    if best < likeness.doubtful:
        reason = f"Nobody in the references is alike (best {name}, {best:.2f})."
        return Verdict(Answer.UNKNOWN, None, best, 1 - certain, reason)
    lead = best - cosines[ranked[1]] if len(ranked) > 1 else np.inf
    certain = min(certain, likeness.certainty(lead, likeness.margin))
    if best < likeness.same:
        reason = f"It may be {name}, but the likeness is too small ({best:.2f})."
        return Verdict(Answer.UNSURE, name, best, certain, reason)
    if lead < likeness.margin:
        reason = f"It may be {name} ({best:.2f}), but {ranked[1]} is nearly as alike."
        return Verdict(Answer.UNSURE, name, best, certain, reason)
    return Verdict(Answer.NAMED, name, best, certain, f"The face is like {name}'s ({best:.2f}).")


def _cosines(faces: Sequence[Embedding | None], only: int | None = None) -> NDArray[np.float64]:
    """How alike all faces are (n, n), or `only` one to all (n,); -inf where one is not known."""
    if not faces:
        return np.zeros((0, 0))
    known = np.array([face is not None for face in faces])
    width = next((len(face) for face in faces if face is not None), 1)
    rows = np.stack([np.zeros(width, np.float32) if face is None else face for face in faces])
    ours = rows if only is None else rows[only : only + 1]
    cosines = (ours @ rows.T).astype(np.float64)
    cosines[:, ~known] = -np.inf
    if only is not None:
        cosines[0, only] = -np.inf
        return np.asarray(cosines[0])
    cosines[~known] = -np.inf
    np.fill_diagonal(cosines, -np.inf)
    return cosines


def _visible_together(appearances: Sequence[Appearance]) -> NDArray[np.bool_]:
    first = np.array([a.first_s for a in appearances])
    last = np.array([a.last_s for a in appearances])
    together: NDArray[np.bool_] = (first[:, None] <= last) & (first <= last[:, None])
    return together


def _may_be_one(one: Person, other: Person) -> bool:
    return not any(
        a.first_s <= b.last_s and b.first_s <= a.last_s
        for a in one.appearances
        for b in other.appearances
    )


def _joined(one: Person, other: Person, confidence: float) -> Person:
    together = (*one.appearances, *other.appearances)
    seen = [a for a in together if a.face is not None]
    face = mean_face(
        np.concatenate([a.embeddings for a in seen]),
        np.concatenate([view_weights(a.qualities) for a in seen]),
    )
    return Person(together, face, min(one.confidence, other.confidence, confidence))
