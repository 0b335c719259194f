"""A batch with the passing worker as a process of its own, so that tests can kill it.

python -m tests.fleet.run SOURCE OUTPUT ENGINE ADDRESS WORKERS TRIES SEGMENT_S
"""

from __future__ import annotations

import sys

from tests.fleet.stand_in import PassingWorker
from vidref.fleet.batch import Engine, run_batch
from vidref.fleet.requests import Wanted


def main() -> None:
    source, output, engine, address, workers, tries, segment_s = sys.argv[1:8]
    wanted = Wanted(output, {"threads": 1, "job.segment_s": segment_s})
    how = Engine(engine, int(workers), address, int(tries), make_worker=PassingWorker)
    sys.exit(1 if run_batch(source, wanted, how).failed else 0)


if __name__ == "__main__":
    main()
