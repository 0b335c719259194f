"""`vidref restore`, whole: analyse, then rebuild the faces, and change nothing else.

A file is made as a job of segments, which survives whatever kills the run. A pipe, and a clip
without a face to restore, are made in one pass.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from vidref.errors import InputError
from vidref.model.loading import CropRestorer
from vidref.pipeline.analyse import analyse_clip
from vidref.pipeline.circumstances import circumstances
from vidref.pipeline.journal import Job
from vidref.pipeline.one_pass import in_one_pass
from vidref.pipeline.plan import Plan
from vidref.pipeline.plan_file import check_source, load_plan, save_plan
from vidref.pipeline.progress import OnProgress, ignore_progress
from vidref.pipeline.restoration import Restoration, open_model
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.segmented import in_segments
from vidref.pipeline.sidecar import sidecar, sidecar_path, write_sidecar
from vidref.pipeline.stills import check_stills, write_stills
from vidref.pipeline.target import PIPE, Target, check_target, plan_clip
from vidref.settings import Settings

NO_PACK = "none"
"""`--faces none`: nothing is looked for, and the clip passes through."""


def restore_clip(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
    model: CropRestorer | None = None,
) -> RestoreResult:
    """Restore `source` into `output`; `model` is one that is warm already."""
    begun = time.monotonic()
    check_target(source, output, settings.output.overwrite)
    if settings.faces.pack == NO_PACK:
        return in_one_pass(source, output, settings, on_progress)
    if source == PIPE:
        raise InputError(
            "Standard input can be read only once, and restoring faces takes two passes: give a "
            "file, or --faces none to pass the clip through as it is."
        )
    # whatever cannot work is refused before the long work
    target = plan_clip(source, output, settings)
    model = model or open_model(settings)
    if output == PIPE:
        plan = find_faces(source, settings, on_progress)
        result = _without_job(source, output, target, settings, on_progress, plan, model)
    else:
        result = _as_job(source, output, settings, on_progress, target, model)
    return replace(result, seconds=time.monotonic() - begun)


def restore_pictures(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
    model: CropRestorer | None = None,
) -> RestoreResult:
    """The same for a photo or a folder of frames, which is done again rather than resumed."""
    begun = time.monotonic()
    check_target(source, output, settings.output.overwrite)
    check_stills(source, output, settings)
    if settings.faces.pack == NO_PACK:
        return write_stills(source, output, settings, on_progress)[0]
    model = model or open_model(settings)
    plan = find_faces(source, settings, on_progress)
    if not has_work(plan):
        result, _ = write_stills(source, output, settings, on_progress)
        notes: tuple[str, ...] = (nothing_to_do(plan), *plan.notes)
    else:
        restoration = Restoration.prepare(plan, source, None, settings, model)
        result, facts = write_stills(source, output, settings, on_progress, restoration)
        beside = sidecar_path(output)
        write_sidecar(beside, sidecar(restoration, settings, facts))
        result, notes = replace(result, sidecar=beside), plan.notes
    seconds = time.monotonic() - begun
    return replace(result, warnings=(*notes, *result.warnings), seconds=seconds)


def find_faces(source: Path, settings: Settings, on_progress: OnProgress) -> Plan:
    """The plan that the user gave, or a new analysis."""
    given = settings.faces.plan
    if given is None:
        return analyse_clip(source, settings, on_progress)
    plan = load_plan(given)
    check_source(plan, given, source)
    return plan


def nothing_to_do(plan: Plan) -> str:
    """Why no face of the clip is restored."""
    if not plan.tracks:
        return "No face was found: the picture is as it was."
    reasons = "; ".join(dict.fromkeys(track.why.rstrip(".") for track in plan.tracks))
    return f"No face was restored ({reasons}): the picture is as it was."


def has_work(plan: Plan) -> bool:
    return any(plan.is_restored(track) for track in plan.tracks)


def _as_job(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress,
    target: Target,
    model: CropRestorer,
) -> RestoreResult:
    known = circumstances(source, target, settings, model)
    with Job.open(output, known, settings.job.restart) as job:
        if job.plan_path.exists():
            plan = load_plan(job.plan_path)
        else:
            plan = find_faces(source, settings, on_progress)
            save_plan(plan, job.plan_path)
        if not has_work(plan):
            return _without_job(source, output, target, settings, on_progress, plan, model)
        colour = target.clip.picture.colour
        restoration = Restoration.prepare(plan, source, colour, settings, model)
        result, facts = in_segments(job, source, output, target, restoration, settings, on_progress)
        beside = sidecar_path(output)
        write_sidecar(beside, sidecar(restoration, settings, facts))
        job.finish()
    return replace(result, warnings=(*plan.notes, *result.warnings), sidecar=beside)


def _without_job(
    source: Path,
    output: Path,
    target: Target,
    settings: Settings,
    on_progress: OnProgress,
    plan: Plan,
    model: CropRestorer,
) -> RestoreResult:
    restoration = None
    notes = plan.notes
    if has_work(plan):
        colour = target.clip.picture.colour
        restoration = Restoration.prepare(plan, source, colour, settings, model)
    else:
        notes = (nothing_to_do(plan), *notes)
    result = in_one_pass(source, output, settings, on_progress, restoration)
    return replace(result, warnings=(*notes, *result.warnings))
