"""`vidref evaluate ablate`: train and sample every variant of the method, and compare them."""

from __future__ import annotations

from pathlib import Path

import click

from vidref.cli.evaluate_faces import TEACHERS

CONFIGS = Path(__file__).resolve().parent.parent / "configs"


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=CONFIGS / "train-restorer.yaml",
    help="What the trained variants are variants of.",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Replace a value of it.")
@click.option("--train-steps", type=int, required=True, help="Steps of every trained variant.")
@click.option(
    "--model", help="The bundle of the rows that need no training; default: trained here."
)
@click.option("--kind", default="severe", show_default=True)
@click.option("--steps", type=int, default=4, show_default=True)
@click.option("--limit", type=int, help="Only the first so many people.")
@click.option(
    "--judges",
    type=click.Path(file_okay=False, path_type=Path),
    default=TEACHERS,
    show_default=True,
)
@click.option("--threads", type=int, help="CPU threads.")
def ablate(
    folder: Path,
    out: Path,
    config: Path,
    changes: tuple[str, ...],
    train_steps: int,
    model: str | None,
    kind: str,
    steps: int,
    limit: int | None,
    judges: Path,
    threads: int | None,
) -> None:
    """Ablate the method on the protocol in FOLDER: one table, kept as Markdown and CSV in --out."""
    import torch

    from vidref.cli.train_restorer import parse_changes
    from vidref.evaluation import ablation
    from vidref.evaluation.face_cases import read_cases
    from vidref.evaluation.faces import FaceRestorer, Measure
    from vidref.evaluation.judges import Judges
    from vidref.evaluation.tables import markdown, write_csv
    from vidref.model.recogniser import Recogniser
    from vidref.model.restorer import Restorer, Sampling
    from vidref.training.restorer import train_restorer
    from vidref.training.restorer_config import read_training_config

    if threads is not None:
        torch.set_num_threads(threads)
    common: dict[str, object] = {**parse_changes(changes), "run.steps": train_steps}
    path = read_training_config(config, common).recogniser
    recogniser = None if path is None else Recogniser(path)

    def say(line: str) -> None:
        click.echo(line, err=True)

    def train(name: str, variant: dict[str, object]) -> str:
        run = out / name.replace(" ", "-")
        train_restorer(read_training_config(config, {**common, **variant}), run, report=say)
        return str(run / "bundle")

    def open_bundle(where: str) -> FaceRestorer:
        return FaceRestorer(Restorer.load(where), recogniser)

    bench = ablation.Bench(
        cases=read_cases(folder)[:limit],
        kind=kind,
        measure=Measure(Judges.find(judges)),
        sampling=Sampling(steps=steps),
        report=say,
    )
    rows = ablation.ablate(bench, train, open_bundle, model)
    text = markdown(rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "ablation.md").write_text(text, encoding="utf-8")
    write_csv(out / "ablation.csv", rows)
    click.echo(text)
