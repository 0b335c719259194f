"""Keeps a process at its own priority while an encoder opens.

SVT-AV1 makes the thread that opens it, and all of its own, real-time threads wherever it may (as
root, so in most containers): nothing else on the machine would get a turn before they are done.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

TASKS = Path("/proc/self/task")


@contextlib.contextmanager
def own_scheduling() -> Iterator[None]:
    """Threads that the body makes real-time are given this thread's way of sharing back."""
    if not TASKS.is_dir():
        yield  # Only Linux lists threads so, and only there does the encoder do this.
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    known = _policies()
    try:
        yield
    finally:
        for thread, found in _policies().items():
            if found != policy and known.get(thread) != found:
                with contextlib.suppress(OSError):  # It has ended, or may not be told.
                    os.sched_setscheduler(thread, policy, parameters)


def _policies() -> dict[int, int]:
    policies = {}
    for task in TASKS.iterdir():
        with contextlib.suppress(OSError):
            policies[int(task.name)] = os.sched_getscheduler(int(task.name))
    return policies
