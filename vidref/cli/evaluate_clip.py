"""`vidref evaluate clip`: restored clips, frame by frame and over time."""

from __future__ import annotations

from pathlib import Path

import click

from vidref.cli.evaluate_faces import TEACHERS

READABLE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("restored", nargs=-1, required=True, type=READABLE)
@click.option("--truth", type=READABLE, help="The clip before it was degraded.")
@click.option("--input", "degraded", type=READABLE, help="Without a truth: the clip restored.")
@click.option("--reference", type=READABLE, help="A photo of the person, for identity_ref.")
@click.option("--faces", default="bundled", show_default=True, help="The face pack.")
@click.option(
    "--judges",
    type=click.Path(file_okay=False, path_type=Path),
    default=TEACHERS,
    show_default=True,
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Tables and series.")
def clip(
    restored: tuple[Path, ...],
    truth: Path | None,
    degraded: Path | None,
    reference: Path | None,
    faces: str,
    judges: Path,
    out: Path | None,
) -> None:
    """Measure RESTORED clips against --truth; give the degraded clip too, for its row beside them.

    identity, landmarks: against the truth, and their deviation over time. warp_error: what changes
    from frame to frame although nothing moved. identity_step: identity's change between neighbours.
    shake: how unsteadily landmarks move. Real footage has no truth: with --input only what changes
    over time is measured, beside the input's own.
    """
    from vidref.errors import InputError, SettingsError
    from vidref.evaluation.clips import aligned_photo, measure_clip
    from vidref.evaluation.face_cases import read_picture
    from vidref.evaluation.judges import Judges
    from vidref.evaluation.tables import markdown, write_csv
    from vidref.faces.pack import load_pack

    guide = truth or degraded
    if guide is None or (truth and degraded):
        raise SettingsError(
            "Give --truth, the clip before it was degraded, or --input, the clip that was restored."
        )
    pack, found_judges = load_pack(faces), Judges.find(judges)
    face = None
    if reference is not None:
        face = aligned_photo(read_picture(reference), pack)
        if face is None:
            raise InputError(f"{reference}: no face found in it: give another photo.")
    if found_judges.identity is None:
        click.echo(f"{judges}: no judges there: identity, landmarks are not measured", err=True)
    rows: list[dict[str, str | float]] = []
    for path in restored:
        summary, series = measure_clip(
            path, guide, pack, found_judges, face, guide_is_truth=truth is not None
        )
        rows.append({"clip": path.name, **summary})
        if out is not None:
            length = max(len(values) for values in series.values.values())
            columns = series.values.items()
            write_csv(
                out / f"{path.stem}.csv",
                [
                    {name: values[i] for name, values in columns if i < len(values)}
                    for i in range(length)
                ],
            )
    text = markdown(rows)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "clips.md").write_text(text, encoding="utf-8")
        write_csv(out / "clips.csv", rows)
    click.echo(text)
