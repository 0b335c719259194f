"""Workers that are processes of this machine: a crash in one clip takes nothing else with it.

Each has a model of its own that stays warm, and sees one of the GPUs, in turn. A worker ends by
itself when whoever started it is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from vidref.fleet.pool import MakeWorker, usual_worker
from vidref.fleet.units import Died, Ended, Event, Failed, Unit

GRACE_S = 2.0
PER_GPU = 2
"""Workers that share a GPU: while one looks for faces on the CPU, the other keeps the GPU busy."""


@dataclass
class _Process:
    process: Any
    pipe: Connection
    device: int
    ticket: int | None = None


class LocalPool:
    """Up to `workers` processes, started when there is something to do."""

    def __init__(self, workers: int, gpus: int = 0, make_worker: MakeWorker = usual_worker) -> None:
        self._most, self._gpus, self._make_worker = workers, gpus, make_worker
        self._crew: list[_Process] = []
        self._started = 0

    def size(self) -> int:
        return self._most

    def free(self) -> int:
        return self._most - sum(worker.ticket is not None for worker in self._crew)

    def begin(self, ticket: int, unit: Unit) -> None:
        worker = next((w for w in self._crew if w.ticket is None and w.process.is_alive()), None)
        worker = worker or self._start()
        worker.ticket = ticket
        with suppress(OSError):  # it has died in this moment, which `wait` tells
            worker.pipe.send((ticket, unit))

    def wait(self, timeout_s: float) -> list[Event]:
        events: list[Event] = []
        if not self._crew:
            time.sleep(timeout_s)
            return events
        ready = wait([w.pipe for w in self._crew], timeout_s)
        for worker in [w for w in self._crew if w.pipe in ready]:
            events += self._told_by(worker)
        return events

    def stop(self, ticket: int) -> None:
        for worker in [w for w in self._crew if w.ticket == ticket]:
            self._end([worker])

    def close(self) -> None:
        self._end(self._crew)

    def pids(self) -> list[int]:
        """The processes that are there."""
        return [worker.process.pid for worker in self._crew]

    def _told_by(self, worker: _Process) -> list[Event]:
        events: list[Event] = []
        try:
            while worker.pipe.poll():
                event: Event = worker.pipe.recv()
                if isinstance(event, Ended | Failed):
                    worker.ticket = None
                events.append(event)
        except (EOFError, OSError):
            worker.process.join(GRACE_S)
            how = _how(worker.process.exitcode)
            if worker.ticket is not None:
                events.append(Died(worker.ticket, how))
            worker.ticket = None
            self._end([worker])
        return events

    def _start(self) -> _Process:
        taken = [worker.device for worker in self._crew]
        devices = range(self._most)
        device = next(d for d in devices if d not in taken)
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._started += 1
        gpu = device % self._gpus if self._gpus else None
        process = context.Process(
            target=_work,
            args=(theirs, f"worker {device + 1}", gpu, os.getpid(), self._make_worker),
            daemon=True,
        )
        process.start()
        theirs.close()
        worker = _Process(process, ours, device)
        self._crew.append(worker)
        return worker

    def _end(self, crew: list[_Process]) -> None:
        crew = list(crew)
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            worker.process.join(GRACE_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
            worker.process.close()
            self._crew.remove(worker)


def count_gpus() -> int:
    """How many GPUs a worker could have, without loading torch for it."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is not None:
        return len([part for part in seen.split(",") if part.strip() not in ("", "-1")])
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    said = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True, check=False)
    return sum(line.startswith("GPU ") for line in said.stdout.splitlines())


def _work(
    pipe: Connection, name: str, gpu: int | None, parent: int, make_worker: MakeWorker
) -> None:
    """The life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started it
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if gpu is not None:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = seen.split(",")[gpu] if seen else str(gpu)
    worker = make_worker(f"{name} ({os.getpid()})")
    while True:
        try:
            ticket, unit = pipe.recv()
            worker.run(ticket, unit, pipe.send)
        except (EOFError, OSError):
            return


def _end_with(parent: int) -> None:
    """A worker whose parent is gone would work for nobody."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _how(exit_code: int | None) -> str:
    if exit_code is None or exit_code >= 0:
        return f"its process ended with code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = str(-exit_code)
    hint = " (too little memory?)" if name == "SIGKILL" and sys.platform == "linux" else ""
    return f"its process was ended by {name}{hint}"
