"""What a worker does with each kind of unit; the same in a local process and on a cluster.

The models stay warm from unit to unit, and what was prepared for a clip is kept for its next
segments. A worker knows nothing of the batch: it is given a unit, and tells what came of it.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidref.errors import OutputError, VidrefError
from vidref.fleet import storage
from vidref.fleet.units import (
    Analyse,
    Analysed,
    Delivered,
    Ended,
    Event,
    Examine,
    Examined,
    Failed,
    Join,
    Made,
    Make,
    Task,
    Unit,
    Whole,
)
from vidref.media.deinterlace import CombWatch
from vidref.media.segments import Cut
from vidref.media.stills import is_stills
from vidref.pipeline.plan import Plan
from vidref.pipeline.restore import NO_PACK, restore_clip, restore_pictures
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.stills import check_stills
from vidref.pipeline.target import Target, check_target, plan_clip
from vidref.settings import Settings

if TYPE_CHECKING:
    from vidref.faces.pack import FacePack
    from vidref.model.loading import CropRestorer
    from vidref.pipeline.late_model import KnownModel
    from vidref.pipeline.restoration import Restoration

Tell = Callable[[Event], None]


class Worker:
    """One at a time does units; keeps one model, one face pack and one clip's evidence warm."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._models: dict[tuple[Any, ...], CropRestorer] = {}
        self._described: dict[tuple[Any, ...], KnownModel] = {}
        self._packs: dict[tuple[Any, ...], FacePack] = {}
        self._prepared: tuple[tuple[Any, ...], Target, Restoration] | None = None

    def run(self, ticket: int, unit: Unit, tell: Tell) -> None:
        """Do a unit; whatever happens is told, and nothing is raised."""
        begun = time.monotonic()
        try:
            result, notes = self._do(ticket, unit, tell)
        except VidrefError as error:
            tell(Failed(ticket, str(error), traceback.format_exc(), for_good=True))
        except Exception as error:  # noqa: BLE001 - a bug in one clip must not stop the others
            words = " ".join(f"{type(error).__name__}: {error}".split())
            tell(Failed(ticket, words, traceback.format_exc(), for_good=False))
        else:
            tell(Ended(ticket, result, time.monotonic() - begun, notes))

    def _do(
        self, ticket: int, unit: Unit, tell: Tell
    ) -> tuple[Examined | Analysed | Delivered | None, tuple[str, ...]]:
        with _at_hand(unit.task) as here:
            match unit:
                case Examine():
                    return self._examine(here), ()
                case Analyse():
                    return self._analyse(here, unit.lend_to), ()
                case Make():
                    return None, self._make(here, ticket, unit, tell)
                case Join():
                    return self._join(here, unit), ()
                case Whole():
                    return self._whole(here, unit), ()

    # ---- the kinds of units

    def _examine(self, here: _Here) -> Examined:
        source, output, settings = here.source, here.output, here.settings
        here.refuse_to_replace()
        if is_stills(source):
            check_target(source, output, settings.output.overwrite)
            check_stills(source, output, settings)
            return Examined(None)
        target = plan_clip(source, output, settings)
        if settings.faces.pack == NO_PACK:
            return Examined(None)
        from vidref.pipeline.circumstances import circumstances
        from vidref.pipeline.sidecar import check_sidecar

        check_sidecar(output, settings.output.overwrite)
        return Examined(circumstances(source, target, settings, self._known(settings)))

    def _analyse(self, here: _Here, lend_to: str | None) -> Analysed:
        from vidref.pipeline.analyse import analyse_clip
        from vidref.pipeline.segmented import cut_of
        from vidref.pipeline.with_faces import has_work

        source, settings = here.source, here.settings
        plan = analyse_clip(source, settings, pack=self._pack(settings))
        if not has_work(plan):
            return Analysed(plan, None)
        target = plan_clip(source, here.output, settings)
        if lend_to is not None:
            from vidref.fleet.lending import keep_own_views

            keep_own_views(plan, source, target.clip.picture.colour, here.task.clip, Path(lend_to))
        return Analysed(plan, cut_of(source, target, plan, settings))

    def _make(self, here: _Here, ticket: int, unit: Make, tell: Tell) -> tuple[str, ...]:
        from vidref.pipeline.segmented import make_run

        target, restoration = self._ready(here, unit.plan)
        combs = CombWatch()
        with _Store(unit, ticket, self.name, tell) as store:
            make_run(
                store, unit.numbers, here.source, target, restoration, here.settings, combs, _nobody
            )
        return tuple(filter(None, [combs.sentence()]))

    def _join(self, here: _Here, unit: Join) -> Delivered:
        from vidref.pipeline.evidence import Evidence
        from vidref.pipeline.restoration import Restoration, touch_of
        from vidref.pipeline.segmented import join_all

        settings = here.settings
        target = plan_clip(here.source, here.output, settings)
        model = self._model(settings)
        restoration = Restoration(
            unit.plan,
            model,
            self._pack(settings),
            Evidence({}, {}),
            touch_of(settings, model, unit.plan),
            target.clip.picture.colour,
        )
        segments = [Path(unit.store) / f"{n:06}.segment" for n in range(len(unit.cut.segments))]
        result = join_all(
            segments, unit.facts, here.source, here.output, target, restoration, settings
        )
        return here.deliver(replace(result, warnings=(*unit.plan.notes, *result.warnings)))

    def _whole(self, here: _Here, unit: Whole) -> Delivered:
        source, output, settings = here.source, here.output, here.settings
        if unit.plan is not None:
            from vidref.pipeline.one_pass import in_one_pass
            from vidref.pipeline.with_faces import nothing_to_do

            result = in_one_pass(source, output, settings, _unwatched)
            told = (nothing_to_do(unit.plan), *unit.plan.notes, *result.warnings)
            return here.deliver(replace(result, warnings=told))
        model = None if settings.faces.pack == NO_PACK else self._model(settings)
        restore = restore_pictures if is_stills(source) else restore_clip
        return here.deliver(restore(source, output, settings, _unwatched, model))

    # ---- what stays warm

    def _known(self, settings: Settings) -> KnownModel:
        """What must be known of the model before there is a face for it."""
        from vidref.pipeline.late_model import LateModel

        wanted = settings.model
        key = (wanted.where, wanted.device, wanted.dtype)
        if key not in self._described:
            self._described = {key: LateModel(settings, self._models.get(key)).known}
        return self._described[key]

    def _model(self, settings: Settings) -> CropRestorer:
        """The model of these settings, computing with the threads that they name."""
        import cv2

        from vidref.pipeline.restoration import give_threads, open_model

        if settings.threads:
            cv2.setNumThreads(settings.threads)  # several workers share this machine
        wanted = settings.model
        key = (wanted.where, wanted.device, wanted.dtype)
        if key not in self._models:
            self._models = {}  # the one before is let go first: two might not fit
            self._prepared = None
            self._models[key] = open_model(settings)
        give_threads(self._models[key], settings)
        return self._models[key]

    def _pack(self, settings: Settings) -> FacePack:
        from vidref.faces.pack import load_pack

        key = (settings.faces.pack, settings.threads)
        if key not in self._packs:
            self._packs = {key: load_pack(*key)}
        return self._packs[key]

    def _ready(self, here: _Here, plan: Plan) -> tuple[Target, Restoration]:
        """What the segments of one clip have in common."""
        from vidref.pipeline.restoration import Restoration

        settings = here.settings
        model, pack = self._model(settings), self._pack(settings)
        facts = here.source.stat()
        key = (here.task, plan.source, facts.st_size, facts.st_mtime_ns, hash(plan.people))
        if self._prepared is None or self._prepared[0] != key:
            self._prepared = None
            target = plan_clip(here.source, here.output, settings)
            colour = target.clip.picture.colour
            restoration = Restoration.prepare(plan, here.source, colour, settings, model, pack)
            self._prepared = key, target, restoration
        return self._prepared[1:]


