"""vidref with each stage kept to a core: python -m tests.benchmarks.pinned CORES MODULE ARGUMENTS

Some kernels put all threads of a run on one core while another is idle (seen here: two threads that
compute for a second each had 0.52 s of it). Nothing can be timed on two cores there, unless every
thread is told its own. CORES are three, of reading and cropping and steadying, of the model, and of
placing and encoding: `1,1,0` for a model that computes nothing, `0,*,1` for a real one, whose calls
take turns in all of them.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any

from vidref.pipeline import one_pass, segmented
from vidref.pipeline.rebuild import Rebuilder

EACH = "*"


def main() -> None:
    before, model, after = sys.argv[1].split(",")
    stages: list[tuple[Any, str, str]] = [
        (one_pass, "_seen", before),
        (segmented, "_frames", before),
        (Rebuilder, "_cropped", before),
        (Rebuilder, "_steadied", before),
        (Rebuilder, "_placed", after),
    ]
    if model == EACH:
        everywhere = sorted(os.sched_getaffinity(0))
        Rebuilder._run = in_turn(everywhere, Rebuilder._run)  # type: ignore[method-assign]
    else:
        stages.append((Rebuilder, "_restored", model))
    for where, name, core in stages:
        setattr(where, name, kept_to(int(core), getattr(where, name)))
    os.sched_setaffinity(0, {int(after)})
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def kept_to(core: int, stage: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """A stage is a generator that is run in its own thread."""

    def pinned(*arguments: Any) -> Iterator[Any]:
        os.sched_setaffinity(0, {core})
        yield from stage(*arguments)

    return pinned


def in_turn(cores: Sequence[int], call: Callable[..., Any]) -> Callable[..., Any]:
    """Every thread that makes calls keeps to a core of its own."""
    turns, mine = cycle(cores), threading.local()

    def pinned(*arguments: Any) -> Any:
        if not hasattr(mine, "core"):
            mine.core = next(turns)
            os.sched_setaffinity(0, {mine.core})
        return call(*arguments)

    return pinned


if __name__ == "__main__":
    main()
