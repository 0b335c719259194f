"""`vidref restore`, whole: what needs no model is decided here, at once.

torch and the models are loaded only where there are faces to look for.
"""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vidref.errors import InputError
from vidref.pipeline.one_pass import in_one_pass
from vidref.pipeline.progress import OnProgress, ignore_progress
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.stills import check_stills, write_stills
from vidref.pipeline.target import PIPE, check_target, plan_clip
from vidref.settings import Settings

if TYPE_CHECKING:
    from vidref.model.loading import CropRestorer

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
    target = plan_clip(source, output, settings)
    from vidref.pipeline.with_faces import rebuild_clip

    result = rebuild_clip(source, output, settings, on_progress, target, model)
    return replace(result, seconds=time.monotonic() - begun)


def restore_pictures(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
    model: CropRestorer | None = None,
) -> RestoreResult:
    """The same for a photo or a folder of frames."""
    begun = time.monotonic()
    check_target(source, output, settings.output.overwrite)
    check_stills(source, output, settings)
    if settings.faces.pack == NO_PACK:
        return write_stills(source, output, settings, on_progress)[0]
    from vidref.pipeline.with_faces import rebuild_pictures

    result = rebuild_pictures(source, output, settings, on_progress, model)
    return replace(result, seconds=time.monotonic() - begun)
