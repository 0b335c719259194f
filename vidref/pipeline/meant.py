"""Whose the photos are where no face says so by itself.

Whoever gives photos with a clip gives them of people in it. Then the question is not who this is,
of everybody there is, which a damaged face seldom answers (of 25 moderately degraded ones the
recogniser was sure of none), but which of those here it is, and that is far less to ask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidref.faces.likeness import Embedding, Likeness, legible
from vidref.faces.people import Answer, Person, Verdict, may_be_one


def meant(
    verdicts: Sequence[Verdict],
    people: Sequence[Person],
    faces: dict[str, Embedding],
    likeness: Likeness,
) -> list[Verdict]:
    """Names for whoever the photos can only be of.

    Photos of one person, given for a clip in which there is one, are of that one, unless the face
    can be read and is unlike them. Among several, a face that agrees with the photos (one that can
    be read, so that by itself it is in doubt) has to lead: before everybody else in the clip, and
    before everybody else's photos. Of more names than there are people some are not there, and
    perhaps none is: then only the face decides.
    """
    result = list(verdicts)
    if not 0 < len(faces) <= len(people):
        return result
    names, group = list(faces), perhaps_one(people, likeness)
    if len(names) > len(set(group)):
        return result
    alike = np.array([[_alike(person, faces[name]) for person in people] for name in names])
    alone = len(names) == 1 and len(set(group)) == 1
    for k, person in enumerate(people):
        if verdicts[k].answer is Answer.NAMED:
            continue
        i = int(alike[:, k].argmax())
        cosine = float(alike[i, k])
        scores = [score for seen in person.appearances for score in seen.qualities]
        read = legible(max(scores, default=0.0))
        if alone:
            given = person.face is None or cosine >= read * likeness.agrees
            why = f"{names[i]} is the only one in the photos, and nobody else is in the clip"
        else:
            others = [*alike[i, group != group[k]], *np.delete(alike[:, k], i)]
            least = likeness.agrees + read * (likeness.doubtful - likeness.agrees)
            given = cosine >= max(least, max(others) + likeness.leads)
            why = f"of those in the clip nobody else is nearly as like {names[i]}"
        if given:
            result[k] = _named(verdicts[k], names[i], cosine, why, likeness)
    return result


def perhaps_one(people: Sequence[Person], likeness: Likeness) -> NDArray[np.int64]:
    """A number for each; those who share theirs may be one person in several shots.

    They are too little alike to be taken for one, and so alike that one does not count against the
    other where photos are to be given to either.
    """
    group = np.arange(len(people))
    alike = [
        (cosine, i, j)
        for i, one in enumerate(people)
        for j, other in enumerate(people[:i])
        if other.face is not None and (cosine := _alike(one, other.face)) >= likeness.perhaps
    ]
    for _, i, j in sorted(alike, reverse=True):
        mine, theirs = (
            [person for person, number in zip(people, group, strict=True) if number == group[k]]
            for k in (i, j)
        )
        if all(may_be_one(a, b) for a in mine for b in theirs):
            group[group == group[i]] = group[j]
    return group


def believed(
    verdicts: Sequence[Verdict],
    people: Sequence[Person],
    faces: dict[str, Embedding],
    likeness: Likeness,
) -> list[Verdict]:
    """On the user's word that those in the photos are there: a name that nobody has goes to whoever
    is likeliest.

    Of several people he must be more alike than one stranger in a hundred is. Who is alone in the
    clip, and in the photos, is the one who is meant, however little is left of the face.
    """
    result = list(verdicts)
    alone = len(people) == len(faces) == 1
    taken = {verdict.name for verdict in verdicts if verdict.answer is Answer.NAMED}
    nameless = [k for k, verdict in enumerate(verdicts) if verdict.answer is not Answer.NAMED]
    pairs = [(_alike(people[k], face), k, name) for k in nameless for name, face in faces.items()]
    for alike, k, name in sorted(pairs, reverse=True):
        if name in taken or result[k].answer is Answer.NAMED:
            continue
        if alone or alike >= likeness.closer:
            taken.add(name)
            why = f"you said that {name} is in the clip"
            result[k] = _named(verdicts[k], name, alike, why, likeness)
    return result


def _alike(person: Person, face: Embedding) -> float:
    return -1.0 if person.face is None else float(person.face @ face)


def _named(verdict: Verdict, name: str, alike: float, why: str, likeness: Likeness) -> Verdict:
    """A name that the face alone did not give: sure of it is only whoever gave the photos."""
    return Verdict(
        Answer.NAMED,
        name,
        alike,
        likeness.certainty(alike, likeness.same),
        f"{verdict.reason.rstrip('.')}; {why}: the photos are used.",
    )
