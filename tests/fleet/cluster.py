"""A Ray cluster of several nodes on this machine, each a real raylet with its own processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.tool import ROOT


@contextmanager
def nodes(count: int, cpus: int = 1) -> Iterator[Any]:
    """`cluster.address` is where to connect; `cluster.remove_node(node)` takes one away."""
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    )
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")
    # Ray answers SIGTERM by sys.exit(1), for as long as the process lives: whoever stops the tests
    # later would only see one of them fail, without a word.
    at_term = signal.getsignal(signal.SIGTERM)
    cluster = Cluster()
    try:
        for _ in range(count):
            # the first node has the cluster's own services, and is never taken away
            # what it shows on a page takes seconds to begin
            cluster.add_node(num_cpus=cpus, object_store_memory=80 << 20, include_dashboard=False)
        yield cluster
    finally:
        for node in [*cluster.worker_nodes, cluster.head_node]:
            cluster.remove_node(node, allow_graceful=False)  # else it waits to be drained
        signal.signal(signal.SIGTERM, at_term)
