"""`vidref evaluate faces`: the image protocol, on a restorer or on pictures made elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

TEACHERS = Path("../shared/data/teachers")


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Tables and pictures."
)
@click.option("--model", default="bundled", show_default=True, help="A bundle's folder or hub id.")
@click.option(
    "--results",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Measure <person>.png of this folder instead of restoring; with it give one --kind.",
)
@click.option("--kind", "kinds", multiple=True, help="moderate, severe or given; default all.")
@click.option(
    "--references", "counts", multiple=True, type=click.IntRange(0, 5), help="How many; repeatable."
)
@click.option(
    "--combine",
    type=click.Choice(["concatenated", "average", "weighted"]),
    default="concatenated",
    show_default=True,
)
@click.option("--steps", type=int, default=4, show_default=True)
@click.option("--fidelity", type=click.FloatRange(0, 1), default=0.0, show_default=True)
@click.option("--grain", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option("--wrong", is_flag=True, help="Also restore everybody from a stranger's first photo.")
@click.option("--limit", type=int, help="Only the first so many people.")
@click.option(
    "--judges",
    type=click.Path(file_okay=False, path_type=Path),
    default=TEACHERS,
    show_default=True,
    help="Folder of identity-judge.onnx and landmarks-68.onnx; their columns are absent without.",
)
@click.option(
    "--recogniser",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The recogniser that the model was trained with; default the bundled one.",
)
@click.option(
    "--arcface",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An ArcFace ONNX file for both published definitions of IDS.",
)
@click.option("--iqa", is_flag=True, help="Also LPIPS, MUSIQ, NIQE and FID, with pyiqa.")
@click.option("--device", default="cpu", show_default=True)
@click.option("--threads", type=int, help="CPU threads.")
def faces(
    folder: Path,
    out: Path | None,
    model: str,
    results: Path | None,
    kinds: tuple[str, ...],
    counts: tuple[int, ...],
    combine: str,
    steps: int,
    fidelity: float,
    grain: float,
    wrong: bool,
    limit: int | None,
    judges: Path,
    recogniser: Path | None,
    arcface: Path | None,
    iqa: bool,
    device: str,
    threads: int | None,
) -> None:
    """Measure restored faces of the protocol in FOLDER.

    FOLDER has the layout of faces-dev, FFHQ-Ref or CelebA-Ref-Test. Prints a Markdown table; --out
    also keeps it, every face's row as CSV, the restored pictures, and a sheet to look at.
    """
    import torch

    from vidref.evaluation.face_runs import FaceRun, run_faces

    if threads is not None:
        torch.set_num_threads(threads)
    run = FaceRun(
        folder=folder,
        out=out,
        model=model,
        results=results,
        kinds=kinds,
        counts=counts,
        combine=combine,  # type: ignore[arg-type]
        steps=steps,
        fidelity=fidelity,
        grain=grain,
        wrong=wrong,
        limit=limit,
        judges=judges,
        recogniser=recogniser,
        arcface=arcface,
        iqa=iqa,
        device=device,
    )
    click.echo(run_faces(run, report=lambda line: click.echo(line, err=True)))
