"""What travels between the schedule and its workers: small, picklable, and nothing else.

A clip is worked on in units. `Examine` and `Analyse` come first, then either one `Whole` (nothing
to restore, photos) or many `Make` and one `Join`. A worker tells what happens while it works, in
the words at the end of this file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vidref.media.segments import Cut
from vidref.pipeline.plan import Plan
from vidref.settings import Settings


@dataclass(frozen=True)
class Task:
    """One clip; source, output and references are paths or URLs."""

    clip: int
    source: str
    output: str
    settings: Settings
    references: str | None = None


@dataclass(frozen=True)
class Examine:
    """Can it work at all, and what determines the output?"""

    task: Task


@dataclass(frozen=True)
class Examined:
    """`known` are the circumstances of a job; None where the clip is made in one go."""

    known: dict[str, str] | None


@dataclass(frozen=True)
class Analyse:
    """Pass 1. Where `lend_to` is a folder, own views of people named by photos are kept there."""

    task: Task
    lend_to: str | None = None


@dataclass(frozen=True)
class Analysed:
    """The plan, and how the clip is cut; no cut where nothing is to be restored."""

    plan: Plan
    cut: Cut | None


@dataclass(frozen=True)
class Make:
    """Segments that follow on each other; each goes to `store` as `NUMBER.token.segment`."""

    task: Task
    plan: Plan
    cut: Cut
    numbers: range
    store: str
    token: str


@dataclass(frozen=True)
class Join:
    """All segments are there: the output."""

    task: Task
    plan: Plan
    cut: Cut
    store: str
    facts: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Whole:
    """A clip without anything to restore, a photo, a folder of frames: in one go."""

    task: Task
    plan: Plan | None = None


Unit = Examine | Analyse | Make | Join | Whole


@dataclass(frozen=True)
class Delivered:
    """What `Join` and `Whole` end with."""

    frames: int
    faces: int
    encoder: str
    sidecar: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """A segment is whole and lies in the store."""

    ticket: int
    number: int
    file: str
    facts: dict[str, Any]
    seconds: float
    worker: str


@dataclass(frozen=True)
class Ended:
    """A unit has done what it should."""

    ticket: int
    result: Examined | Analysed | Delivered | None
    seconds: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """A unit could not. `for_good`: the input's fault, which another try would not change."""

    ticket: int
    sentence: str
    detail: str = field(repr=False)
    for_good: bool


@dataclass(frozen=True)
class Died:
    """The worker is gone, and the unit with it."""

    ticket: int
    how: str


Event = Made | Ended | Failed | Died
