"""How the machine is shared between the model and the other stages."""

from __future__ import annotations

import sys
import threading

import pytest

from vidref.pipeline import cores
from vidref.pipeline.cores import model_share, short_turns, steadying_threads


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(
    ("there", "small", "large"), [(1, 1, 1), (2, 2, 1), (3, 3, 1), (8, 8, 4), (64, 8, 32)]
)
def test_a_small_model_has_calls_on_all_cores_and_a_large_one_threads_on_half(
    monkeypatch: pytest.MonkeyPatch, there: int, small: int, large: int
) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: there)
    assert (model_share(True), model_share(False)) == ((small, 1), (1, large))
    monkeypatch.setattr(cores, "usable_cores", lambda: 99)
    # --threads says how many cores there are for us
    assert (model_share(True, there), model_share(False, there)) == ((small, 1), (1, large))


@pytest.mark.parametrize(("told", "threads"), [(1, 1), (2, 1), (4, 1), (8, 2), (16, 4)])
def test_a_quarter_of_the_cores_steadies(told: int, threads: int) -> None:
    assert steadying_threads(told) == threads


def test_what_openmp_was_told_holds_unless_vidref_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(cores, "usable_cores", lambda: 10)
    assert (model_share(True), model_share(False)) == ((3, 3), (1, 3))
    assert (model_share(True, 8), model_share(False, 8)) == ((8, 1), (1, 4))
    monkeypatch.setenv("OMP_NUM_THREADS", "2,1")  # as OpenMP allows
    assert (model_share(True), model_share(False)) == ((8, 1), (1, 5))


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
