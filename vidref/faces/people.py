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

from vidref.faces.clothes import ALIKE, TOLD_APART, Clothes, clothes_alike
from vidref.faces.likeness import Embedding, Likeness, mean_face

LEAST_WEIGHT = 0.02
ENOUGH_LOOKS, AGREEING = 5, 0.03
"""Of tracks whose means are in doubt, this share of the pairs of looks must reach the limit for a
name (0.74). Measured: strangers of split dev (133,585 pairs) reach 0.67, in even worse light 0.70;
a woman acting joy and rage, 0.50 to 0.61 by her means, has 0.74 to 0.81."""
LEAST_YES = 0.5
"""Confidence of a joint that rests on more than the mean faces."""
OTHERS_DRESSED = 2
"""Others of the clip whose clothes must be known before anybody's say something: where all wear
dark suits, as in a parliament, clothes say nothing."""
_EMPTY: NDArray[np.float32] = np.zeros((0, 1), np.float32)


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
    clothes: Clothes | None = None
    """What is worn below it; None where that was not asked, or is not in the picture."""

    @property
    def face(self) -> Embedding | None:
        if not len(self.embeddings):
            return None
        return mean_face(self.embeddings, view_weights(self.qualities))


@dataclass(frozen=True)
class Person:
    """Tracks that are one person."""

    appearances: tuple[Appearance, ...]
    face: Embedding | None
    confidence: float
    """That all its tracks are one person: of the least sure joint; 1 for a single track."""
    by_clothes: bool = False
    """Some were joined because their faces may be one person's and their clothes are."""

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
    """People in the order of their first appearance; the most alike are joined first.

    Each step joins the two most alike of all that may be one, then compares their mean face anew.
    Where the means leave it in doubt, looks of both that are surely one person count as a yes, and
    so, in the end, do clothes that nobody else wears.
    """
    people = _joined_by_face(appearances, likeness)
    while (pair := _dressed_alike(people, likeness)) is not None:
        one, other = pair
        both = (*one.appearances, *other.appearances)
        sums = np.sum([_evidence(a, appearances) for a in both], axis=0)
        sure = min(one.confidence, other.confidence, LEAST_YES)
        joined = Person(both, _unit(sums), sure, by_clothes=True)
        people = [joined if p is one else p for p in people if p is not other]
    return sorted(people, key=lambda person: min(a.first_s for a in person.appearances))


def faces_in_doubt(
    people: Sequence[Person], likeness: Likeness, least: float, lead: float = -np.inf
) -> list[tuple[Person, Person]]:
    """Pairs who may be one person: at least so alike, and each other's likeliest by this lead.

    Everyone counts as a rival, also who is visible at the same time: where a stranger is as alike,
    being alike says little.
    """
    known = [person for person in people if person.face is not None]
    if len(known) < 2:
        return []
    faces = np.stack([person.face for person in known if person.face is not None])
    cosines = faces @ faces.T
    np.fill_diagonal(cosines, -1.0)
    found = []
    for i, j in np.argwhere(np.triu((cosines >= least) & (cosines < likeness.joins), 1)):
        rivals = max(np.delete(cosines[i], j).max(), np.delete(cosines[j], i).max(), -1.0)
        if cosines[i, j] >= rivals + lead and may_be_one(known[i], known[j]):
            found.append((float(cosines[i, j]), known[i], known[j]))
    return [(one, other) for _, one, other in sorted(found, key=lambda item: -item[0])]


def _dressed_alike(people: Sequence[Person], likeness: Likeness) -> tuple[Person, Person] | None:
    """Two whose faces leave it in doubt, and whose clothes are alike and nobody else's are."""
    for one, other in faces_in_doubt(people, likeness, likeness.perhaps, likeness.margin):
        alike = _clothes_alike(one, other)
        others = [
            rival
            for person in people
            if person is not one and person is not other
            for mine in (one, other)
            if (rival := _clothes_alike(mine, person)) is not None
        ]
        if alike is None or alike < ALIKE or len(others) < 2 * OTHERS_DRESSED:
            continue
        if max(others) <= alike - TOLD_APART:
            return one, other
    return None


def _clothes_alike(one: Person, other: Person) -> float | None:
    """As they are dressed in the two shots in which they are dressed most alike."""
    return max(
        (
            clothes_alike(a.clothes, b.clothes)
            for a in one.appearances
            for b in other.appearances
            if a.clothes is not None and b.clothes is not None
        ),
        default=None,
    )


