"""Bounded queues between stages: the slowest stage is always busy, and memory never grows."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class _Ended:
    """The stage's last word: how it ended."""

    error: BaseException | None


def run_ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Produce `items` in a thread of their own, at most `depth` ahead of whoever takes them.

    The producer's exception is raised here, in its place; closing this iterator stops the producer
    and waits for it, so that nothing still reads a file that is about to be closed.
    """
    waiting: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        error: BaseException | None = None
        source = iter(items)
        try:
            for item in source:
                if not put(item):
                    break
        except BaseException as raised:  # noqa: BLE001 - handed to the consumer, who raises it
            error = raised
        finally:
            if isinstance(source, Generator):
                source.close()  # so that a stage which is stopped stops those before it
        put(_Ended(error))

    thread = threading.Thread(target=produce, name="vidref-decode", daemon=True)
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _Ended):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stopped.set()
        thread.join()


def in_order(do: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R, None, None]:
    """What `do` makes of each item, in the items' order, of so many at the same time."""
    if threads == 1:
        yield from map(do, items)
        return
    with ThreadPoolExecutor(threads, "vidref-worker") as pool:
        begun: deque[Future[R]] = deque()
        try:
            for item in items:
                begun.append(pool.submit(do, item))
                if len(begun) > threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            for waiting in begun:
                waiting.cancel()
