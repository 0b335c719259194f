"""A job that is killed goes on where it was, and nobody can tell from the file."""

from __future__ import annotations

import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from tests import judge
from tests.clips import Sound, write_clip
from tests.pipeline.segment_job import run
from tests.tool import ROOT, environment, leftovers
from vidref.errors import OutputError, UnsupportedStreamError
from vidref.media.segments import Cut, Segment
from vidref.pipeline.journal import Job, job_folder

FRAMES = 100
KNOWN = {"the clip": "in.mp4", "--fidelity": "0.5", "the plan": "sha256 " + 60 * "a"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds with B-frames, sound and a title, to be cut into segments of half a second."""
    path = tmp_path_factory.mktemp("source") / "in.mp4"
    return write_clip(
        path, frames=FRAMES, gop=6, b_frames=2, size=(64, 48), metadata={"title": "T"},
        sounds=[Sound(language="deu")],
    )  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What runs that nobody disturbs make of it."""
    judge.require_tools("ffmpeg", "ffprobe")
    made = {}
    for name in ("out.mp4", "lossless.mkv"):
        folder = tmp_path_factory.mktemp("unbroken")
        run(source, folder / name, folder / "log", lossless=name == "lossless.mkv")
        made[name] = folder / name
        assert leftovers(folder, name, "log") == []
    return made


def _same(output: Path, unbroken: dict[str, Path]) -> bool:
    """Byte for byte; Matroska gives every file a random number, so there its packets are."""
    other = unbroken[output.name]
    if output.suffix != ".mkv":
        return output.read_bytes() == other.read_bytes()
    reports = judge.probe(output), judge.probe(other)
    return reports[0].packets == reports[1].packets and judge.differences(*reports) == []


def _process(
    source: Path, output: Path, sleep_s: float, *more: str, limit_bytes: int | None = None
) -> subprocess.Popen[bytes]:
    def limited() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    log = output.with_name("log")
    words = [source, output, log, sleep_s, "1/2", int(output.suffix == ".mkv"), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.segment_job", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=ROOT,
        preexec_fn=limited,
    )  # fmt: skip


def _begun(output: Path) -> list[int]:
    """The segments that any run began, in order."""
    log = output.with_name("log")
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def _wait(running: subprocess.Popen[bytes], reached: int, output: Path) -> None:
    until = time.monotonic() + 60
    while len(_begun(output)) < reached and running.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.002)


def _kill(running: subprocess.Popen[bytes]) -> None:
    running.kill()
    running.communicate()


# ---------------------------------------------------------------- kill -9


