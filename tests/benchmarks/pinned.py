"""vidref with each stage kept to a core: python -m tests.benchmarks.pinned CORES MODULE ARGUMENTS

Some kernels put all threads of a run on one core while another is idle (seen here: two threads that
compute for a second each had 0.52 s of it). Nothing can be timed on two cores there, unless every
thread is told its own. CORES are three, of reading and cropping and steadying, of the model, and of
placing and encoding: `0,1,0` for a real model, `1,1,0` for one that computes nothing.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Callable, Iterator
from typing import Any

from vidref.pipeline import one_pass, segmented
from vidref.pipeline.rebuild import Rebuilder


def main() -> None:
    before, model, after = map(int, sys.argv[1].split(","))
    stages: list[tuple[Any, str, int]] = [
        (one_pass, "_seen", before),
        (segmented, "_frames", before),
        (Rebuilder, "_cropped", before),
        (Rebuilder, "_restored", model),
        (Rebuilder, "_steadied", before),
        (Rebuilder, "_placed", after),
    ]
    for where, name, core in stages:
        setattr(where, name, kept_to(core, getattr(where, name)))
    os.sched_setaffinity(0, {after})
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def kept_to(core: int, stage: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """A stage is a generator that is run in its own thread."""

    def pinned(*arguments: Any) -> Iterator[Any]:
        os.sched_setaffinity(0, {core})
        yield from stage(*arguments)

    return pinned


if __name__ == "__main__":
    main()
