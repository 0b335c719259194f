"""`vidref train detector`."""

from __future__ import annotations

from pathlib import Path

import click

from vidref.cli.face_training import face_training_options


@click.command()
@face_training_options("train-detector.yaml")
@click.option(
    "--fold",
    metavar="K/N",
    help="Leave the K-th of N parts of the scenes out altogether (K from 0), to measure on it.",
)
def detector(
    data: Path,
    out: Path,
    config: Path,
    minutes: float | None,
    resume: bool,
    threads: int | None,
    export: Path | None,
    fold: str | None,
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
    folder = train_detector(recipe, data, out, resume, _fold(fold))
    click.echo(folder / "best.safetensors")
    if export is not None:
        network = read_network(folder / "best.safetensors")
        assert isinstance(network, DetectorNetwork)
        export_detector(network, export)
        click.echo(export)


def _fold(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and int(first) < int(second)):
        raise click.BadParameter("write it as 0/5 to 4/5", param_hint="--fold")
    return int(first), int(second)
