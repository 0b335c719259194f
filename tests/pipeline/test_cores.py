"""How the machine is shared between the model and the other stages."""

from __future__ import annotations

import sys
import threading

import pytest

from vidref.pipeline import cores
from vidref.pipeline.cores import model_threads, short_turns, steadying_threads


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(("there", "threads"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_the_model_leaves_half_of_the_cores_to_the_other_stages(
    monkeypatch: pytest.MonkeyPatch, there: int, threads: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: there)
    assert model_threads() == threads
    monkeypatch.setattr(cores, "usable_cores", lambda: 99)
    assert model_threads(there) == threads, "--threads says how many cores there are for us"


@pytest.mark.parametrize(("told", "threads"), [(1, 1), (2, 1), (4, 1), (8, 2), (16, 4)])
def test_a_half_of_what_the_model_leaves_steadies(told: int, threads: int) -> None:
    assert steadying_threads(told) == threads


def test_what_openmp_was_told_holds_unless_vidref_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert model_threads() == 3
    assert model_threads(8) == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")  # as OpenMP allows
    monkeypatch.setattr(cores, "usable_cores", lambda: 10)
    assert model_threads() == 5


def test_turns_are_short_while_any_run_works_and_then_as_they_were() -> None:
    usual = sys.getswitchinterval()
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    def first() -> None:
        with short_turns():
            first_is_in.set()
            second_is_in.wait(10)
        first_is_out.set()

    run = threading.Thread(target=first)
    run.start()
    first_is_in.wait(10)
    with pytest.raises(RuntimeError), short_turns():
        second_is_in.set()
        first_is_out.wait(10)
        assert sys.getswitchinterval() == pytest.approx(cores.TURN_S)
        raise RuntimeError
    run.join()
    assert sys.getswitchinterval() == usual
