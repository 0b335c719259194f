"""`vidref train recogniser`."""

from __future__ import annotations

from pathlib import Path

import click

from vidref.cli.face_training import face_training_options


@click.command()
@face_training_options("train-recogniser.yaml")
@click.option(
    "--start-from",
    help="Go on from an exported recogniser.onnx, or from the bundled one (`bundled`).",
)
def recogniser(
    data: Path,
    out: Path,
    config: Path,
    minutes: float | None,
    resume: bool,
    threads: int | None,
    export: Path | None,
    start_from: str | None,
) -> None:
    """Train the recogniser on identity.zip; no other network takes part."""
    import torch

    from vidref.training.face_export import export_recogniser, read_network
    from vidref.training.face_recipe import read_recipe
    from vidref.training.recogniser_network import RecogniserNetwork
    from vidref.training.recogniser_train import RecogniserRecipe, train_recogniser

    if threads is not None:
        torch.set_num_threads(threads)
    recipe = read_recipe(RecogniserRecipe, config, minutes)
    folder = train_recogniser(recipe, data, out, resume, start_from)
    click.echo(folder / "best.safetensors")
    if export is not None:
        network = read_network(folder / "best.safetensors")
        assert isinstance(network, RecogniserNetwork)
        export_recogniser(network, export)
        click.echo(export)
