"""One way in for `vidref compare`: what is given decides between page, clip and pictures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vidref.errors import InputError, OutputError, SettingsError
from vidref.media.stills import is_stills
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.plan_file import check_source, load_plan
from vidref.pipeline.progress import OnProgress
from vidref.pipeline.restore import NO_PACK
from vidref.pipeline.target import PIPE, check_target
from vidref.report.compare_page import Comparison, known, write_compare_page
from vidref.report.compare_stills import write_stills_page
from vidref.report.compare_video import Layout, write_compare_video
from vidref.settings import Settings

PAGE_SUFFIXES = (".html", ".htm")


def compare_clips(
    before: Path,
    after: Path,
    output: Path,
    settings: Settings,
    layout: Layout | None,
    shift: Fraction | None,
    on_progress: OnProgress,
) -> list[str]:
    """Write what was asked for; returns the sentences that the user must hear."""
    _check(before, after, output, settings, layout)
    start, end = settings.span.bounds
    comparison = known(Comparison(before, after, start, end, shift))
    if layout is not None:
        return write_compare_video(comparison, output, layout, settings, on_progress)
    if settings.faces.plan is not None:
        plan = load_plan(settings.faces.plan)
        check_source(plan, settings.faces.plan, before)
        comparison = replace(comparison, account=None, plan=plan)
    elif comparison.account is None and settings.faces.pack != NO_PACK:
        from vidref.pipeline.analyse import analyse_clip

        comparison = replace(comparison, plan=analyse_clip(before, settings, on_progress))
    if is_stills(before):
        return write_stills_page(comparison, output, on_progress)
    return write_compare_page(comparison, output, on_progress, settings.threads)


def _check(
    before: Path, after: Path, output: Path, settings: Settings, layout: Layout | None
) -> None:
    """What cannot be is refused before anything is read."""
    for source in (before, after):
        if source == PIPE:
            raise InputError("A comparison reads its files several times: name files, not -.")
        if not source.exists():
            raise InputError(f"{source} does not exist; check the path.")
    if is_stills(before) != is_stills(after):
        raise InputError(f"{before} and {after} are a clip and a photo: give two of a kind.")
    if output == PIPE:
        raise OutputError("A comparison cannot be written to standard output: name a file.")
    is_page = output.suffix.lower() in PAGE_SUFFIXES
    if layout is None and not is_page:
        raise SettingsError(f"{output} is not the name of a page: end it in .html, or add --video.")
    if layout is not None and is_page:
        raise SettingsError(f"{output} is the name of a page: leave out --video, or name a clip.")
    for source in (before, after):
        if output.exists() and output.samefile(source):
            raise OutputError(f"{output} is one of the clips; give the result another name.")
    check_target(before, output, settings.output.overwrite)
    UnfinishedFile(output).discard()
