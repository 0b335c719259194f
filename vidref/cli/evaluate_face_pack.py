"""`vidref evaluate face-pack`."""

from __future__ import annotations

from pathlib import Path

import click

PARTS = ("detector", "clips", "people", "recogniser", "speed")


@click.command("face-pack")
@click.argument("pack", default="bundled")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The folder with scenes, identity, clips and teachers.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Receives figures.json, table.md and the failures as pictures.",
)
@click.option(
    "--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this; may be repeated."
)
@click.option(
    "--scenes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A list of scenes to measure on instead of dev: the fold.txt that a training left out.",
)
@click.option("--every", default=1, show_default=True, help="Of the clips' frames, one in so many.")
@click.option("--threads", default=0, help="CPU threads of the pack; 0 is all.")
def face_pack(
    pack: str,
    data: Path,
    out: Path,
    parts: tuple[str, ...],
    scenes: Path | None,
    every: int,
    threads: int,
) -> None:
    """Measure PACK (bundled, a name or a folder) beside the teacher and the judge."""
    from vidref.evaluation.face_pack import measure_pack

    figures = measure_pack(pack, data, out, set(parts or PARTS), scenes, click.echo, every, threads)
    click.echo(figures.table())
