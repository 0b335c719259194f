"""How a run shows itself: a bar on a terminal, plain lines in a log, JSON lines to a program.

Everything but the final JSON result goes to standard error, so that standard output can carry
the clip itself.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

import click

if TYPE_CHECKING:
    from vidref.pipeline.progress import Progress

PLAIN_LINE_EVERY_S = 5.0


class Reporter:
    """Shows progress while it is entered, and results whenever asked."""

    def __init__(self, quiet: bool, as_json: bool) -> None:
        self._quiet = quiet
        self._json = as_json
        self._bar: Any = None
        self._task: Any = None
        self._last_line = 0.0

    def __enter__(self) -> Self:
        if not self._quiet and not self._json and sys.stderr.isatty():
            self._bar = _rich_bar()
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def progress(self, progress: Progress) -> None:
        if self._bar:
            if self._task is None:
                total = progress.frames_total
                self._task = self._bar.add_task(progress.stage, total=total, fps="0.0")
            self._bar.update(
                self._task,
                description=progress.stage,
                completed=progress.frames_done,
                total=progress.frames_total,
                fps=f"{progress.fps:.1f}",
            )
            return
        is_due = time.monotonic() - self._last_line > PLAIN_LINE_EVERY_S
        if self._quiet or not (progress.is_final or is_due):
            return
        self._last_line = time.monotonic()
        if self._json:
            click.echo(json.dumps(_as_dict(progress)), err=True)
        else:
            click.echo(_plain(progress), err=True)

    def warnings(self, sentences: Iterable[str]) -> None:
        if not self._quiet and not self._json:
            for sentence in sentences:
                click.echo(f"Note: {sentence}", err=True)

    def result(self, facts: dict[str, Any]) -> None:
        """The last word: one JSON line on standard output, or a few plain ones."""
        if self._json:
            click.echo(json.dumps(facts), err=facts.get("output") == "-")
        elif not self._quiet:
            for name, value in facts.items():
                if name != "warnings" and value is not None:
                    click.echo(f"{name}: {value}", err=True)


def _rich_bar() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]} fps"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _as_dict(progress: Progress) -> dict[str, Any]:
    return {
        "stage": progress.stage,
        "frames": progress.frames_done,
        "total": progress.frames_total,
        "fps": round(progress.fps, 2),
        "eta_s": None if progress.eta_s is None else round(progress.eta_s, 1),
    }


def _plain(progress: Progress) -> str:
    total = f"/{progress.frames_total}" if progress.frames_total else ""
    left = "" if progress.eta_s is None else f", {progress.eta_s:.0f} s left"
    return f"{progress.stage}: {progress.frames_done}{total} frames, {progress.fps:.1f} fps{left}"
