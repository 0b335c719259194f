"""The part of `vidref restore` that needs the models: find the faces, rebuild them, tell of it.

A file is made as a job of segments, which survives whatever kills the run. A pipe, and a clip
without a face to restore, are made in one pass; photos are done again rather than resumed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vidref.pipeline.analyse import analyse_clip
from vidref.pipeline.circumstances import circumstances
from vidref.pipeline.journal import Job
from vidref.pipeline.late_model import LateModel
from vidref.pipeline.memory import one_heap
from vidref.pipeline.one_pass import in_one_pass
from vidref.pipeline.plan import Plan
from vidref.pipeline.plan_file import check_source, load_plan, save_plan
from vidref.pipeline.progress import OnProgress
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.sidecar import (
    check_sidecar,
    sidecar,
    sidecar_path,
    statement,
    write_sidecar,
)
from vidref.pipeline.stills import write_stills
from vidref.pipeline.target import PIPE, Target
from vidref.settings import Settings

if TYPE_CHECKING:
    from vidref.media.colour import Colour
    from vidref.model.loading import CropRestorer
    from vidref.pipeline.restoration import Restoration


def rebuild_clip(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress,
    target: Target,
    model: CropRestorer | None,
) -> RestoreResult:
    """A clip whose target is decided."""
    # what cannot work is refused before the long work
    check_sidecar(output, settings.output.overwrite)
    one_heap()
    late = LateModel(settings, model)
    if output == PIPE:
        plan = find_faces(source, settings, on_progress, late)
        return _without_job(source, output, target, settings, on_progress, plan, late)
    return _as_job(source, output, settings, on_progress, target, late)


def rebuild_pictures(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress,
    model: CropRestorer | None,
) -> RestoreResult:
    """A photo or a folder of frames."""
    check_sidecar(output, settings.output.overwrite)
    late = LateModel(settings, model)
    plan = find_faces(source, settings, on_progress, late)
    if not has_work(plan):
        result, _ = write_stills(source, output, settings, on_progress)
        told = (nothing_to_do(plan), *plan.notes, *result.warnings)
        return replace(result, warnings=told, plan=plan)
    restoration = _prepared(plan, source, None, settings, late)
    result, facts = write_stills(source, output, settings, on_progress, restoration)
    beside = sidecar_path(output)
    write_sidecar(beside, sidecar(restoration, settings, facts))
    told = (*plan.notes, *result.warnings)
    return replace(result, warnings=told, sidecar=beside, plan=plan)


def find_faces(source: Path, settings: Settings, on_progress: OnProgress, late: LateModel) -> Plan:
    """The plan that the user gave, or a new analysis, beside which the model is loaded."""
    given = settings.faces.plan
    if given is None:
        return analyse_clip(source, settings, on_progress, on_face=late.begin)
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
    late: LateModel,
) -> RestoreResult:
    known = circumstances(source, target, settings, late.known)
    with Job.open(output, known, settings.job.restart) as job:
        if job.plan_path.exists():
            plan = load_plan(job.plan_path)
        else:
            plan = find_faces(source, settings, on_progress, late)
            save_plan(plan, job.plan_path)
        if not has_work(plan):
            return _without_job(source, output, target, settings, on_progress, plan, late)
        from vidref.pipeline.segmented import in_segments

        restoration = _prepared(plan, source, target.clip.picture.colour, settings, late)
        result = in_segments(job, source, output, target, restoration, settings, on_progress)
        job.finish()
    return replace(result, warnings=(*plan.notes, *result.warnings), plan=plan)


def _without_job(
    source: Path,
    output: Path,
    target: Target,
    settings: Settings,
    on_progress: OnProgress,
    plan: Plan,
    late: LateModel,
) -> RestoreResult:
    if not has_work(plan):
        result = in_one_pass(source, output, settings, on_progress)
        told = (nothing_to_do(plan), *plan.notes, *result.warnings)
        return replace(result, warnings=told, plan=plan)
    restoration = _prepared(plan, source, target.clip.picture.colour, settings, late)
    said = statement(restoration, settings)
    result = in_one_pass(source, output, settings, on_progress, restoration, said)
    return replace(result, warnings=(*plan.notes, *result.warnings), plan=plan)


def _prepared(
    plan: Plan, source: Path, colour: Colour | None, settings: Settings, late: LateModel
) -> Restoration:
    """There are faces to restore: now torch is needed, and the model."""
    from vidref.pipeline.restoration import Restoration

    return Restoration.prepare(plan, source, colour, settings, late.get())
