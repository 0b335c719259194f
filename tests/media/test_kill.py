"""A run that is killed leaves the original, no file under the output's name, and no obstacle."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests import judge
from tests.clips import Sound, write_clip
from tests.tool import PASS, command, environment, leftovers, process

pytestmark = pytest.mark.usefixtures("judges")

FRAMES = 250


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Long enough that a run can be caught in the middle."""
    path = tmp_path_factory.mktemp("source") / "in.mkv"
    return write_clip(
        path, frames=FRAMES, size=(320, 180), sounds=[Sound("mp2")], options={"preset": "ultrafast"}
    )


@pytest.fixture(scope="module")
def run_s(source: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long the whole run takes here, start to end."""
    output = tmp_path_factory.mktemp("timed") / "out.mkv"
    began = time.monotonic()
    done = process(*PASS, source, "-o", output)
    assert done.exit_code == 0, done.stderr
    return time.monotonic() - began


def _start(source: Path, output: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(*PASS, source, "-o", output, *arguments),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip


def _wait_for_work(running: subprocess.Popen[bytes], folder: Path) -> None:
    """Until the run has begun to write, under whatever name it does."""
    until = time.monotonic() + 60
    while time.monotonic() < until and running.poll() is None:
        if any(p.stat().st_size > 0 for p in folder.rglob("*") if p.is_file()):
            return
        time.sleep(0.005)


def _kill_after(seconds: float, source: Path, folder: Path) -> None:
    before = judge.sha256(source)
    output = folder / "out.mkv"
    running = _start(source, output)
    time.sleep(seconds)
    running.kill()
    running.communicate()
    assert judge.sha256(source) == before
    if output.exists():  # it was faster than the blow, and then the file is whole
        assert len(judge.probe(output).times) == FRAMES
        output.unlink()


def _works_again(source: Path, folder: Path) -> None:
    output = folder / "out.mkv"
    done = process(*PASS, source, "-o", output)
    assert done.exit_code == 0, done.stderr
    assert leftovers(folder, output) == [], "the stale temporary file is still there"
    assert len(judge.probe(output).times) == FRAMES


def test_kill_9_leaves_the_original_and_no_output(
    source: Path, run_s: float, tmp_path: Path
) -> None:
    for share in (0.15, 0.4, 0.6, 0.8, 0.97):
        _kill_after(share * run_s, source, tmp_path)
    _works_again(source, tmp_path)


@pytest.mark.slow
def test_kill_9_at_twenty_random_moments(source: Path, run_s: float, tmp_path: Path) -> None:
    dice = random.Random(20)
    for _ in range(20):
        _kill_after(dice.uniform(0.02, 1.02) * run_s, source, tmp_path)
    _works_again(source, tmp_path)


def test_kill_9_keeps_the_file_that_was_to_be_overwritten(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    output.write_bytes(b"somebody's work")
    running = _start(source, output, "--overwrite")
    until = time.monotonic() + 60
    while not leftovers(tmp_path, output) and running.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    running.kill()
    running.communicate()
    assert running.returncode == -signal.SIGKILL, "it was over before it could be killed"
    assert output.read_bytes() == b"somebody's work"


def test_ctrl_c_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    before = judge.sha256(source)
    running = _start(source, tmp_path / "out.mkv")
    _wait_for_work(running, tmp_path)
    running.send_signal(signal.SIGINT)
    _, words = running.communicate(timeout=30)
    assert running.returncode == 130
    assert b"Traceback" not in words
    assert leftovers(tmp_path) == []
    assert judge.sha256(source) == before


def test_two_runs_side_by_side_leave_each_other_alone(source: Path, tmp_path: Path) -> None:
    first = _start(source, tmp_path / "first.mkv")
    _wait_for_work(first, tmp_path)
    done = process(*PASS, source, "-o", tmp_path / "second.mkv", "--end", "1")
    assert done.exit_code == 0, done.stderr
    _, words = first.communicate(timeout=60)
    assert first.returncode == 0, words.decode()
    assert leftovers(tmp_path) == ["first.mkv", "second.mkv"]
    assert len(judge.probe(tmp_path / "first.mkv").times) == FRAMES


def test_two_runs_to_one_name_do_not_mix(source: Path, tmp_path: Path) -> None:
    """Whoever comes second replaces the file whole, or is refused; neither is a mixture."""
    output = tmp_path / "out.mkv"
    first = _start(source, output)
    _wait_for_work(first, tmp_path)
    second = process(*PASS, source, "-o", output)
    _, words = first.communicate(timeout=60)
    assert b"Traceback" not in words and "Traceback" not in second.stderr
    assert 0 in (first.returncode, second.exit_code)
    assert {first.returncode, second.exit_code} <= {0, 2}
    assert leftovers(tmp_path, output) == []
    assert len(judge.probe(output).times) == FRAMES
