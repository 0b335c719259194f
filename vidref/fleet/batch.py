"""`vidref batch`, whole: what is wanted goes into the state, a schedule works it off."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

from vidref.errors import InputError, OutputError
from vidref.fleet import storage
from vidref.fleet.local import PER_GPU, LocalPool, count_gpus
from vidref.fleet.pool import MakeWorker, Pool, usual_worker
from vidref.fleet.requests import Wanted, requests_of, settings_of
from vidref.fleet.schedule import Schedule, Terms
from vidref.fleet.state import BatchState, ClipRow, Request
from vidref.fleet.summary import write_page
from vidref.machine import usable_cores

STATE_FOLDER, STATE_FILE, PEOPLE, PAGE = ".vidref-batch", "state.sqlite", "people", "batch.html"
PAGE_EVERY_S = 15.0
LOOK_EVERY_S = 3.0
"""How often a watched folder is looked at."""


@dataclass(frozen=True)
class Engine:
    """Where the work is done; `workers` 0 is as many as fit."""

    kind: str = "local"
    workers: int = 0
    address: str = "auto"
    tries: int = 3
    watch: bool = False
    share_people: bool = False
    state: Path | None = None
    make_worker: MakeWorker = usual_worker


@dataclass(frozen=True)
class Outcome:
    """How a batch stands when its run has ended."""

    clips: tuple[ClipRow, ...]
    page: Path

    @property
    def failed(self) -> int:
        return sum(clip.state == "failed" for clip in self.clips)


def state_folder(output: str, given: Path | None = None) -> Path:
    """Where what is known of a batch is kept: with its results, if these are files."""
    if given is not None:
        return given
    if storage.is_url(output):
        return storage.folder_here(output)
    return storage.as_path(output).resolve() / STATE_FOLDER


def open_state(output: str, given: Path | None = None, create: bool = False) -> BatchState:
    return BatchState(state_folder(output, given) / STATE_FILE, create)


def run_batch(
    source: str,
    wanted: Wanted,
    engine: Engine,
    on_turn: Callable[[BatchState], None] = lambda state: None,
) -> Outcome:
    """Everything that `source` names, restored into `wanted.output`; returns how it ended."""
    if engine.watch and engine.share_people:
        raise InputError(
            "--share-people needs all clips at the beginning, and --watch waits for more: "
            "use one of them."
        )
    if engine.kind == "ray":
        wanted = _with_threads(wanted)
    requests = requests_of(source, wanted)
    if not requests and not engine.watch:
        raise InputError(f"There are no clips in {source}: check the path, or give --pattern.")
    folder = state_folder(wanted.output, engine.state)
    page = _page_of(wanted.output, folder)
    with ExitStack() as stack:
        state = stack.enter_context(BatchState(folder / STATE_FILE, create=True))
        state.set_note("source", source)
        state.set_note("output", wanted.output)
        arrivals = None
        if engine.watch:
            arrivals = _Arrivals(source, wanted, state).look
        else:
            _add(state, requests)
        workers, joiners = stack.enter_context(_pools(engine, wanted))
        show = _Shown(state, page, wanted.output, on_turn)
        people = folder / PEOPLE if engine.share_people else None
        terms = Terms(engine.tries, folder, people, arrivals, show.turn)
        try:
            Schedule(state, workers, joiners, terms).run()
        except KeyboardInterrupt:
            if not engine.watch:
                raise
        finally:
            show.write()
        return Outcome(tuple(state.clips()), page)


def _add(state: BatchState, requests: Sequence[Request]) -> None:
    for request in requests:
        if not storage.is_url(request.output):
            parent = Path(request.output).parent
            try:
                parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise OutputError(f"The folder {parent} cannot be made ({reason}).") from error
    state.add(requests)


@contextmanager
def _pools(engine: Engine, wanted: Wanted) -> Iterator[tuple[Pool, Pool]]:
    settings = settings_of(wanted)
    with ExitStack() as stack:
        if engine.kind == "ray":
            from vidref.fleet.cluster import RayPool

            # Ray prints pages about every process that is lost; what matters is in the state
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(redirect_stdout(nowhere))
            workers = RayPool(engine.address, engine.workers, settings, engine.make_worker)
            stack.callback(workers.close)
            joiners = LocalPool(1, make_worker=engine.make_worker)
            stack.callback(joiners.close)
            yield workers, joiners
            return
        gpus = count_gpus() if settings.model.device in ("auto", "cuda") else 0
        usual = gpus * PER_GPU or max(1, usable_cores() // (settings.threads or 10**6))
        pool = LocalPool(engine.workers or usual, gpus, engine.make_worker)
        stack.callback(pool.close)
        yield pool, pool


def _with_threads(wanted: Wanted) -> Wanted:
    """On a cluster "all cores" is not the same everywhere: the number is decided here, once."""
    if settings_of(wanted).threads:
        return wanted
    return Wanted(
        wanted.output,
        {**wanted.flags, "threads": usable_cores()},
        wanted.config,
        wanted.references,
        wanted.patterns,
        wanted.recursive,
    )


def _page_of(output: str, folder: Path) -> Path:
    if storage.is_url(output):
        return folder / PAGE
    return storage.as_path(output).resolve() / PAGE


class _Arrivals:
    """New clips of a watched folder: each once its size has been the same for two looks."""

    def __init__(self, source: str, wanted: Wanted, state: BatchState) -> None:
        self._source, self._wanted, self._state = source, wanted, state
        self._sizes: dict[str, int] = {}
        self._known: set[str] = set()
        self._looked = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked = now
        ready = []
        for request in requests_of(self._source, self._wanted):
            if request.output in self._known:
                continue
            size = _size(request.source)
            if size is not None and self._sizes.get(request.output) == size:
                ready.append(request)
                self._known.add(request.output)
                self._sizes.pop(request.output)
            elif size is not None:
                self._sizes[request.output] = size
        if ready:
            _add(self._state, ready)


def _size(place: str) -> int | None:
    """Bytes so far; an object store shows only what is whole."""
    if storage.is_url(place):
        return 0
    with suppress(OSError):
        return storage.as_path(place).stat().st_size
    return None


class _Shown:
    """Keeps the page fresh, and tells whoever watches."""

    def __init__(
        self, state: BatchState, page: Path, output: str, on_turn: Callable[[BatchState], None]
    ) -> None:
        self._state, self._page, self._output, self._on_turn = state, page, output, on_turn
        self._written = time.monotonic()

    def turn(self) -> None:
        self._on_turn(self._state)
        if time.monotonic() - self._written > PAGE_EVERY_S:
            self.write()

    def write(self) -> None:
        write_page(self._state.clips(), self._page, f"vidref batch: {self._output}")
        self._written = time.monotonic()
