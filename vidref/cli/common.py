"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def output_options(command: F) -> F:
    """`--quiet` and `--json`."""
    quiet = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
    return quiet(as_json(command))


def face_options(command: F) -> F:
    """Whose faces, what is known of them, and how they are found."""
    options = [
        click.option(
            "--refs",
            type=click.Path(path_type=Path, readable=False),
            help="Photos of the person, or a folder of photos for each person.",
        ),
        click.option(
            "--sure",
            is_flag=True,
            default=None,
            help="Those in --refs are in the clip: the likeliest match counts.",
        ),
        click.option(
            "--people",
            multiple=True,
            callback=lambda context, parameter, names: list(names) or None,
            metavar="NAME",
            help="Restore only this person; may be given several times.",
        ),
        click.option("--min-face", type=float, help="Leave smaller faces alone (px)."),
        click.option("--max-faces", type=int, help="At most so many faces in a frame."),
        click.option("--detect-every", type=int, help="Frames between looks at the whole frame."),
        click.option("--faces", help="The face pack: bundled, a name, a folder; none: no faces."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def dropped_streams(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> list[int] | str | None:
    """`--drop 2,3` or `--drop unsupported`."""
    if value is None or value == "unsupported":
        return value
    try:
        return [int(part) for part in value.split(",")]
    except ValueError as error:
        raise click.BadParameter(
            "write stream numbers, as in 2,3, or the word unsupported"
        ) from error
