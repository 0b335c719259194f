"""The same work on a Ray cluster of two nodes on this machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import write_clip
from tests.tool import environment
from vidref.fleet.batch import open_state

pytest.importorskip("ray")


def test_a_cluster_makes_the_same_files_and_reports_the_bad_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.fleet.cluster import nodes

    shelf = tmp_path / "in"
    shelf.mkdir()
    for name in ("a.mp4", "b.mp4"):
        write_clip(shelf / name, frames=30)
    (shelf / "text.mp4").write_text("this is no clip")

    def run(engine: str, address: str, out: Path) -> int:
        words = ("tests.fleet.run", shelf, out, engine, address, "0", "2", "0.24")
        run = [sys.executable, "-m", *map(str, words)]
        return subprocess.run(run, env=environment(), timeout=200).returncode

    assert run("local", "auto", tmp_path / "local") == 1
    # Slow enough that the second node has started before the first has done it all.
    monkeypatch.setenv("VIDREF_TEST_SLEEP", "0.1")
    with nodes(2) as cluster:
        assert run("ray", cluster.address, tmp_path / "ray") == 1
    for name in ("a.mp4", "b.mp4"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
    with open_state(str(tmp_path / "ray")) as state:
        rows = {Path(row.source).name: row for row in state.clips()}
        workers = {part.worker for row in rows.values() for part in state.segments_of(row.id)}
    assert rows["text.mp4"].state == "failed" and "text.mp4" in (rows["text.mp4"].error or "")
    assert len(workers) == 2, "both nodes had a part in it"
