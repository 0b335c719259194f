"""Faces of one shot that were taken for one another while they hid each other, put right.

While a shot runs, a face that comes out from behind another is given to whoever was expected there.
Once the shot is over more is known: how everyone looked before and after. Each path is taken apart
where its face was out of sight or became unlike itself. A piece goes on in another path where it
is clearly more at home there; all others stay as they were.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import numpy as np
from numpy.typing import NDArray

from vidref.faces.followed import Followed
from vidref.faces.paths import Appearance, Shot, Sighting

HIDDEN_S = 0.2
"""A face that was missed for longer may have come back as somebody else."""
REACH_S = 3.0
"""How long after one piece another may begin that goes on with it."""
CHANGED = 0.55
"""Cosine of what came before and after, below which a face has become unlike itself."""
LEAST_LOOKS = 2
"""Looks on either side of a change: a single one may be a hand before the face."""
CLAIMS = 0.6
"""Cosine from which a piece may go on in another path. Looks at one face in one shot are far more
alike than photographs of one person taken at different times."""
CLEARLY = 0.25
"""How much more alike than what a piece follows now, and than what follows the other one now."""
POSSIBLE = 0.3
"""Cosine from which what came before and after a change may yet be one face."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Path:
    """A face through a shot, as far as it was seen."""

    id: int
    sightings: list[Sighting]
    missed: set[int]
    appearances: tuple[Appearance, ...]
    parts: tuple[int, ...]
    """Ids that pieces of it had while it was followed."""


@dataclass(frozen=True)
class Piece:
    """A part of a face's path."""

    path: int
    sightings: list[Sighting]
    looks: list[Appearance]

    @property
    def first(self) -> int:
        return self.sightings[0].index

    @property
    def last(self) -> int:
        return self.sightings[-1].index


def put_right(
    faces: Sequence[tuple[Followed, tuple[int, ...]]], shot: Shot, new_id: Callable[[], int]
) -> list[Path]:
    """The shot's paths; `faces` come with the ids of the pieces that were put into them."""
    pieces = [p for number, (face, _) in enumerate(faces) for p in _pieces(number, face, shot)]
    links = _links(pieces, shot)
    begun = set(links.values())
    taken: set[int] = set()
    paths = []
    for start in sorted(set(range(len(pieces))) - begun, key=lambda k: pieces[k].first):
        chain = [start]
        while chain[-1] in links:
            chain.append(links[chain[-1]])
        own = [pieces[k].path for k in chain]
        id = faces[own[0]][0].id
        id = new_id() if id in taken else id
        taken.add(id)
        parts = {part for number in own for part in (faces[number][0].id, *faces[number][1])}
        sightings = [s for k in chain for s in pieces[k].sightings]
        looks = tuple(look for k in chain for look in pieces[k].looks)
        missed = _missed([pieces[k] for k in chain], faces) - {s.index for s in sightings}
        paths.append(Path(id, sightings, missed, looks, tuple(sorted(parts - {id}))))
    return paths


def _missed(chain: Sequence[Piece], faces: Sequence[tuple[Followed, tuple[int, ...]]]) -> set[int]:
    """Where a path was looked for in vain: so it was between pieces of two paths."""
    missed: set[int] = set()
    for piece, after in zip_longest(chain, chain[1:]):
        end = piece.last + 1 if after is None else after.first
        if after is not None and after.path != piece.path:
            missed.update(range(piece.last + 1, end))
        missed |= {i for i in faces[piece.path][0].missed if piece.first <= i < end}
    return missed


def _links(pieces: Sequence[Piece], shot: Shot) -> dict[int, int]:
    """The number of the piece that goes on with each piece, if any does."""
    goes_on = {k: k + 1 for k in range(len(pieces) - 1) if pieces[k].path == pieces[k + 1].path}
    means = [_mean(piece.looks) for piece in pieces]
    own = {k: _alike(means[k], means[after]) for k, after in goes_on.items()}
    follows = {after: k for k, after in goes_on.items()}
    rivals: list[tuple[float, int, int]] = []
    by_start = sorted(range(len(pieces)), key=lambda k: pieces[k].first)
    starts = [pieces[k].first for k in by_start]
    for before, piece in enumerate(pieces):
        for after in by_start[bisect_right(starts, piece.last) :]:
            if _time(shot, pieces[after].first) - _time(shot, piece.last) > REACH_S:
                break
            alike = _alike(means[before], means[after])
            if alike >= CLAIMS and piece.path != pieces[after].path:
                rivals.append((alike, before, after))
    for alike, before, after in sorted(rivals, reverse=True):
        there, here = goes_on.get(before), follows.get(after)
        now = [own[k] for k in (before, here) if k in own]
        if now and alike < max(now) + CLEARLY:
            continue
        # What lies between the two and may be the same face comes along: half of it, coming out.
        while (
            here is not None and own[here] >= POSSIBLE and pieces[here].first > pieces[before].last
        ):
            after, here = here, follows.get(here)
        while (
            there is not None
            and own[before] >= POSSIBLE
            and pieces[there].last < pieces[after].first
        ):
            before, there = there, goes_on.get(there)
        if there is not None:
            del goes_on[before], follows[there], own[before]
        if here is not None:
            del goes_on[here], own[here]
        goes_on[before], follows[after], own[before] = after, before, alike
    return goes_on


def _pieces(number: int, face: Followed, shot: Shot) -> list[Piece]:
    """A face's path, cut where it was out of sight and where it became unlike itself."""
    cuts = {
        after.index
        for before, after in pairwise(face.sightings)
        if _time(shot, after.index) - _time(shot, before.index) > HIDDEN_S
        and any(index in face.missed for index in range(before.index + 1, after.index))
    }
    looks = sorted(face.appearances, key=lambda look: look.index)
    cuts |= {looks[k].index for k in _changes(np.array([look.vector for look in looks]))}
    pieces = [Piece(number, [], [])]
    left = list(looks)
    for sighting in face.sightings:
        if sighting.index in cuts and pieces[-1].looks and left:
            pieces.append(Piece(number, [], []))
        pieces[-1].sightings.append(sighting)
        while left and left[0].index <= sighting.index:
            pieces[-1].looks.append(left.pop(0))
    pieces[-1].looks.extend(left)
    return pieces


def _changes(vectors: Vector, first: int = 0) -> list[int]:
    """Numbers of the looks with which a face becomes unlike itself."""
    count = len(vectors)
    if count < 2 * LEAST_LOOKS:
        return []
    before = np.cumsum(vectors, 0, dtype=np.float64)
    ends = np.arange(LEAST_LOOKS, count - LEAST_LOOKS + 1)
    one, other = before[ends - 1], before[-1] - before[ends - 1]
    cosines = (_unit(one) * _unit(other)).sum(1)
    best = int(((1 - cosines) * ends * (count - ends)).argmax())
    if cosines[best] >= CHANGED:
        return []
    end = int(ends[best])
    halves = _changes(vectors[:end], first), _changes(vectors[end:], first + end)
    return [*halves[0], first + end, *halves[1]]


def _mean(looks: Sequence[Appearance]) -> Vector | None:
    if not looks:
        return None
    return _unit(np.sum([look.vector for look in looks], axis=0, dtype=np.float64))


def _alike(one: Vector | None, other: Vector | None) -> float:
    return -1.0 if one is None or other is None else float(one @ other)


def _unit(vectors: Vector) -> Vector:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: Vector = vectors / np.maximum(lengths, 1e-12)
    return result


def _time(shot: Shot, index: int) -> float:
    return shot.times_s[index - shot.first]
