"""How much of the workers' time the schedule uses: segments that only sleep, 1 to 16 workers.

    python -m tests.benchmarks.fleet_scheduling [local|ray] [SLEEP_S] [SEGMENTS_EACH]

Efficiency is the share of all workers' time that was slept, from the moment when the last of them
had begun its first segment (so that starting processes is not counted) to the end of the last.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.fleet.stand_in import SleepingWorker
from vidref.fleet.batch import Engine, open_state, run_batch
from vidref.fleet.requests import Wanted
from vidref.fleet.state import SegmentRow

WORKERS = (1, 2, 4, 8, 16)


def efficiency(engine: str, address: str, workers: int, sleep_s: float, each: int) -> float:
    count = workers * each
    os.environ["VIDREF_TEST_SLEEP"] = str(sleep_s)
    os.environ["VIDREF_TEST_SEGMENTS"] = str(count)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        (source / "long.mp4").write_bytes(os.urandom(64))
        how = Engine(engine, workers, address, make_worker=SleepingWorker)
        outcome = run_batch(str(source), Wanted(str(out), {"threads": 1}), how)
        assert outcome.failed == 0
        with open_state(str(out)) as state:
            parts = state.segments_of(outcome.clips[0].id)
            assert len(parts) == count and all(part.tries == 1 for part in parts)
    return busy_share(parts, workers)


def busy_share(parts: list[SegmentRow], workers: int) -> float:
    """How much of the time between the last worker's beginning and the end was work."""
    spans = [(p.worker, (p.ended or 0) - (p.work_s or 0), p.ended or 0) for p in parts]
    first: dict[str | None, float] = {}
    for worker, begun, _ in spans:
        first[worker] = min(begun, first.get(worker, begun))
    assert len(first) == workers
    start, end = max(first.values()), max(ended for *_, ended in spans)
    busy = sum(ended - max(begun, start) for _, begun, ended in spans if ended > start)
    return busy / (workers * (end - start))


def main() -> None:
    engine = sys.argv[1] if len(sys.argv) > 1 else "local"
    sleep_s = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    each = int(sys.argv[3]) if len(sys.argv) > 3 else 12
    print(f"engine {engine}, {each} segments of {sleep_s} s for each worker\n")
    print("| workers | efficiency |\n|---|---|")
    if engine == "local":
        for workers in WORKERS:
            print(f"| {workers} | {efficiency('local', 'auto', workers, sleep_s, each):.3f} |")
        return
    from tests.fleet.cluster import nodes

    os.environ["VIDREF_TEST_SLEEP"] = str(sleep_s)
    for workers in WORKERS:
        # actors have the surroundings of the node that starts them
        os.environ["VIDREF_TEST_SEGMENTS"] = str(workers * each)
        with nodes(min(2, workers), cpus=max(1, workers // 2)) as cluster:
            found = efficiency("ray", cluster.address, workers, sleep_s, each)
            print(f"| {workers} | {found:.3f} |", flush=True)


if __name__ == "__main__":
    main()