@pytest.mark.parametrize("name", ["out.mp4", pytest.param("lossless.mkv", marks=pytest.mark.slow)])
def test_a_job_killed_again_and_again_makes_the_same_file(
    name: str, source: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    output, dice = tmp_path / name, random.Random(name)
    kills = 0
    while not output.exists():
        before = len(_begun(output))
        running = _process(source, output, 0.012)
        _wait(running, before + dice.choice((1, 2, 3)), output)
        time.sleep(dice.uniform(0, 0.3))
        if running.poll() is None:
            kills += 1
        _kill(running)
    assert kills >= 3, "too fast to be killed"
    assert _same(output, unbroken)
    again = sum(Counter(_begun(output)).values()) - len(set(_begun(output)))
    assert again <= kills, "more than the segment in hand was made twice"
    assert leftovers(tmp_path, output, "log") == []


@pytest.mark.slow
def test_kill_9_at_twenty_random_moments(
    source: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    dice = random.Random(9)
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        output = folder / "out.mp4"
        running = _process(source, output, 0.004)
        time.sleep(dice.uniform(0.2, 2.2))
        was_killed = running.poll() is None
        _kill(running)
        if not output.exists():
            run(source, output, folder / "log")
        assert _same(output, unbroken)
        assert len(_begun(output)) <= len(set(_begun(output))) + was_killed


def test_a_run_killed_while_joining_leaves_no_output_and_joins_again(
    source: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    running = _process(source, output, 0)
    part = tmp_path / ".out.mp4.vidref-part"
    until = time.monotonic() + 60
    while not part.exists() and running.poll() is None and time.monotonic() < until:
        pass
    _kill(running)
    if running.returncode == -signal.SIGKILL and not output.exists():
        begun = len(_begun(output))
        run(source, output, tmp_path / "log")
        assert len(_begun(output)) == begun, "nothing was left to make"
    assert _same(output, unbroken)
    assert leftovers(tmp_path, output, "log") == []


def test_the_file_made_in_segments_holds_what_the_source_holds(
    source: Path, unbroken: dict[str, Path]
) -> None:
    for path in unbroken.values():
        assert judge.differences(judge.probe(source), judge.probe(path)) == []
    assert judge.pixels(unbroken["lossless.mkv"]) == judge.pixels(source)


# ---------------------------------------------------------------- what is left on the disk


def _stopped(source: Path, output: Path, after: int = 4) -> Path:
    """A job of which some segments are done; returns its folder."""
    running = _process(source, output, 0.02)
    _wait(running, after + 1, output)
    _kill(running)
    folder = job_folder(output)
    assert not output.exists() and len(list(folder.glob("*.segment"))) >= after - 1
    return folder


def test_a_damaged_segment_is_noticed_and_made_again(
    source: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    folder = _stopped(source, output)
    victim = folder / "000001.segment"
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(bytes(data))
    (folder / "000002.segment").unlink()
    before = len(_begun(output))
    run(source, output, tmp_path / "log")
    assert _begun(output)[before : before + 2] == [1, 2]
    assert 0 not in _begun(output)[before:]
    assert _same(output, unbroken)


@pytest.mark.parametrize("torn", [b"", b"{", b'{"format": 1}', b'{"format": 99}', b"[]", b"\xff"])
def test_an_unreadable_journal_begins_anew(
    torn: bytes, source: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    folder = job_folder(output)
    folder.mkdir()
    (folder / "job.json").write_bytes(torn)
    (folder / "000000.segment").write_bytes(b"old")
    run(source, output, tmp_path / "log")
    assert _same(output, unbroken)
    assert leftovers(tmp_path, output, "log") == []


def test_what_dead_runs_left_half_done_is_swept(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with Job.open(output, KNOWN) as job:
        job.set_cut(_two())
        job.plan_path.write_text("{}")
    folder = job_folder(output)
    for name in ("000000.segment.part", "job.json.part", "000007.segment"):
        (folder / name).write_bytes(b"half")
    with Job.open(output, KNOWN) as job:
        assert sorted(p.name for p in folder.iterdir()) == ["job.json", "lock", "plan.json"]
        assert job.cut == _two() and job.missing() == [0, 1] and job.plan_path.exists()


def _two() -> Cut:
    return Cut((Segment(0, None, 50, 0, None), Segment(1, 50, None, 5, 25)), enters=True)


def test_a_job_that_never_came_to_its_segments_leaves_no_trace(tmp_path: Path) -> None:
    with Job.open(tmp_path / "out.mp4", KNOWN):
        assert leftovers(tmp_path) == [".out.mp4.vidref-job"]
    assert leftovers(tmp_path) == []


# ---------------------------------------------------------------- what has changed since


def _with_one_done(source: Path, output: Path, known: dict[str, str]) -> None:
    segments = output.with_name("elsewhere.mp4")
    folder = _stopped(source, segments, 2)
    with Job.open(output, known) as job:
        job.set_cut(_two())
        shutil.copy(folder / "000000.segment", job.path_of(0))
        job.accept(0, {"frames": 12})
        assert job.missing() == [1]
    shutil.rmtree(folder)


def test_a_changed_setting_is_named_and_nothing_is_lost(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    _with_one_done(source, output, KNOWN)
    for changed, sentence in (
        ({"--fidelity": "0.7"}, "--fidelity changed from 0.5 to 0.7"),
        ({"the plan": "sha256 " + 60 * "b"}, "the plan changed;"),
        ({"--seed": "4"}, "--seed changed from nothing to 4"),
    ):
        with pytest.raises(OutputError) as raised:
            Job.open(output, KNOWN | changed)
        words = str(raised.value)
        assert sentence in words and "--restart" in words and "1 finished" in words
        assert "\n" not in words
    with Job.open(output, KNOWN) as job:
        assert job.missing() == [1]
        assert job.finished[0].facts == {"frames": 12}


def test_restart_throws_away_what_was_finished(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    _with_one_done(source, output, KNOWN)
    folder = job_folder(output)
    (folder / "plan.json").write_text("{}")
    with Job.open(output, KNOWN, restart=True) as job:
        assert job.cut is None and job.finished == {} and not job.plan_path.exists()
        assert sorted(p.name for p in folder.iterdir()) == ["job.json", "lock"]


def test_a_changed_job_without_anything_finished_begins_anew(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with Job.open(output, KNOWN) as job:
        job.set_cut(_two())
        job.plan_path.write_text("{}")
    with Job.open(output, KNOWN | {"--fidelity": "0.7"}) as job:
        assert job.cut is None and not job.plan_path.exists()
    with Job.open(output, KNOWN | {"--fidelity": "0.7"}) as job:
        assert job.cut is None


# ---------------------------------------------------------------- others, and the disk


def test_two_runs_do_not_share_a_job(
    source: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.mp4"
    first = _process(source, output, 0.03)
    _wait(first, 1, output)
    with pytest.raises(OutputError, match="Another run is writing"):
        Job.open(output, KNOWN)
    second = _process(source, output, 0)
    _, words = second.communicate(timeout=60)
    assert second.returncode == 2 and b"Another run" in words and b"Traceback" not in words
    _, words = first.communicate(timeout=60)
    assert first.returncode == 0, words.decode()
    assert _same(output, unbroken)
    assert leftovers(tmp_path, output, "log") == []


def test_a_full_disk_costs_one_sentence_and_no_finished_work(
    source: Path, unbroken: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "lossless.mkv"
    folder = _stopped(source, tmp_path / "sizes.mkv", 3)
    sizes = [p.stat().st_size for p in folder.glob("*.segment")]
    shutil.rmtree(folder)
    (tmp_path / "log").unlink()
    for limit, what in ((max(sizes) // 2, "stored"), (max(sizes) + 2000, "written")):
        full = _process(source, output, 0, limit_bytes=limit)
        _, words = full.communicate(timeout=60)
        assert full.returncode == 2 and words.count(b"\n") == 1, words.decode()
        assert what in words.decode() and "large" in words.decode()
        assert not output.exists() and not list(tmp_path.glob("*.part"))
    begun = len(_begun(output))
    run(source, output, tmp_path / "log", lossless=True)
    assert len(_begun(output)) == begun, "finished work was lost"
    assert _same(output, unbroken)


def test_a_folder_that_cannot_be_written_is_refused_in_one_sentence(tmp_path: Path) -> None:
    job_folder(tmp_path / "out.mp4").write_text("in the way")
    for output, words in (
        (tmp_path / "out.mp4", "cannot be written"),
        (tmp_path / "gone" / "out.mp4", "does not exist"),
    ):
        with pytest.raises(OutputError, match=words) as raised:
            Job.open(output, KNOWN)
        assert "\n" not in str(raised.value)


def test_timing_that_the_output_cannot_hold_is_refused_before_work_is_lost(
    tmp_path: Path,
) -> None:
    times = [40 * i + 15 * (i > 20) for i in range(60)]
    source = write_clip(
        tmp_path / "in.mkv", codec="mpeg4", pts=times, time_base=Fraction(1, 1000), sounds=[]
    )
    with pytest.raises(UnsupportedStreamError, match="constant frame rate"):
        run(source, tmp_path / "out.avi", tmp_path / "log", lossless=True)
    assert 3 not in _begun(tmp_path / "out.avi")


def test_the_journal_is_plain_json_that_names_what_is_done(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    _with_one_done(source, output, KNOWN)
    tree = json.loads((job_folder(output) / "job.json").read_text())
    assert tree["fingerprint"] == KNOWN
    assert list(tree["finished"]) == ["0"] and len(tree["finished"]["0"]["sha256"]) == 64
