"""Many tiny clips: does the driver's memory stay flat, and what does a clip cost beyond its work?

python -m tests.benchmarks.fleet_many [CLIPS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.clips import write_clip
from vidref.fleet.batch import Engine, run_batch
from vidref.fleet.requests import Wanted
from vidref.fleet.state import BatchState


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    me = psutil.Process()
    driver: list[tuple[int, float]] = []
    worker: list[tuple[int, float]] = []
    first_done: list[float] = []

    def look(state: BatchState) -> None:
        done = state.counts()["done"]
        if done and not first_done:
            first_done.append(time.monotonic())
        driver.append((done, me.memory_info().rss / 2**20))
        crew = [
            p.memory_info().rss / 2**20 for p in me.children() if "spawn" in " ".join(p.cmdline())
        ]
        if crew:
            worker.append((done, max(crew)))

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        write_clip(source / "0000.mp4", frames=10)
        for number in range(1, count):
            (source / f"{number:04}.mp4").write_bytes((source / "0000.mp4").read_bytes())
        wanted = Wanted(str(Path(folder) / "out"), {"threads": 1, "faces": "none"})
        outcome = run_batch(str(source), wanted, Engine("local", 1), look)
        ended = time.monotonic()
    assert all(clip.state == "done" for clip in outcome.clips)
    work = [clip.work_s for clip in outcome.clips][1:]
    # from the end of the first clip, so that starting the worker is not counted
    overhead = (ended - first_done[0] - sum(work)) / len(work)
    print(f"{count} clips of 10 frames, one worker")
    print(f"work of a clip (mean): {sum(work) / len(work):.3f} s; beyond it: {overhead:.3f} s")
    for name, seen in (("driver", driver), ("worker", worker)):
        at = [next(mb for done, mb in seen if done >= share * count) for share in (0.1, 0.5, 0.99)]
        print(f"{name}, MiB when 10, 50 and 99 % were done: " + ", ".join(f"{m:.1f}" for m in at))


if __name__ == "__main__":
    main()
