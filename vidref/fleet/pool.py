"""What the schedule asks of whoever provides workers: processes here, or actors of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vidref.fleet.units import Event, Unit


class Works(Protocol):
    """What sits in a worker's process."""

    def run(self, ticket: int, unit: Unit, tell: Callable[[Event], None]) -> None:
        """Do a unit; whatever happens is told, and nothing is raised."""


MakeWorker = Callable[[str], Works]
"""From a worker's name; called in its own process, so it must be found there by import."""


def usual_worker(name: str) -> Works:
    """The one that restores."""
    from vidref.fleet.work import Worker

    return Worker(name)


class Pool(Protocol):
    """Some workers, each doing one unit at a time."""

    def size(self) -> int:
        """How many workers there are or may be."""

    def free(self) -> int:
        """How many units could begin now."""

    def begin(self, ticket: int, unit: Unit) -> None:
        """Give a unit to a free worker; `ticket` is its name in all events."""

    def wait(self, timeout_s: float) -> list[Event]:
        """What has happened, after at most so long."""

    def stop(self, ticket: int) -> None:
        """End the worker of this unit, if it still runs; nothing more is told of it."""

    def close(self) -> None:
        """End all workers."""
