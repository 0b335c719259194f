"""`vidref train restorer`: train the diffusion model, or continue where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
F = TypeVar("F", bound=Callable[..., Any])


def change_option(example: str) -> Callable[[F], F]:
    """`--set`, as often as there are values to replace."""
    return click.option(
        "--set",
        "changes",
        multiple=True,
        metavar="KEY=VALUE",
        help=f"Replace a value of the configuration, for example {example}.",
    )


@click.command()
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=CONFIGS / "train-restorer.yaml",
    show_default="the bundled train-restorer.yaml",
    help="The run: data, damage, losses, sizes.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The run's folder; a run that is already there is continued exactly.",
)
@click.option("--time-limit", type=float, help="Stop and save after this many seconds.")
@click.option("--threads", type=int, help="CPU threads.")
@change_option("run.batch=32")
def restorer(
    config: Path, out: Path, time_limit: float | None, threads: int | None, changes: tuple[str, ...]
) -> None:
    """Train the restorer.

    OUT receives log.csv, state.safetensors, sheets/ and bundle/, which `--model OUT/bundle`
    restores with. Several GPUs: accelerate launch -m vidref.cli.train_restorer ...
    """
    import torch

    from vidref.training.restorer import train_restorer
    from vidref.training.restorer_config import read_training_config

    values = parse_changes(changes)
    if threads is not None:
        torch.set_num_threads(threads)
    outcome = train_restorer(
        read_training_config(config, values), out, time_limit, report=click.echo
    )
    click.echo(f"{outcome.progress.step} steps; the averaged weights are in {out / 'bundle'}")


def parse_changes(changes: tuple[str, ...]) -> dict[str, object]:
    """The values of --set by dotted key, read as YAML."""
    import yaml

    from vidref.errors import SettingsError

    values: dict[str, object] = {}
    for change in changes:
        key, found, value = change.partition("=")
        if not found:
            raise SettingsError(f"--set {change}: write it as KEY=VALUE, for example run.batch=32.")
        values[key] = yaml.safe_load(value)
    return values


if __name__ == "__main__":
    restorer()