class _Here:
    """A task on this machine: real files, and the way back for the result."""

    def __init__(self, task: Task, scratch: Path | None) -> None:
        self.task = task
        self.source = storage.fetch(task.source)
        self._scratch = scratch
        self.output = (
            storage.as_path(task.output)
            if scratch is None
            else scratch / task.output.rpartition("/")[2]
        )
        self.settings = task.settings
        if task.references is not None:
            faces = task.settings.faces.model_copy(
                update={"references": storage.fetch(task.references)}
            )
            self.settings = task.settings.model_copy(update={"faces": faces})

    def refuse_to_replace(self) -> None:
        """What `check_target` does for files, for an object store."""
        place = self.task.output
        may_replace = self._scratch is None or self.settings.output.overwrite
        if not may_replace and storage.exists(place):
            raise OutputError(f"{place} exists already; give another place, or --overwrite.")

    def deliver(self, result: RestoreResult) -> Delivered:
        """Send what was made where it belongs."""
        beside = None if result.sidecar is None else f"{self.task.output}.json"
        if self._scratch is not None:
            if beside is not None and result.sidecar is not None:
                storage.send(result.sidecar, beside)
            if self.output.is_dir():
                for file in sorted(self.output.iterdir()):
                    storage.send(file, storage.join(self.task.output, file.name))
            else:
                storage.send(self.output, self.task.output)
        return Delivered(result.frames, result.faces, result.encoder, beside, result.warnings)


@contextmanager
def _at_hand(task: Task) -> Iterator[_Here]:
    if not storage.is_url(task.output):
        yield _Here(task, None)
        return
    scratch = Path(tempfile.mkdtemp(prefix="vidref-"))
    try:
        yield _Here(task, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Store:
    """Takes the segments of a unit: each under a name of this unit's own, then told.

    Nobody else writes under these names, so a worker that everyone believes dead does no harm.
    """

    def __init__(self, unit: Make, ticket: int, worker: str, tell: Tell) -> None:
        self.cut: Cut | None = unit.cut
        self._unit, self._ticket, self._worker, self._tell = unit, ticket, worker, tell
        self._scratch: Path | None = None
        self._begun = time.monotonic()

    def __enter__(self) -> _Store:
        if storage.is_url(self._unit.store):
            self._scratch = Path(tempfile.mkdtemp(prefix="vidref-"))
        return self

    def __exit__(self, *_: object) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def path_of(self, number: int) -> Path:
        folder = self._scratch or storage.as_path(self._unit.store)
        return folder / self._name(number)

    def accept(self, number: int, facts: dict[str, Any] | None = None) -> None:
        if self._scratch is not None:
            path = self.path_of(number)
            storage.send(path, storage.join(self._unit.store, path.name))
            path.unlink()
        now = time.monotonic()
        seconds, self._begun = now - self._begun, now
        name = self._name(number)
        self._tell(Made(self._ticket, number, name, facts or {}, seconds, self._worker))

    def _name(self, number: int) -> str:
        return f"{number:06}.{self._unit.token}.segment"


def _nobody() -> None:
    """Progress is told by whole segments."""


def _unwatched(progress: object) -> None:
    """The same for what has no segments."""
