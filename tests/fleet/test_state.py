"""The state of a batch: whose turn it is, whoever dies."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidref.errors import InputError
from vidref.fleet.state import BatchState, LeaseLostError, Request, owner_here
from vidref.settings import Settings

SETTINGS = Settings.load().model_dump_json()


@pytest.fixture
def state(tmp_path: Path) -> BatchState:
    return BatchState(tmp_path / "state.sqlite", create=True)


def requests(count: int) -> list[Request]:
    return [Request(f"/in/{k}.mp4", f"/out/{k}.mp4", SETTINGS) for k in range(count)]


def test_settings_survive_the_state_exactly() -> None:
    for flags in (
        {},
        {"start": "1/3", "people": ["anna"], "drop": [2, 3], "refs": "/p", "seed": 5},
    ):
        settings = Settings.load(None, flags)
        assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_a_clip_is_one_owners_until_the_lease_runs_out(state: BatchState) -> None:
    assert state.add(requests(1)) == 1 and state.add(requests(1)) == 0
    first = state.claim("far:1:1", lease_s=0.2)
    assert first is not None and state.claim("far:2:1", 60) is None
    state.beat("far:1:1", 0.4)
    time.sleep(0.25)
    assert state.claim("far:2:1", 60) is None
    time.sleep(0.2)
    second = state.claim("far:2:1", 60)
    assert second is not None and second.id == first.id
    with pytest.raises(LeaseLostError):
        state.done(first.id, "far:1:1", 1, 1, None, ())
    state.done(first.id, "far:2:1", 25, 3, None, ["It was dark."])
    (row,) = state.clips()
    assert (row.state, row.frames, row.warnings) == ("done", 25, ("It was dark.",))


def test_the_clips_of_a_dead_process_are_free_at_once(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from vidref.fleet.state import *;"
        "print(BatchState(Path(sys.argv[1])).claim(owner_here(), 3600).id)"
    )
    path = tmp_path / "state.sqlite"
    with BatchState(path, create=True) as state:
        state.add(requests(1))
        subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True)
        assert state.claim(owner_here(), 60) is None
        state.free_the_dead()
        assert state.claim(owner_here(), 60) is not None
        state.free_the_dead()
        assert state.claim(owner_here(), 60) is None, "its owner, this process, lives"


def _work_off(path: Path, done: multiprocessing.Queue[int]) -> None:
    owner = f"{owner_here()}"
    with BatchState(path) as state:
        while (row := state.claim(owner, 60)) is not None:
            state.set_segments(row.id, owner, 3, [])
            for number in range(3):
                state.segment_tried(row.id, number)
                state.segment_done(row.id, number, str(os.getpid()), 0.1, 10, 1)
            state.done(row.id, owner, 30, 3, None, ())
            done.put(row.id)


def test_several_processes_share_a_state_and_none_does_what_another_has(tmp_path: Path) -> None:
    path, count = tmp_path / "state.sqlite", 60
    with BatchState(path, create=True) as state:
        state.add(requests(count))
        context = multiprocessing.get_context("fork")
        done = context.Queue()
        crew = [context.Process(target=_work_off, args=(path, done)) for _ in range(4)]
        for process in crew:
            process.start()
        finished = sorted(done.get(timeout=60) for _ in range(count))
        for process in crew:
            process.join(30)
            assert process.exitcode == 0
        assert finished == [row.id for row in state.clips()]
        tries = [part.tries for row in state.clips() for part in state.segments_of(row.id)]
        assert tries == [1] * count * 3


def test_retry_and_cancel_turn_only_what_they_should(state: BatchState) -> None:
    state.add(requests(4))
    me = owner_here()
    for end in ("failed", "done"):
        row = state.claim(me, 60)
        assert row is not None
        if end == "done":
            state.done(row.id, me, 1, 0, None, ())
        else:
            state.give_up(row.id, me, "failed", "It is broken.", "")
    running = state.claim(me, 60)
    assert running is not None
    assert state.cancel(["3.mp4"]) == ["/in/3.mp4"]
    assert state.cancel() == [running.source] and state.to_cancel(me) == [running.id]
    assert state.retry(["0.mp4"]) == ["/in/0.mp4"] and state.retry(["1.mp4"]) == []
    assert [row.state for row in state.clips()] == ["waiting", "done", "running", "cancelled"]
    assert state.clips()[0].error is None


def test_what_is_no_batch_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no batch"):
        BatchState(tmp_path / "nothing" / "state.sqlite")
