"""How a run shares the machine: what the model computes with, and turns in Python."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from vidref.machine import usable_cores

TURN_S = 0.0003
"""For so long a thread may keep Python to itself while another waits. The model asks for it between
thousands of short products; with Python's own 5 ms a run on two cores takes a tenth longer."""

MOST_CALLS = 8
"""Calls of a small model at a time: each takes 150 MB."""

_turns = threading.Lock()
_runs = 0
_usual_s = 0.0


class Share(NamedTuple):
    """Calls of the model that are made at a time, and threads that each computes with."""

    calls: int
    threads: int


def model_share(side_by_side: bool, cores: int = 0) -> Share:
    """What the model is given of so many cores (0: all).

    Of a small model (`side_by_side`) as many calls are made at a time, each on one core: a face
    waits for no other thread, the other stages take what core they find, and the numbers are the
    same on any count of cores. A large one fills half of the cores by itself; the other half is for
    reading, steadying, blending and encoding. OMP_NUM_THREADS, where it is set, says how many
    threads a call has.
    """
    told = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(told) if not cores and told.isdecimal() else 0
    there = cores or usable_cores()
    if not side_by_side:
        return Share(1, threads or max(1, there // 2))
    threads = threads or 1
    return Share(max(1, min(MOST_CALLS, there // threads)), threads)


def steadying_threads(cores: int = 0) -> int:
    """How many threads average faces over time, the dearest stage beside the model: a quarter of
    so many cores (0: all)."""
    return max(1, (cores or usable_cores()) // 4)


@contextmanager
def short_turns() -> Iterator[None]:
    """While any run is within this, Python's threads take short turns; then again as it was."""
    global _runs, _usual_s
    with _turns:
        if _runs == 0:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(_usual_s, TURN_S))
        _runs += 1
    try:
        yield
    finally:
        with _turns:
            _runs -= 1
            if _runs == 0:
                sys.setswitchinterval(_usual_s)
