"""One clip on one and on two worker processes of one thread each: how much faster is it?

    python -m tests.benchmarks.fleet_speed CLIP [MODEL] [free]

Each worker is held to one core, so that the stages of one (decoding, restoring and encoding are
threads) do not take what a second one is to show; with `free` they are not, as in use.

The clip is restored with real faces. What is timed are the segments after every worker has made
its first one (so that starting a process and loading its models is not counted), as faces a second.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from vidref.fleet.batch import Engine, open_state, run_batch
from vidref.fleet.pool import usual_worker
from vidref.fleet.requests import Wanted
from vidref.fleet.work import Worker

SEGMENT_S = "1"


def on_one_core(name: str) -> Worker:
    """A worker, and all threads that it will ever start, on the core of its number."""
    cores = sorted(os.sched_getaffinity(0))
    number = int(name.split()[1])
    os.sched_setaffinity(0, {cores[(number - 1) % len(cores)]})
    return Worker(name)


def main() -> None:
    clip = Path(sys.argv[1]).resolve()
    model = sys.argv[2] if len(sys.argv) > 2 else "bundled"
    make_worker = usual_worker if "free" in sys.argv else on_one_core
    print("| workers | segments timed | faces | s | faces/s |")
    print("|---|---|---|---|---|")
    rates = {}
    for workers in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "out"
            source = Path(name) / "in"
            source.mkdir()
            (source / clip.name).symlink_to(clip)
            flags = {"threads": 1, "job.segment_s": SEGMENT_S, "model": model}
            engine = Engine("local", workers, make_worker=make_worker)
            outcome = run_batch(str(source), Wanted(str(out), flags), engine)
            (row,) = outcome.clips
            assert row.state == "done", row.error
            with open_state(str(out)) as state:
                parts = sorted(state.segments_of(row.id), key=lambda part: part.ended or 0)
        firsts = {}
        for part in parts:
            firsts.setdefault(part.worker, part.ended)
        assert len(firsts) == workers
        begun = max(firsts.values())
        timed = [part for part in parts if part.ended > begun]
        # what is not finished when the clock starts or stops is shared out by its time
        faces = sum(part.faces * min(1.0, (part.ended - begun) / part.work_s) for part in timed)
        last = {part.worker: part.ended for part in parts}
        ended = min(last.values())  # from here on a worker has nothing left to do
        faces -= sum(
            part.faces * (part.ended - ended) / part.work_s for part in timed if part.ended > ended
        )
        rates[workers] = faces / (ended - begun)
        print(
            f"| {workers} | {len(timed)} | {faces:.0f} | {ended - begun:.2f} | "
            f"{rates[workers]:.2f} |",
            flush=True,
        )
    print(f"\nspeed-up: {rates[2] / rates[1]:.2f}")


if __name__ == "__main__":
    main()
