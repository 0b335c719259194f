"""Work that is done beside other work, where the machine has a core for it.

The bundled networks are small: a layer takes a third of a millisecond, and waking a second thread
for each of them costs as much as it saves (a 640 px frame in 25.0 ms with two threads a layer and
in 24.1 with one, for an eighth more CPU). So whole pieces of work are given to a second thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Beside:
    """A second thread, if it may have a core; it does one thing after another."""

    def __init__(self, cores: int = 1) -> None:
        self._pool = ThreadPoolExecutor(1, "vidref-faces") if cores > 1 else None

    @property
    def is_there(self) -> bool:
        return self._pool is not None

    def start(self, work: Callable[[], Result]) -> Callable[[], Result]:
        """Begins it; what is returned waits for its result, or does it then if nobody else can.

        Work must not start and await other work here: it would wait for itself.
        """
        return work if self._pool is None else self._pool.submit(work).result


class Soon(Generic[Result]):
    """Something that is made in a thread of its own; until it is there one does without."""

    def __init__(self, make: Callable[[], Result], asked: int = 0) -> None:
        """Begun once it has been `asked` for so often: not for a few uses that would not pay."""
        self._made: Result | None = None
        self._thread = threading.Thread(target=self._keep, args=(make,), name="vidref-soon")
        self._turn, self._to_wait = threading.Lock(), asked
        if not asked:
            self._thread.start()

    def _keep(self, make: Callable[[], Result]) -> None:
        self._made = make()

    def now(self) -> Result | None:
        """It, or None as long as it is not there."""
        with self._turn:
            if self._to_wait:
                self._to_wait -= 1
                if not self._to_wait:
                    self._thread.start()
        return self._made

    def wait(self) -> Result | None:
        """It, once it is there."""
        while self._to_wait:
            self.now()
        self._thread.join()
        return self._made
