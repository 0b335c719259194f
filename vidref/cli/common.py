"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def output_options(command: F) -> F:
    """`--quiet` and `--json`."""
    quiet = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
    as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
    return quiet(as_json(command))


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
