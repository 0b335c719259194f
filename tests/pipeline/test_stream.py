"""Queues that keep the order, bound the memory, and never swallow an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from vidref.pipeline.stream import in_order, run_ahead


def test_items_come_out_in_order() -> None:
    assert list(run_ahead(range(1000), depth=4)) == list(range(1000))


def test_the_producer_never_runs_further_ahead_than_the_depth() -> None:
    made: list[int] = []

    def produce() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = run_ahead(produce(), depth=3)
    next(items)
    time.sleep(0.3)
    # one was taken, three wait in the queue, one is in the producer's hand
    assert len(made) <= 5
    items.close()


def test_the_producers_error_is_raised_where_its_item_would_have_come() -> None:
    def produce() -> Iterator[int]:
        yield 1
        raise ValueError("broken packet")

    items = run_ahead(produce(), depth=2)
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken packet"):
        next(items)


def test_closing_early_stops_the_producer_and_its_thread() -> None:
    def produce() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    before = threading.active_count()
    items = run_ahead(produce(), depth=2)
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 3])
def test_what_several_threads_make_comes_out_in_the_items_order(threads: int) -> None:
    busy: list[int] = []

    def slowly(number: int) -> tuple[int, int]:
        busy.append(number)
        together = len(busy)
        time.sleep(0.002 * (number % 3))
        busy.remove(number)
        return number * number, together

    made = list(in_order(slowly, range(40), threads))
    assert [square for square, _ in made] == [number * number for number in range(40)]
    assert max(together for _, together in made) == threads


def test_the_error_of_one_of_several_threads_is_raised_in_its_place() -> None:
    def halved(number: int) -> int:
        if number == 3:
            raise ValueError("odd one")
        return number // 2

    made = in_order(halved, range(10), 2)
    assert [next(made) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ValueError, match="odd one"):
        next(made)
