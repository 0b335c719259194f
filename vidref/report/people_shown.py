"""Where everyone is in the pictures of a page, for zooming: from a sidecar, or from a new analysis.

Positions are those of the upright picture in square pixels, as it is seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidref.errors import InputError
from vidref.pipeline.account import Account, PersonAccount, read_account
from vidref.pipeline.plan import Plan
from vidref.pipeline.sidecar import sidecar_path
from vidref.pipeline.trajectory import Knot, Trajectory

EVERY_S = 0.2
"""Between two told positions a face moves on a straight line: a fifth of a second is short."""


@dataclass(frozen=True)
class ShownTrack:
    """[seconds, x, y, side] of the face square at some moments, or nothing where it is not."""

    restored: bool
    why: str
    path: list[list[float]]


@dataclass(frozen=True)
class ShownPerson:
    name: str
    restored: bool
    tracks: list[ShownTrack]
    facts: list[str] = field(default_factory=list)
    """Short lines for the person's card."""


@dataclass(frozen=True)
class View:
    """The pictures of a page: from which moment of the clip's clock, how long, how turned."""

    begin_s: Fraction
    length_s: float
    turns: int


@dataclass(frozen=True)
class _Ground:
    """How source ticks become the page's seconds, and stored positions those that are seen."""

    view: View
    time_base: Fraction
    width: int
    height: int

    def seconds(self, pts: int) -> float:
        return float(pts * self.time_base - self.view.begin_s)


def people_of_account(account: Account, view: View) -> list[ShownPerson]:
    """Everyone of a sidecar who is on the page."""
    source = account.source
    width = round(source.width * Fraction(source.pixel_aspect))
    ground = _Ground(view, Fraction(source.time_base), width, source.height)
    return _present(
        ShownPerson(
            person.name,
            person.restored,
            _tracks(
                ground,
                [(t.restored, t.why, t.path) for t in account.tracks if t.person == person.id],
            ),
            _facts(person),
        )
        for person in account.people
    )


def people_of_plan(plan: Plan, view: View) -> list[ShownPerson]:
    """Everyone of a plan who is on the page; what was restored of them it does not know."""
    was = plan.source
    width = round(was.width * was.pixel_aspect)
    ground = _Ground(view, was.time_base, width, was.height)
    return _present(
        ShownPerson(
            person.name,
            person.restore,
            _tracks(ground, [(True, "", track.path) for track in plan.tracks_of(person.id)]),
        )
        for person in plan.people
    )


def _present(people: Iterable[ShownPerson]) -> list[ShownPerson]:
    return [person for person in people if person.tracks]


def account_beside(after: Path) -> Account | None:
    """The sidecar of a restored clip, where there is one that can be read."""
    try:
        return read_account(sidecar_path(after))
    except InputError:
        return None


def as_facts(people: Sequence[ShownPerson]) -> list[dict[str, Any]]:
    """For the page's script."""
    return [asdict(person) for person in people]


def _facts(person: PersonAccount) -> list[str]:
    photos = sum(reference.photo is not None for reference in person.references)
    views = len(person.references) - photos
    known = [
        f"{count} {one if count == 1 else many}"
        for count, one, many in (
            (photos, "photo", "photos"),
            (views, "view of the clip itself", "views of the clip itself"),
        )
        if count
    ]
    lines = [f"References: {' and '.join(known)}" if known else "No reference was known"]
    if person.identity is not None:
        before, after = person.identity.before, person.identity.after
        lines.append(f"Likeness to them: {before:.2f} before, {after:.2f} after")
    if person.supported is not None:
        lines.append(f"Supported by evidence: {100 * person.supported:.0f} % of the face")
    if not person.restored:
        lines.append(person.why)
    return lines


def _tracks(
    ground: _Ground, tracks: Sequence[tuple[bool, str, tuple[Knot, ...]]]
) -> list[ShownTrack]:
    shown = []
    for restored, why, path in tracks:
        trajectory = Trajectory(path)
        first, last = trajectory.first_pts, trajectory.last_pts
        begins, ends = ground.seconds(first), ground.seconds(last)
        if ends < 0 or begins > ground.view.length_s:
            continue
        count = max(2, round((ends - begins) / EVERY_S) + 1) if last > first else 1
        pts = np.unique(np.linspace(first, last, count).round().astype(np.int64))
        values = trajectory.values_at(pts)
        places = [
            [round(ground.seconds(int(at)), 3), *_seen(ground, x, y), round(float(side), 1)]
            for at, (x, y, side, _) in zip(pts, values, strict=True)
        ]
        shown.append(ShownTrack(restored, why, places))
    return shown


def _seen(ground: _Ground, x: float, y: float) -> tuple[float, float]:
    width, height = ground.width, ground.height
    for _ in range(ground.view.turns):
        x, y = y, width - 1 - x
        width, height = height, width
    return round(float(x), 1), round(float(y), 1)
