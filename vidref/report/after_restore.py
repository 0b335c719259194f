"""What is written once a restore is done: the report, and the figures and signature asked for.

All of it lies beside or around the finished file: none of it can change the picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vidref.errors import OutputError
from vidref.media.reader import Reader
from vidref.media.stills import is_stills
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.account import read_account
from vidref.pipeline.progress import OnProgress, Progress
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.sidecar import write_sidecar
from vidref.pipeline.support import Support, measure_support
from vidref.pipeline.target import PIPE
from vidref.report.credentials import Credentials, check_container, read_credentials, sign
from vidref.report.restore_report import Run, report_path, write_report
from vidref.settings import Settings


def restore_with_evidence(
    output: Path,
    settings: Settings,
    on_progress: OnProgress,
    restore: Callable[[OnProgress], RestoreResult],
) -> RestoreResult:
    """Restore, then write what was asked for; what cannot be written is refused before."""
    wanted = settings.evidence
    signer = check_evidence(output, settings)
    stages = StageTimes(on_progress)
    result = restore(stages)
    account = None if result.sidecar is None else read_account(result.sidecar)
    support: dict[str, Support] = {}
    if wanted.uncertainty and account is not None and result.sidecar is not None:
        support = _support(result, settings)
        people = tuple(
            replace(person, supported=_rounded(support.get(person.id))) for person in account.people
        )
        account = replace(account, people=people)
        write_sidecar(result.sidecar, account)
    if signer is not None:
        if account is None:
            told = "No face was restored, so there is nothing to say in a manifest: not signed."
            result = replace(result, warnings=(*result.warnings, told))
        else:
            sign(output, result.source, account, signer)
    if wanted.report:
        page = report_path(output)
        write_report(Run(result, settings, account, stages.seconds(), support), page)
        result = replace(result, report=page)
    return result


def _support(result: RestoreResult, settings: Settings) -> dict[str, Support]:
    from vidref.pipeline.restoration import Restoration, open_model

    assert result.plan is not None
    colour = None
    if not is_stills(result.source):
        with Reader(result.source) as reader:
            colour = reader.clip.picture.colour
    model = open_model(settings)
    restoration = Restoration.prepare(result.plan, result.source, colour, settings, model)
    return measure_support(restoration, result.source, settings.threads)


def _rounded(support: Support | None) -> float | None:
    return None if support is None else round(support.supported, 3)


def check_evidence(output: Path, settings: Settings) -> Credentials | None:
    """Refuse at once what would fail after the long work."""
    if output == PIPE:
        raise OutputError(
            "Standard output has nothing beside it: --report, --uncertainty and --c2pa need the "
            "name of a file."
        )
    if settings.evidence.report:
        page = report_path(output)
        if page.exists() and not settings.output.overwrite:
            raise OutputError(f"{page} exists already; move it away, or --overwrite.")
        UnfinishedFile(page).discard()
    wanted = settings.evidence
    if not wanted.c2pa or wanted.certificate is None or wanted.key is None:
        return None
    check_container(output)
    return read_credentials(wanted.certificate, wanted.key)


class StageTimes:
    """Passes progress on, and notes how long each stage took."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        self._first.setdefault(progress.stage, now - progress.seconds)
        self._last[progress.stage] = now
        self._on_progress(progress)

    def seconds(self) -> tuple[tuple[str, float], ...]:
        return tuple((stage, self._last[stage] - begun) for stage, begun in self._first.items())
