"""Workers that are actors of a Ray cluster, each with a warm model on its share of a GPU or CPU.

Ray finds the machines, starts the processes and says when one is gone; what is to be done again is
the schedule's to decide, so Ray retries nothing itself. Everything that an actor tells comes
through one long poll, in order.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from vidref.errors import InputError, MissingDependencyError
from vidref.fleet.local import PER_GPU
from vidref.fleet.pool import MakeWorker, usual_worker
from vidref.fleet.units import Died, Ended, Event, Failed, Join, Make, Unit, Whole
from vidref.settings import Settings

if TYPE_CHECKING:
    from vidref.pipeline.plan import Plan

POLL_S = 10.0
"""How long an actor waits for news before it says that there are none."""
LOOK_EVERY_S = 3.0
"""How often the cluster's size is looked at: nodes come and go."""
PLANS_KEPT = 64


@dataclass(eq=False)
class _Hired:
    """An actor as the driver knows it."""

    actor: Any
    name: str
    news: Any
    is_ready: bool = False
    ticket: int | None = None


class RayPool:
    """As many actors as the cluster holds, or `workers`."""

    def __init__(
        self, address: str, workers: int, settings: Settings, make_worker: MakeWorker = usual_worker
    ) -> None:
        self._ray = ray = _connected(address)
        self._asked, self._make_worker = workers, make_worker
        self._cpus = settings.threads or 1
        wants_gpu = settings.model.device in ("auto", "cuda")
        has_gpu = wants_gpu and ray.cluster_resources().get("GPU", 0) > 0
        self._gpus = 1 / PER_GPU if has_gpu else 0.0
        self._class = ray.remote(
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=2,
            scheduling_strategy="SPREAD",
        )(_Actor)
        self._crew: list[_Hired] = []
        self._hired = 0
        self._plans: dict[int, tuple[Plan, Any]] = {}
        self._looked = 0.0
        self._grow()

    def size(self) -> int:
        return max(1, sum(worker.is_ready for worker in self._crew))

    def free(self) -> int:
        return sum(worker.is_ready and worker.ticket is None for worker in self._crew)

    def begin(self, ticket: int, unit: Unit) -> None:
        worker = next(w for w in self._crew if w.is_ready and w.ticket is None)
        worker.ticket = ticket
        worker.actor.run.remote(ticket, *self._light(unit))

    def wait(self, timeout_s: float) -> list[Event]:
        self._grow()
        if not self._crew:
            time.sleep(timeout_s)
            return []
        polls = {worker.news: worker for worker in self._crew}
        ready, _ = self._ray.wait(list(polls), num_returns=len(polls), timeout=0)
        if not ready:
            ready, _ = self._ray.wait(list(polls), num_returns=1, timeout=timeout_s)
        return [event for ref in ready for event in self._told_by(polls[ref])]

    def stop(self, ticket: int) -> None:
        for worker in [w for w in self._crew if w.ticket == ticket]:
            self._dismiss(worker)

    def close(self) -> None:
        for worker in list(self._crew):
            self._dismiss(worker)
        self._ray.shutdown()

    def _told_by(self, worker: _Hired) -> list[Event]:
        try:
            events: list[Event] = self._ray.get(worker.news)
        except self._ray.exceptions.RayError as error:
            self._crew.remove(worker)
            self._looked = 0.0  # what the cluster can hold may have changed
            if worker.ticket is None:
                return []
            return [Died(worker.ticket, f"{worker.name} is gone ({_kind(error)})")]
        worker.is_ready = True
        worker.news = worker.actor.news.remote()
        if any(isinstance(event, Ended | Failed) for event in events):
            worker.ticket = None
        return events

    def _grow(self) -> None:
        """Hire what the cluster has room for; those who found no room in it are not waited for."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        wanted = self._asked or self._room()
        for worker in [w for w in self._crew if not w.is_ready][: max(0, len(self._crew) - wanted)]:
            self._dismiss(worker)
        while len(self._crew) < wanted:
            self._hired += 1
            name = f"worker {self._hired}"
            actor = self._class.remote(name, self._make_worker)
            self._crew.append(_Hired(actor, name, actor.news.remote(0.0)))

    def _room(self) -> int:
        """How many workers fit on each node that lives, added up."""
        room = 0
        for node in self._ray.nodes():
            if not node["Alive"]:
                continue
            has = node["Resources"]
            fit = has.get("CPU", 0) / self._cpus
            if self._gpus:
                fit = min(fit, has.get("GPU", 0) / self._gpus)
            room += int(fit)
        return max(1, room)

    def _dismiss(self, worker: _Hired) -> None:
        self._crew.remove(worker)
        self._ray.kill(worker.actor)

    def _light(self, unit: Unit) -> tuple[Unit, Any]:
        """The unit without its plan, which goes to the object store once for all its segments."""
        if not isinstance(unit, Make | Join | Whole) or unit.plan is None:
            return unit, None
        clip = unit.task.clip
        if clip not in self._plans or self._plans[clip][0] is not unit.plan:
            self._plans[clip] = unit.plan, self._ray.put(unit.plan)
            while len(self._plans) > PLANS_KEPT:
                del self._plans[next(iter(self._plans))]
        return replace(unit, plan=cast("Plan", None)), self._plans[clip][1]


class _Actor:
    """A worker's process on some node; one thread works, the other answers polls."""

    def __init__(self, name: str, make_worker: MakeWorker) -> None:
        who = f"{name} ({platform.node()}:{os.getpid()})"
        self._worker = make_worker(who)
        self._told: list[Event] = []
        self._changed = threading.Condition()

    def run(self, ticket: int, unit: Unit, plan: Plan | None) -> None:
        if plan is not None and isinstance(unit, Make | Join | Whole):
            unit = replace(unit, plan=plan)
        self._worker.run(ticket, unit, self._tell)

    def news(self, wait_s: float = POLL_S) -> list[Event]:
        """Everything since the last call, as soon as there is anything."""
        with self._changed:
            self._changed.wait_for(lambda: self._told, wait_s)
            told, self._told = self._told, []
        return told

    def _tell(self, event: Event) -> None:
        with self._changed:
            self._told.append(event)
            self._changed.notify_all()


def _connected(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(
            "--engine ray needs Ray: pip install 'vidref[ray]', or leave --engine out."
        ) from error
    connect: Callable[..., Any] = ray.init
    where = None if address == "local" else address
    try:
        connect(
            address=where,
            log_to_driver=False,
            logging_level=logging.ERROR,
            ignore_reinit_error=True,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"There is no Ray cluster at {address!r}: start one with `ray start --head`, or give "
            "--address local for this machine alone."
        ) from error
    return ray


def _kind(error: BaseException) -> str:
    """`ActorDiedError`, `NodeDiedError`: Ray's own text is a page long."""
    return type(error).__name__
