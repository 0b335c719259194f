"""`vidref batch` on small clips, through real worker processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import judge
from tests.clips import write_clip
from tests.fleet.stand_in import PassingWorker
from tests.tool import environment, is_one_sentence, process, vidref
from vidref.fleet.batch import Engine, Outcome, open_state, run_batch
from vidref.fleet.requests import Wanted

SEGMENT_S = "0.24"
SEGMENTS = 10


def passing(source: Path, output: Path, workers: int = 1, tries: int = 2) -> Outcome:
    """A batch whose model does nothing, in segments of six frames."""
    wanted = Wanted(str(output), {"threads": 1, "job.segment_s": SEGMENT_S})
    engine = Engine("local", workers, tries=tries, make_worker=PassingWorker)
    return run_batch(str(source), wanted, engine)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_clip(path, frames=6 * SEGMENTS)


def test_bad_clips_are_told_and_the_others_come_out_as_from_a_single_run(
    clip: Path, tmp_path: Path
) -> None:
    shelf, out = tmp_path / "in", tmp_path / "out"
    (shelf / "deep").mkdir(parents=True)
    (shelf / "good.mp4").write_bytes(clip.read_bytes())
    write_clip(shelf / "deep" / "other #1.mp4", frames=9, sounds=())
    (shelf / "text.mp4").write_text("this is no clip")
    (shelf / "cut.mp4").write_bytes(clip.read_bytes()[:2000])
    run = ["batch", shelf, "-o", out, "--faces", "none", "--threads", "1", "--json"]
    done = process(*run)
    assert done.exit_code == 1, done.stderr
    told = json.loads(done.piped)
    assert told["done"] == 2
    assert {Path(name).name for name in told["failed"]} == {"text.mp4", "cut.mp4"}
    assert all(sentence.endswith(".") for sentence in told["failed"].values())
    for name in ("good.mp4", "deep/other #1.mp4"):
        single = tmp_path / "single.mp4"
        single.unlink(missing_ok=True)
        assert vidref("restore", shelf / name, "-o", single, *run[4:8]).exit_code == 0
        assert (out / name).read_bytes() == single.read_bytes()

    shown = vidref("batch", "status", out, "--json")
    assert shown.exit_code == 1
    status = json.loads(shown.stdout)
    assert status["counts"] == {
        "waiting": 0, "running": 0, "done": 2, "failed": 2, "cancelled": 0,
    }  # fmt: skip
    assert {Path(c["source"]).name: c["frames"] for c in status["clips"] if c["frames"]} == {
        "good.mp4": 60,
        "other #1.mp4": 9,
    }
    assert "text.mp4" in vidref("batch", "status", out).stdout

    page = (out / "batch.html").read_text()
    assert "2 failed" in page and "text.mp4" in page and 'href="deep/other%20%231.mp4"' in page
    assert "src=" not in page and "http" not in page

    # mended and retried, the same command does what is left and nothing else
    (shelf / "text.mp4").write_bytes(clip.read_bytes())
    before = (out / "good.mp4").stat().st_mtime_ns
    assert vidref("batch", "retry", out, "text.mp4").exit_code == 0
    assert vidref(*run).exit_code == 1, "one is still broken"
    assert judge.probe(out / "text.mp4").picture["codec_name"] == "h264"
    assert (out / "good.mp4").stat().st_mtime_ns == before


def test_a_clip_that_crashes_or_meets_a_bug_is_given_up_and_stops_nothing(
    clip: Path, tmp_path: Path
) -> None:
    shelf, out = tmp_path / "in", tmp_path / "out"
    shelf.mkdir()
    for name in ("bug.mp4", "crash.mp4", "good.mp4"):
        (shelf / name).write_bytes(clip.read_bytes())
    outcome = passing(shelf, out, workers=2)
    errors = {Path(row.source).name: row.error for row in outcome.clips}
    assert outcome.failed == 2 and errors["good.mp4"] is None
    assert "SIGKILL" in errors["crash.mp4"] and "2 tries" in errors["crash.mp4"]
    assert "something is wrong" in errors["bug.mp4"]
    assert len(judge.probe(out / "good.mp4").frames[0]) == 60


def test_a_killed_batch_goes_on_and_only_the_segment_in_flight_is_made_again(
    clip: Path, tmp_path: Path
) -> None:
    shelf, whole, out = tmp_path / "in", tmp_path / "whole", tmp_path / "out"
    shelf.mkdir()
    (shelf / "clip.mp4").write_bytes(clip.read_bytes())
    passing(shelf, whole)
    words = ("tests.fleet.run", shelf, out, "local", "auto", "1", "2", SEGMENT_S)
    run = [sys.executable, "-m", *map(str, words)]
    log = tmp_path / "log"
    surroundings = environment(VIDREF_TEST_SLEEP="0.03", VIDREF_TEST_LOG=str(log))
    killed = subprocess.Popen(run, env=surroundings)
    _wait_for(lambda: _segments_done(out) >= 3)
    killed.kill()
    killed.wait()
    done_before = _segments_done(out)
    assert 3 <= done_before < SEGMENTS
    again = subprocess.run(run, env=environment(VIDREF_TEST_LOG=str(log)), timeout=100)
    assert again.returncode == 0
    with open_state(str(out)) as state:
        (row,) = state.clips()
        tries = [part.tries for part in state.segments_of(row.id)]
    assert row.state == "done" and sum(tries) - SEGMENTS <= 1 and min(tries) == 1
    assert log.read_text().count("analyse") == 1, "the plan was kept"
    assert (out / "clip.mp4").read_bytes() == (whole / "clip.mp4").read_bytes()
    assert not (out / ".clip.mp4.vidref-job").exists()


def test_a_clip_that_is_cancelled_is_stopped_and_the_rest_goes_on(
    clip: Path, tmp_path: Path
) -> None:
    shelf, out = tmp_path / "in", tmp_path / "out"
    shelf.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (shelf / name).write_bytes(clip.read_bytes())
    words = ("tests.fleet.run", shelf, out, "local", "auto", "1", "2", SEGMENT_S)
    started = subprocess.Popen(
        [sys.executable, "-m", *map(str, words)], env=environment(VIDREF_TEST_SLEEP="0.02")
    )
    _wait_for(lambda: _segments_done(out) >= 1)
    assert vidref("batch", "cancel", out, "a.mp4").exit_code == 0
    assert started.wait(100) == 0
    assert [p.name for p in out.glob("*.mp4")] == ["b.mp4"]


def test_a_watched_folder_takes_what_comes_later(clip: Path, tmp_path: Path) -> None:
    shelf, out = tmp_path / "in", tmp_path / "out"
    shelf.mkdir()
    started = subprocess.Popen(
        [sys.executable, "-m", "vidref", "batch", shelf, "-o", out, "--faces", "none", "--watch"],
        env=environment(),
    )
    try:
        _wait_for(lambda: (out / ".vidref-batch" / "state.sqlite").exists())
        (shelf / "late.mp4").write_bytes(clip.read_bytes())
        _wait_for(lambda: (out / "late.mp4").exists())
        _wait_for(lambda: _counts(out)["done"] == 1)
    finally:
        os.kill(started.pid, signal.SIGINT)
    assert started.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "no folder"),
        (["empty"], "no clips"),
        (["list.csv"], "line 2"),
        (["empty", "--watch", "--share-people"], "use one of them"),
    ],
)
def test_wrong_input_is_one_sentence_and_nothing_is_begun(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "list.csv").write_text("source,shape\na.mp4,round\n")
    place, *flags = arguments
    done = vidref("batch", tmp_path / place, "-o", tmp_path / "out", *flags)
    assert done.exit_code == 2 and is_one_sentence(done.stderr) and said in done.stderr
    assert not (tmp_path / "out").exists()
    assert vidref("batch", "status", tmp_path / "out").exit_code == 2


def _segments_done(out: Path) -> int:
    if not (out / ".vidref-batch" / "state.sqlite").exists():
        return 0
    with open_state(str(out)) as state:
        return sum(row.segments_done for row in state.clips())


def _counts(out: Path) -> dict[str, int]:
    with open_state(str(out)) as state:
        return state.counts()


def _wait_for(is_so, within_s: float = 60) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
