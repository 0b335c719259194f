"""`vidref compare`: flags in, one page (or one clip) out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from vidref.cli.common import output_options
from vidref.cli.progress import Reporter


@click.command()
@click.argument("before", type=click.Path(path_type=Path, readable=False))
@click.argument("after", type=click.Path(path_type=Path, readable=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="The page, or the clip with --video. Default: AFTER.compare.html beside AFTER.",
)
@click.option(
    "--video",
    "layout",
    type=click.Choice(["side", "split"]),
    help="A clip instead of a page: beside each other, or half of each.",
)
@click.option("--start", help="Begin here (seconds, m:s or h:m:s of BEFORE).")
@click.option("--end", help="Stop before this time.")
@click.option(
    "--shift",
    metavar="SECONDS",
    help="AFTER begins so far into BEFORE. Default: what its sidecar says.",
)
@click.option(
    "--plan",
    type=click.Path(path_type=Path, readable=False),
    help="Where the faces are. Default: the sidecar beside AFTER, else they are looked for.",
)
@click.option("--faces", help="The face pack that looks for faces; none: do not look.")
@click.option("--codec", help="With --video: the codec; default: that of BEFORE.")
@click.option("--crf", type=float, help="With --video: its quality (lower is finer).")
@click.option("--overwrite", is_flag=True, default=None, help="Replace the output if it exists.")
@click.option("--threads", type=int, help="Cores to use; 0 is all.")
@output_options
def compare(
    before: Path,
    after: Path,
    output: Path | None,
    layout: Literal["side", "split"] | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show BEFORE and AFTER in step: a page for any browser, in one file that needs no network.

    Clips, photos or folders of frames. Drag the divider, step through frames, look at a face at
    100 %, see what differs; the page has a list of its keys.
    """
    from vidref.api import compare_with, default_comparison
    from vidref.settings import Settings

    shift = options.pop("shift")
    settings = Settings.load(None, options)
    output = output or default_comparison(after, layout)
    reporter = Reporter(quiet=quiet, as_json=as_json)
    with reporter:
        notes = compare_with(before, after, output, settings, layout, shift, reporter.progress)
    reporter.warnings(notes)
    reporter.result(
        {
            "before": str(before),
            "after": str(after),
            "output": str(output),
            "bytes": output.stat().st_size,
            "warnings": notes,
        }
    )
