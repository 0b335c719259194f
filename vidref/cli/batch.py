"""`vidref batch`: many clips, unattended; and what to ask of a batch that runs or has run."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidref.cli.common import output_options
from vidref.cli.restore import restore

if TYPE_CHECKING:
    from vidref.fleet.state import BatchState, ClipRow

SHARED = (
    *("sure", "people", "min_face", "max_faces", "detect_every", "faces", "model", "fidelity"),
    *("strength", "steps", "seed", "noise", "combine", "device", "dtype", "batch", "restart"),
    *("start", "end", "preview", "codec", "crf", "preset", "lossless", "prores", "drop"),
    *("grain", "deinterlace", "overwrite", "threads"),
)
"""Flags that mean for every clip of a batch what they mean for the one of `vidref restore`."""
LINE_EVERY_S = 5.0


class _Batch(click.Group):
    """`vidref batch FOLDER` runs one; only the words of its own commands are not folders."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Batch, context_settings={"help_option_names": ["-h", "--help"]})
def batch() -> None:
    """Restore many clips, and go on where a run was interrupted.

    \b
    vidref batch interviews/ --refs people/ -o restored/
    vidref batch list.csv -o restored/
    vidref batch status restored/
    """


@batch.command()
@click.argument("source")
@click.option("-o", "--output", required=True, help="The folder (or URL) of the results.")
@click.option("--refs", help="Photos of the person, or a folder of photos for each person.")
@click.option("--pattern", "patterns", multiple=True, help="Only such files, as in '*.mov'.")
@click.option("--flat", is_flag=True, help="Not the folders within the folder.")
@click.option("--watch", is_flag=True, help="Go on with what is put there later, until Ctrl-C.")
@click.option(
    "--share-people",
    is_flag=True,
    help="A name in --refs is the same person in all clips: good views are lent.",
)
@click.option("--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True)
@click.option("--address", default="auto", help="The Ray cluster (--engine ray).")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="0: as many as fit.")
@click.option("--tries", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="Where the batch is kept; default: with its results.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),
    help="A YAML file of settings; flags override it.",
)
@output_options
def run(
    source: str,
    output: str,
    refs: str | None,
    patterns: tuple[str, ...],
    flat: bool,
    watch: bool,
    share_people: bool,
    engine: str,
    address: str,
    workers: int,
    tries: int,
    state: Path | None,
    config: Path | None,
    quiet: bool,
    as_json: bool,
    **flags: Any,
) -> int:
    """Restore every clip of SOURCE: a folder, or a manifest (.csv, .jsonl).

    The flags of `vidref restore` hold for every clip; a manifest may set them for each. The exit
    code is 0 when all went well, 1 when a clip failed, and 2 when nothing could be begun.
    """
    from vidref.errors import Interrupted
    from vidref.fleet.batch import Engine, run_batch
    from vidref.fleet.requests import Wanted

    wanted = Wanted(output, flags, config, refs, patterns, not flat)
    how = Engine(engine, workers, address, tries, watch, share_people, state)
    shown = _Lines(quiet, as_json)
    try:
        outcome = run_batch(source, wanted, how, shown.turn)
    except KeyboardInterrupt:
        raise Interrupted("Stopped; the same command goes on where it was.") from None
    shown.end(outcome.clips, outcome.page)
    return 1 if outcome.failed else 0


for _parameter in restore.params:
    if _parameter.name in SHARED:
        run.params.append(_parameter)


