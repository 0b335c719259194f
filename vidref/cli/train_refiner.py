"""`vidref train refiner`."""

from __future__ import annotations

from pathlib import Path

import click

from vidref.cli.face_training import face_training_options, fold_option


@click.command()
@face_training_options("train-refiner.yaml")
@fold_option
@click.option(
    "--lures-of",
    metavar="PACK",
    default="bundled",
    show_default=True,
    help="The pack whose detector's mistakes it learns to refuse.",
)
@click.option(
    "--stock",
    type=click.Path(file_okay=False, path_type=Path),
    help="Windows that all folds share are made once and kept here (5.5 GB); with --fold.",
)
@click.option(
    "--start-from",
    help="Go on from the bundled refiner (`bundled`), an exported one, or a best.safetensors.",
)
def refiner(
    data: Path,
    out: Path,
    config: Path,
    minutes: float | None,
    resume: bool,
    threads: int | None,
    export: Path | None,
    fold: tuple[int, int] | None,
    lures_of: str,
    stock: Path | None,
    start_from: str | None,
) -> None:
    """Train the refiner, which looks again at what the detector found."""
    if stock is not None and fold is None:
        raise click.UsageError("--stock is for folds: say which is left out with --fold.")
    import torch

    from vidref.training.face_export import export_refiner, read_network
    from vidref.training.face_recipe import read_recipe
    from vidref.training.refiner_network import RefinerNetwork
    from vidref.training.refiner_train import RefinerRecipe, train_refiner

    if threads is not None:
        torch.set_num_threads(threads)
    recipe = read_recipe(RefinerRecipe, config, minutes)
    folder = train_refiner(recipe, data, out, resume, lures_of, start_from, fold, stock)
    click.echo(folder / "best.safetensors")
    if export is not None:
        network = read_network(folder / "best.safetensors")
        assert isinstance(network, RefinerNetwork)
        export_refiner(network, export)
        click.echo(export)
