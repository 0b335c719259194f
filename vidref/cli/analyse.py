"""`vidref analyse`: flags in, a plan out, and a few readable lines about who is in the clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vidref.cli.common import face_options, output_options
from vidref.cli.progress import Reporter


@click.command()
@click.argument("source", type=click.Path(path_type=Path, allow_dash=True, readable=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, readable=False),
    help="The plan. Default: NAME.plan.json beside the source.",
)
@click.option(
    "--sheet",
    type=click.Path(path_type=Path, readable=False),
    metavar="DIR",
    help="Draw a picture of each person here: timeline, references, what was set aside and why.",
)
@face_options
@click.option("--start", help="Begin here (seconds, m:s or h:m:s).")
@click.option("--end", help="Stop before this time.")
@click.option("--preview", metavar="SECONDS", help="Only so many seconds, from --start.")
@click.option("--deinterlace", is_flag=True, default=None, help="Make whole frames (bwdif).")
@click.option("--overwrite", is_flag=True, default=None, help="Replace the plan if it exists.")
@click.option("--threads", type=int, help="Cores to use; 0 is all.")
@click.option(
    "--config",
    type=click.Path(path_type=Path, readable=False),
    help="A YAML file of settings; flags override it.",
)
@output_options
def analyse(
    source: Path,
    output: Path | None,
    sheet: Path | None,
    config: Path | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Find who is in SOURCE, and write a plan for restoring their faces.

    SOURCE is a clip, a photo or a folder of frames. The plan can be read and edited: rename a
    person, drop a reference, forbid a face; `vidref restore --plan` does what it says.
    """
    from vidref.api import analyse_with
    from vidref.pipeline.plan_file import default_plan
    from vidref.report.plan_words import facts_of, summary
    from vidref.settings import Settings

    settings = Settings.load(config, options)
    output = output or default_plan(source)
    reporter = Reporter(quiet=quiet, as_json=as_json)
    with reporter:
        plan = analyse_with(source, output, settings, reporter.progress)
    sheets = []
    if sheet is not None:
        from vidref.report.people_sheet import draw_sheets

        sheets = draw_sheets(plan, source, sheet, settings.threads)
    reporter.warnings(plan.notes)
    if as_json:
        reporter.result(facts_of(plan, source, output, sheets))
    elif not quiet:
        click.echo(summary(plan))
        click.echo(f"plan: {output}")
        for path in sheets:
            click.echo(f"sheet: {path}")
