"""Clips in an object store: fetched, worked on, and sent back whole."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clips import write_clip
from tests.fleet.stand_in import PassingWorker
from vidref.errors import InputError
from vidref.fleet import storage
from vidref.fleet.batch import Engine, open_state, run_batch
from vidref.fleet.requests import Wanted


@pytest.fixture(scope="module")
def store() -> Iterator[None]:
    """A real S3 server on this machine."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as surroundings:
        surroundings.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        surroundings.setenv("AWS_ACCESS_KEY_ID", "test")
        surroundings.setenv("AWS_SECRET_ACCESS_KEY", "test")
        surroundings.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield
    server.stop()


@pytest.fixture
def bucket(store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket."""
    import fsspec

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    name = f"tapes-{uuid.uuid4().hex}"
    fsspec.filesystem("s3").mkdir(name)
    return f"s3://{name}"


def test_a_batch_from_s3_to_s3_makes_what_files_make(bucket: str, tmp_path: Path) -> None:
    shelf = tmp_path / "in"
    (shelf / "deep").mkdir(parents=True)
    for name in ("a.mp4", "deep/b.mp4"):
        write_clip(shelf / name, frames=30)
    (shelf / "text.mp4").write_text("this is no clip")
    for place, name in storage.files_below(str(shelf), recursive=True):
        storage.send(Path(place), f"{bucket}/in/{name}")
    flags = {"threads": 1, "job.segment_s": "0.24"}
    engine = Engine("local", 1, tries=2, make_worker=PassingWorker)
    run_batch(str(shelf), Wanted(str(tmp_path / "out"), flags), engine)
    outcome = run_batch(f"{bucket}/in", Wanted(f"{bucket}/out", flags), engine)
    assert outcome.failed == 1
    found = {name: place for place, name in storage.files_below(f"{bucket}/out", True)}
    assert sorted(found) == ["a.mp4", "deep/b.mp4"], "and no segment is left"
    for name, place in found.items():
        assert storage.fetch(place).read_bytes() == (tmp_path / "out" / name).read_bytes()
    with open_state(f"{bucket}/out") as state:
        assert state.counts()["done"] == 2


@pytest.mark.slow
def test_a_cluster_works_from_s3_to_s3(bucket: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from tests.fleet.cluster import nodes

    clip = write_clip(tmp_path / "a.mp4", frames=30)
    storage.send(clip, f"{bucket}/in/a.mp4")
    flags = {"threads": 1, "job.segment_s": "0.24"}
    with nodes(2) as cluster:
        engine = Engine("ray", 0, cluster.address, make_worker=PassingWorker)
        assert run_batch(f"{bucket}/in", Wanted(f"{bucket}/out", flags), engine).failed == 0
    (tmp_path / "in").mkdir()
    clip.rename(tmp_path / "in" / "a.mp4")
    engine = Engine("local", 1, make_worker=PassingWorker)
    run_batch(str(tmp_path / "in"), Wanted(str(tmp_path / "out"), flags), engine)
    made = storage.fetch(f"{bucket}/out/a.mp4").read_bytes()
    assert made == (tmp_path / "out" / "a.mp4").read_bytes()


def test_what_is_not_there_is_told_in_a_sentence(bucket: str) -> None:
    with pytest.raises(InputError, match="There is nothing at"):
        storage.fetch(f"{bucket}/no/such.mp4")
    with pytest.raises(InputError):
        storage.fetch("nowhere://tapes/a.mp4")


def test_a_fetched_clip_keeps_its_name_and_is_fetched_anew_when_it_changed(
    bucket: str, tmp_path: Path
) -> None:
    clip = tmp_path / "tape.mp4"
    clip.write_bytes(os.urandom(100))
    storage.send(clip, f"{bucket}/tape.mp4")
    first = storage.fetch(f"{bucket}/tape.mp4")
    assert first.name == "tape.mp4" and storage.fetch(f"{bucket}/tape.mp4") == first
    clip.write_bytes(os.urandom(120))
    storage.send(clip, f"{bucket}/tape.mp4")
    assert storage.fetch(f"{bucket}/tape.mp4").read_bytes() == clip.read_bytes()
