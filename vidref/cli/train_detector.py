"""`vidref train detector`."""

from __future__ import annotations

from pathlib import Path

import click

from vidref.cli.face_training import face_training_options, fold_option


@click.command()
@face_training_options("train-detector.yaml")
@fold_option
def detector(
    data: Path,
    out: Path,
    config: Path,
    minutes: float | None,
    resume: bool,
    threads: int | None,
    export: Path | None,
    fold: tuple[int, int] | None,
) -> None:
    """Train the detector on scenes.zip, with the teacher's labels cleaned of its mistakes."""
    import torch

    from vidref.training.detector_network import DetectorNetwork
    from vidref.training.detector_train import DetectorRecipe, train_detector
    from vidref.training.face_export import export_detector, read_network
    from vidref.training.face_recipe import read_recipe

    if threads is not None:
        torch.set_num_threads(threads)
    recipe = read_recipe(DetectorRecipe, config, minutes)
    folder = train_detector(recipe, data, out, resume, fold)
    click.echo(folder / "best.safetensors")
    if export is not None:
        network = read_network(folder / "best.safetensors")
        assert isinstance(network, DetectorNetwork)
        export_detector(network, export)
        click.echo(export)
