"""One clip on its way: which unit comes next, and what its job has already.

The job (`pipeline.journal`) is opened here, in the one process that schedules, and is the truth
about finished segments: whatever a worker made counts once it is accepted.
"""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vidref.errors import OutputError
from vidref.fleet import storage
from vidref.fleet.state import ClipRow
from vidref.fleet.units import (
    Analyse,
    Analysed,
    Delivered,
    Examine,
    Examined,
    Join,
    Made,
    Make,
    Task,
    Unit,
    Whole,
)
from vidref.media.segments import Cut
from vidref.pipeline.journal import Job, job_folder
from vidref.pipeline.plan import Plan
from vidref.pipeline.plan_file import load_plan, save_plan
from vidref.settings import Settings

LONGEST_RUN = 8
"""Segments that a worker is given at once; fewer when there are few left, so that all end
together."""


class InHand:
    """A clip that this schedule has claimed."""

    def __init__(self, row: ClipRow, folder: Path, lend_to: str | None) -> None:
        """`folder`: where a job is kept whose output has no folder on this machine."""
        settings = Settings.model_validate_json(row.settings)
        self.row = row
        self.task = Task(row.id, row.source, row.output, settings, row.refs)
        if row.begun:
            self._begin()
        self.flying: dict[int, Unit] = {}
        self.failures: Counter[tuple[str, int]] = Counter()
        """How often each unit failed: its kind, and the first segment that it left undone."""
        self.is_held = False
        """Analysed, and waiting for the views of other clips."""
        self._lend_to = lend_to
        self._lent_plan: Plan | None = None
        self._folder = folder
        self._next: Unit | None = Examine(self.task)
        self._runs: deque[range] = deque()
        self._known: dict[str, str] = {}
        self._job: Job | None = None
        self._plan: Plan | None = None
        self._warnings: dict[str, None] = {}
        self._restart = settings.job.restart and not row.begun

    @property
    def step(self) -> str:
        """What is being done, in a word."""
        match next(iter(self.flying.values()), self._next):
            case Examine():
                return "look"
            case Analyse():
                return "analyse"
            case Join():
                return "join"
        return "wait for the others" if self.is_held else "restore"

    @property
    def cut(self) -> Cut:
        assert self._job is not None and self._job.cut is not None
        return self._job.cut

    @property
    def plan(self) -> Plan:
        assert self._plan is not None
        return self._plan

    @property
    def has_cut(self) -> bool:
        return self._job is not None and self._job.cut is not None

    @property
    def is_past_analysis(self) -> bool:
        units = [self._next, *self.flying.values()]
        return not any(isinstance(unit, Examine | Analyse) for unit in units)

    @property
    def has_unit(self) -> bool:
        """Whether something could be done now."""
        return not self.is_held and bool(self._next is not None or self._runs or self._lent_plan)

    @property
    def is_to_join(self) -> bool:
        return isinstance(self._next, Join)

    def finished(self) -> list[int]:
        """Segments that the journal has."""
        return [] if self._job is None else list(self._job.finished)

    def unit(self, workers: int) -> Unit | None:
        """The next thing that can be done for this clip now."""
        if self._lent_plan is not None:
            self._take_up(self._lent_plan)
        if self._next is not None:
            unit, self._next = self._next, None
            return unit
        if self.is_held or not self._runs:
            return None
        left = sum(map(len, self._runs))
        run = self._runs.popleft()
        share = max(1, min(LONGEST_RUN, left // (2 * workers)))
        if self.cut.enters and len(run) > share:
            self._runs.appendleft(run[share:])
            run = run[:share]
        token = uuid.uuid4().hex[:12]
        return Make(self.task, self.plan, self.cut, run, self._store, token)

    def take(self, result: Examined | Analysed | Delivered | None) -> Delivered | None:
        """A unit has ended; returns what came of the clip when that was the last."""
        if isinstance(result, Delivered):
            return replace(
                result, warnings=tuple(dict.fromkeys((*result.warnings, *self._warnings)))
            )
        if isinstance(result, Examined):
            self._after_looking(result)
        elif isinstance(result, Analysed):
            self._after_analysis(result)
        self._join_if_whole()
        return None

    def accept(self, made: Made) -> None:
        """A segment is there: under its own name from now on, and in the journal."""
        assert self._job is not None
        path = self._job.path_of(made.number)
        if storage.is_url(self._store):
            place = storage.join(self._store, made.file)
            storage.fetch_to(place, path)
            storage.remove(place)
        else:
            path.with_name(made.file).replace(path)
        self._job.accept(made.number, made.facts)

    def put_back(self, unit: Unit) -> None:
        """A unit was not done: what is left of it waits again."""
        if not isinstance(unit, Make):
            self._next = unit
            return
        done = set(self.finished())
        left = [number for number in unit.numbers if number not in done]
        self._runs.extendleft(reversed([run for run, _ in self.cut.runs(left)]))
        self._join_if_whole()

    def note(self, sentences: tuple[str, ...]) -> None:
        self._warnings.update(dict.fromkeys(sentences))

    def failed(self, unit: Unit) -> int:
        """Count a failure of this unit, and say how often the same has failed."""
        first = -1
        if isinstance(unit, Make):
            done = set(self.finished())
            first = next((n for n in unit.numbers if n not in done), unit.numbers[-1])
        self.failures[type(unit).__name__, first] += 1
        return self.failures[type(unit).__name__, first]

    def let_on(self, add: Callable[[Plan], Plan]) -> None:
        """All clips are analysed: `add` puts what others show into this one's plan."""
        self._lent_plan = add(load_plan(self._own_plan))
        self.is_held = False

    def finish(self) -> None:
        """The output is where it belongs."""
        if self._job is not None:
            self._job.finish()
        self._forget_store()

    def close(self) -> None:
        """Leave the clip as it is; what is finished stays for another time."""
        if self._job is not None:
            self._job.close()

    def _begin(self) -> None:
        """The output's place was found free: what lies there from now on is this batch's own."""
        output = self.task.settings.output.model_copy(update={"overwrite": True})
        settings = self.task.settings.model_copy(update={"output": output})
        self.task = replace(self.task, settings=settings)

    @property
    def _store(self) -> str:
        """Where workers put segments."""
        if storage.is_url(self.task.output):
            folder = storage.parent_of(self.task.output)
            name = self.task.output.rpartition("/")[2]
            return storage.join(folder, f".{name}.vidref-job")
        return str(job_folder(self._job_output))

    @property
    def _job_output(self) -> Path:
        if not storage.is_url(self.task.output):
            return storage.as_path(self.task.output)
        return self._folder / str(self.task.clip) / self.task.output.rpartition("/")[2]

    def _after_looking(self, found: Examined) -> None:
        self._begin()
        if found.known is None:
            self._next = Whole(self.task)
            return
        self._known = found.known
        self._open_job()
        assert self._job is not None
        if self._job.plan_path.exists() and self._job.cut is not None:
            self._plan = load_plan(self._job.plan_path)
            self._set_runs()
        else:
            self._next = Analyse(self.task, self._lend_to)

    def _after_analysis(self, found: Analysed) -> None:
        assert self._job is not None
        self._plan = found.plan
        if found.cut is None:
            self._job.close()  # nothing is kept of it
            self._job = None
            self._next = Whole(self.task, found.plan)
            return
        self._job.set_cut(found.cut)
        if self._lend_to is None:
            save_plan(found.plan, self._job.plan_path)
            self._set_runs()
            return
        # many clips may wait for the last one's analysis: what they hold meanwhile is on disk
        self._own_plan.parent.mkdir(parents=True, exist_ok=True)
        save_plan(found.plan, self._own_plan)
        self._plan, self.is_held = None, True
        self._job.close()
        self._job = None

    def _take_up(self, plan: Plan) -> None:
        """Go on with a plan that has what others lent."""
        self._plan, self._lent_plan = plan, None
        self._open_job()
        assert self._job is not None
        save_plan(plan, self._job.plan_path)
        self._own_plan.unlink(missing_ok=True)
        self._set_runs()

    def _open_job(self) -> None:
        output = self._job_output
        output.parent.mkdir(parents=True, exist_ok=True)
        self._job = Job.open(output, self._known, self._restart)
        self._restart = False

    @property
    def _own_plan(self) -> Path:
        return self._folder / f"{self.task.clip}.plan.json"

    def _set_runs(self) -> None:
        assert self._job is not None
        self._runs = deque(run for run, _ in self.cut.runs(self._job.missing()))

    def _join_if_whole(self) -> None:
        if self._job is None or self._job.cut is None or self.is_held:
            return
        if self._runs or self._next or self._job.missing():
            return
        if any(isinstance(unit, Join) for unit in self.flying.values()):
            return
        facts = tuple(finished.facts for finished in self._job.finished.values())
        self._next = Join(self.task, self.plan, self.cut, str(job_folder(self._job_output)), facts)

    def _forget_store(self) -> None:
        if storage.is_url(self.task.output):
            storage.remove(self._store)


def sweep(row: ClipRow) -> None:
    """Remove the job of a clip that was delivered just before its process was killed."""
    if storage.is_url(row.output):
        return
    output = storage.as_path(row.output)
    if job_folder(output).is_dir():
        try:
            Job.open(output, {}, restart=True).finish()
        except OutputError:
            return  # another run makes this output anew
