"""`vidref evaluate folds`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("folds")
@click.argument("runs", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder with scenes and teachers.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Receives folds.csv, folds.md, and the failures as a list and as pictures.",
)
@click.option("--threads", default=0, help="CPU threads of the packs; 0 is all.")
def folds(runs: Path, data: Path, out: Path, threads: int) -> None:
    """Measure the folds in RUNS, each on the scenes it left out, and all together."""
    from vidref.evaluation.face_pack_folds import measure_folds

    click.echo(measure_folds(runs, data, out, click.echo, threads))
