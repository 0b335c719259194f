"""Options that the face trainings share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
F = TypeVar("F", bound=Callable[..., Any])


def face_training_options(config: str) -> Callable[[F], F]:
    """`--data`, `--out`, `--config`, `--minutes`, `--resume`, `--threads`, `--export`."""

    def add(command: F) -> F:
        for option in (
            click.option(
                "--data",
                type=click.Path(exists=True, file_okay=False, path_type=Path),
                required=True,
                help="The folder with the training pictures and their README.",
            ),
            click.option(
                "--out",
                type=click.Path(file_okay=False, path_type=Path),
                required=True,
                help="Receives log.jsonl, samples.png, state.safetensors, best.safetensors.",
            ),
            click.option(
                "--config",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                default=CONFIGS / config,
                show_default=f"the bundled {config}",
                help="The recipe.",
            ),
            click.option("--minutes", type=float, help="Time limit; the schedule is fitted to it."),
            click.option("--resume", is_flag=True, help="Continue the run in --out."),
            click.option("--threads", type=int, help="CPU threads."),
            click.option(
                "--export",
                type=click.Path(dir_okay=False, path_type=Path),
                help="Write the chosen checkpoint here as ONNX.",
            ),
        ):
            command = option(command)
        return command

    return add


def fold_option(command: F) -> F:
    return click.option(
        "--fold",
        metavar="K/N",
        callback=_fold,
        help="Leave the K-th of N parts of the scenes out altogether (K from 0), to measure on it.",
    )(command)


def _fold(
    context: click.Context, option: click.Parameter, text: str | None
) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, second = text.partition("/")
    if not (first.isdigit() and second.isdigit() and int(first) < int(second)):
        raise click.BadParameter("write it as 0/5 to 4/5", context, option)
    return int(first), int(second)
