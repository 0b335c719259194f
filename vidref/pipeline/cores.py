"""How a run shares the machine: what the model leaves to the other stages, and turns in Python."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vidref.machine import usable_cores

TURN_S = 0.0003
"""For so long a thread may keep Python to itself while another waits. The model asks for it between
thousands of short products; with Python's own 5 ms a run on two cores takes a tenth longer."""

_turns = threading.Lock()
_runs = 0
_usual_s = 0.0


def model_threads(cores: int = 0) -> int:
    """How many threads the model computes with, of so many cores (0: all): half of them.

    The other half is for reading, steadying, blending and encoding. With all of them the model
    waits for its own threads: 100 frames on two cores took 45 s with two, 34 s with one.
    """
    told = os.environ.get("OMP_NUM_THREADS", "")
    if not cores and told.isdecimal() and int(told) > 0:
        return int(told)
    return max(1, (cores or usable_cores()) // 2)


def steadying_threads(cores: int = 0) -> int:
    """How many threads average faces over time, the dearest stage beside the model: of so many
    cores (0: all) that the model leaves, a half for this and a half for all other stages."""
    return max(1, ((cores or usable_cores()) - model_threads(cores)) // 2)


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
