"""`vidref train grain`."""

from __future__ import annotations

from pathlib import Path

import click

from vidref.cli.train_restorer import CONFIGS, change_option, parse_changes


@click.command()
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=CONFIGS / "train-grain.yaml",
    show_default="the bundled train-grain.yaml",
    help="The run: data, damage, sizes.",
)
@click.option("--model", default="bundled", show_default=True, help="The restorer that it is for.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with the photographs, in place of the recipe's.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The run's folder.",
)
@click.option(
    "--cases",
    type=click.Path(file_okay=False, path_type=Path),
    help="Restored faces are made once and kept here (1.6 MB each).  [default: OUT/cases]",
)
@click.option("--threads", type=int, help="CPU threads.")
@change_option("run.budget_seconds=300")
def grain(
    config: Path,
    model: str,
    data: Path | None,
    out: Path,
    cases: Path | None,
    threads: int | None,
    changes: tuple[str, ...],
) -> None:
    """Train what says how strong a face's finest detail is.

    OUT receives log.csv and bundle/, the restorer with its new grain.
    """
    import torch

    from vidref.training.grain import train_grain
    from vidref.training.grain_config import read_grain_training

    if threads is not None:
        torch.set_num_threads(threads)
    recipe = read_grain_training(config, data, parse_changes(changes))
    where = cases or out / "cases"
    click.echo(train_grain(recipe, model, out, where, click.echo))
