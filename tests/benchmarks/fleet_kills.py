"""Random kills on a Ray cluster: workers, the driver, whole nodes. Nothing is lost or done twice.

    python -m tests.benchmarks.fleet_kills [SCHEDULES] [SEED]

Each schedule has three kills at random moments. Segments begun more than once are counted from
the state; those that were in flight when something was killed are the most there may be.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tests.clips import write_clip
from tests.fleet.cluster import nodes
from tests.tool import environment
from vidref.fleet.batch import open_state

KILLS = 3
CLIPS, FRAMES, SEGMENT_S = 2, 120, "0.24"
SLEEP_S = "0.05"


def main() -> None:
    schedules = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 8
    with tempfile.TemporaryDirectory() as name, nodes(1) as cluster:
        folder = Path(name)
        source = folder / "in"
        source.mkdir()
        for number in range(CLIPS):
            write_clip(source / f"{number}.mp4", frames=FRAMES)
        whole = folder / "whole"
        run = _run(source, whole, "local", "auto", environment())
        assert run.wait(300) == 0
        print("| schedule | killed | segments | in flight at kills | made again | same bytes | s |")
        print("|---|---|---|---|---|---|---|")
        extra = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20) for _ in range(2)]
        for number in range(schedules):
            dice = random.Random(seed * 1000 + number)
            out = folder / f"out{number}"
            begun = time.monotonic()
            told, allowed = _schedule(dice, source, out, cluster, extra)
            seconds = time.monotonic() - begun
            with open_state(str(out)) as state:
                rows = state.clips()
                tries = [p.tries for row in rows for p in state.segments_of(row.id)]
            assert all(row.state == "done" for row in rows), [row.error for row in rows]
            again = sum(tries) - len(tries)
            same = all(
                (out / f"{k}.mp4").read_bytes() == (whole / f"{k}.mp4").read_bytes()
                for k in range(CLIPS)
            )
            assert same and min(tries) >= 1 and again <= allowed
            print(
                f"| {number + 1} | {', '.join(told)} | {len(tries)} | {allowed} | {again} | "
                f"{'yes' if same else 'NO'} | {seconds:.0f} |",
                flush=True,
            )


def _schedule(
    dice: random.Random, source: Path, out: Path, cluster: Any, extra: list[Any]
) -> tuple[list[str], int]:
    """Run a batch through its kills; returns what was killed, and how much was in flight then."""
    surroundings = environment(VIDREF_TEST_SLEEP=SLEEP_S)
    driver = _run(source, out, "ray", cluster.address, surroundings)
    told, allowed = [], 0
    done = 0
    for _ in range(KILLS):
        # the next kill comes some segments later, wherever those are by then
        goal = done + dice.randint(2, 8)
        while driver.poll() is None and (done := _done(out)) < goal:
            time.sleep(0.02)
        time.sleep(dice.uniform(0, 0.4))
        if driver.poll() is not None:
            break
        kind = dice.choice(["worker", "driver", "node"])
        flying = _in_flight(out)
        if kind == "worker":
            allowed += _kill_a_worker(dice)
        elif kind == "driver":
            driver.kill()
            driver.wait()
            allowed += flying
            driver = _run(source, out, "ray", cluster.address, surroundings)
        else:
            cluster.remove_node(extra.pop(dice.randrange(len(extra))), allow_graceful=False)
            allowed += 1  # the node has one worker
            extra.append(cluster.add_node(num_cpus=1, object_store_memory=80 << 20))
        told.append(kind)
    assert driver.wait(400) == 0
    return told, allowed


def _run(
    source: Path, out: Path, engine: str, address: str, surroundings: dict[str, str]
) -> subprocess.Popen[bytes]:
    words = ("tests.fleet.run", source, out, engine, address, "0", "10", SEGMENT_S)
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, words)], env=surroundings, stderr=subprocess.DEVNULL
    )


def _done(out: Path) -> int:
    if not (out / ".vidref-batch" / "state.sqlite").exists():
        return 0
    with open_state(str(out)) as state:
        return sum(row.segments_done for row in state.clips())


def _in_flight(out: Path) -> int:
    """Segments that some worker is at now: begun, and not done."""
    with open_state(str(out)) as state:
        parts = [p for row in state.clips() for p in state.segments_of(row.id)]
    return sum(part.state == "running" and part.tries > 0 for part in parts)


def _kill_a_worker(dice: random.Random) -> int:
    """kill -9 an actor's process; Ray names them after their class."""
    crew = []
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].startswith("ray::_Actor"):
            crew.append(process)
    if not crew:
        return 0
    dice.choice(sorted(crew, key=lambda process: process.pid)).kill()
    return 1


if __name__ == "__main__":
    main()