def _joined_by_face(appearances: Sequence[Appearance], likeness: Likeness) -> list[Person]:
    groups = [[appearance] for appearance in appearances]
    sums = np.stack([_evidence(a, appearances) for a in appearances]) if appearances else _EMPTY
    sure = np.ones(len(groups))
    apart = _visible_together(appearances)
    unknown: NDArray[np.bool_] = np.linalg.norm(sums, axis=1) == 0
    cosines = _unit(sums) @ _unit(sums).T
    agreed = _looks_agree(appearances, cosines, likeness)
    _believe(cosines, agreed, likeness)
    cosines[apart | unknown | unknown[:, None]] = -np.inf
    nearest = cosines.argmax(axis=1) if groups else np.zeros(0, int)
    rows = np.arange(len(groups))
    while groups:
        i = int(cosines[rows, nearest].argmax())
        j = int(nearest[i])
        cosine = float(cosines[i, j])
        if cosine < likeness.joins:
            break
        groups[i] += groups[j]
        groups[j] = []
        sums[i] += sums[j]
        sums[j] = 0
        sure[i] = min(sure[i], sure[j], likeness.certainty(cosine, likeness.joins))
        apart[i] |= apart[j]
        apart[:, i] = apart[i]
        unknown[j] = True
        cosines[j], cosines[:, j] = -np.inf, -np.inf
        agreed[i] |= agreed[j]
        agreed[:, i] = agreed[i]
        again = _unit(sums) @ _unit(sums[i])
        _believe(again, agreed[i], likeness)
        again[apart[i] | unknown] = -np.inf
        cosines[i], cosines[:, i] = again, again
        stale = (nearest == i) | (nearest == j) | (rows == i)
        nearest[stale] = cosines[stale].argmax(axis=1)
        nearest[again > cosines[rows, nearest]] = i
    return [
        Person(tuple(group), _unit(sums[k]) if sums[k].any() else None, float(sure[k]))
        for k, group in enumerate(groups)
        if group
    ]


def _looks_agree(
    appearances: Sequence[Appearance], cosines: NDArray[np.float32], likeness: Likeness
) -> NDArray[np.bool_]:
    """Pairs of tracks of which a look at one is surely the person in a look at the other.

    A face that changes a great deal has a mean that says little; two looks with one expression say
    a lot. One pair in thirty must agree, so that no single one decides.
    """
    agreed = np.zeros(cosines.shape, bool)
    enough = np.array([len(a.embeddings) >= ENOUGH_LOOKS for a in appearances], bool)
    doubtful = (cosines >= likeness.perhaps) & (cosines < likeness.joins)
    for i, j in np.argwhere(np.triu(doubtful & enough & enough[:, None], 1)):
        pairs = appearances[i].embeddings @ appearances[j].embeddings.T
        agreed[i, j] = agreed[j, i] = np.quantile(pairs, 1 - AGREEING) >= likeness.same
    return agreed


def _believe(cosines: NDArray[np.float32], agreed: NDArray[np.bool_], likeness: Likeness) -> None:
    """Where looks agree, a doubt is taken for the least yes."""
    yes = np.nextafter(np.float32(likeness.joins), np.float32(1))
    cosines[agreed & (cosines >= likeness.perhaps) & (cosines < likeness.joins)] = yes


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
                and not may_be_one(people[before], people[k])
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


def _evidence(appearance: Appearance, others: Sequence[Appearance]) -> Embedding:
    """The weighted sum of a track's views; zero where there is none."""
    if not len(appearance.embeddings):
        width = max(other.embeddings.shape[-1] for other in others)
        return np.zeros(width, np.float32)
    weights = view_weights(appearance.qualities).astype(np.float32)
    return np.asarray(weights @ appearance.embeddings, np.float32)


def _unit(sums: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(sums, axis=-1, keepdims=True)
    return np.asarray(sums / np.maximum(lengths, 1e-12), np.float32)


def _visible_together(appearances: Sequence[Appearance]) -> NDArray[np.bool_]:
    first = np.array([a.first_s for a in appearances])
    last = np.array([a.last_s for a in appearances])
    together: NDArray[np.bool_] = (first[:, None] <= last) & (first <= last[:, None])
    return together


def may_be_one(one: Person, other: Person) -> bool:
    """Are they never visible together?"""
    return not any(
        a.first_s <= b.last_s and b.first_s <= a.last_s
        for a in one.appearances
        for b in other.appearances
    )