@batch.command()
@click.argument("output")
@click.option("--state", type=click.Path(path_type=Path), help="As given to the batch.")
@click.option("--segments", is_flag=True, help="Every segment, too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(output: str, state: Path | None, segments: bool, as_json: bool) -> int:
    """Show how the batch in OUTPUT stands; the exit code is 1 when a clip has failed."""
    from dataclasses import asdict

    from vidref.fleet.batch import open_state

    with open_state(output, state) as db:
        clips, counts = db.clips(), db.counts()
        parts = {clip.id: db.segments_of(clip.id) for clip in clips} if segments else {}
    if as_json:
        told = [
            {
                **{k: v for k, v in asdict(clip).items() if k not in ("settings", "refs")},
                **({"parts": [asdict(p) for p in parts[clip.id]]} if segments else {}),
            }
            for clip in clips
        ]
        click.echo(json.dumps({"counts": counts, "clips": told}))
    else:
        _table(clips, parts)
    return 1 if counts["failed"] else 0


@batch.command()
@click.argument("output")
@click.argument("clips", nargs=-1)
@click.option("--state", type=click.Path(path_type=Path), help="As given to the batch.")
def retry(output: str, clips: tuple[str, ...], state: Path | None) -> None:
    """Let failed and cancelled CLIPS (default: all) of the batch in OUTPUT wait again."""
    from vidref.fleet.batch import open_state

    with open_state(output, state) as db:
        found = db.retry(clips)
    _say(found, "waits again; the batch takes it up, or start it again.", "failed or cancelled")


@batch.command()
@click.argument("output")
@click.argument("clips", nargs=-1)
@click.option("--state", type=click.Path(path_type=Path), help="As given to the batch.")
def cancel(output: str, clips: tuple[str, ...], state: Path | None) -> None:
    """Take CLIPS (default: all that are not done) of the batch in OUTPUT off."""
    from vidref.fleet.batch import open_state

    with open_state(output, state) as db:
        found = db.cancel(clips)
    _say(found, "is cancelled.", "waiting or in work")


class _Lines:
    """A line now and then, and one for each clip that has ended."""

    def __init__(self, quiet: bool, as_json: bool) -> None:
        self._quiet, self._json = quiet, as_json
        self._said: set[int] | None = None
        self._last = 0.0

    def turn(self, state: BatchState) -> None:
        now = time.monotonic()
        if self._quiet or now - self._last < LINE_EVERY_S:
            return
        self._last = now
        counts = state.counts()
        if self._json:
            click.echo(json.dumps(counts), err=True)
        else:
            parts = [f"{n} {name}" for name, n in counts.items() if n]
            click.echo(", ".join(parts), err=True)

    def end(self, clips: tuple[ClipRow, ...], page: Path) -> None:
        from vidref.fleet.summary import sentence

        for clip in clips:
            if clip.state == "failed" and not self._json:
                click.echo(f"Failed: {clip.source}: {clip.error}", err=True)
        if self._json:
            failed = {clip.source: clip.error for clip in clips if clip.state == "failed"}
            done = sum(clip.state == "done" for clip in clips)
            told = {"clips": len(clips), "done": done, "failed": failed, "page": str(page)}
            click.echo(json.dumps(told))
        elif not self._quiet:
            click.echo(f"{sentence(clips)} See {page}.", err=True)


def _table(clips: list[ClipRow], parts: dict[int, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("clip", "state", "segments", "frames", "faces", "work", "tries", "note")
    for clip in clips:
        done = f"{clip.segments_done}/{clip.segments}" if clip.segments else ""
        state = f"{clip.state}: {clip.step}" if clip.step else clip.state
        note = clip.error or (f"{len(clip.warnings)} notes" if clip.warnings else "")
        table.add_row(
            Path(clip.source).name, state, done, _or_empty(clip.frames), _or_empty(clip.faces),
            f"{clip.work_s:.1f} s", str(clip.tries or ""), note,
        )  # fmt: skip
        for part in parts.get(clip.id, []):
            table.add_row(
                f"  segment {part.number}", part.state, "", _or_empty(part.frames),
                _or_empty(part.faces), "" if part.work_s is None else f"{part.work_s:.1f} s",
                str(part.tries or ""), part.error or part.worker or "",
            )  # fmt: skip
    width = None if sys.stdout.isatty() else 160
    Console(width=width).print(table)


def _or_empty(value: int | None) -> str:
    return "" if value is None else str(value)


def _say(sources: list[str], done: str, what: str) -> None:
    for source in sources:
        click.echo(f"{source} {done}")
    if not sources:
        click.echo(f"No such clip is {what}.", err=True)
