"""Reading a face training's recipe: a YAML file with exactly the recipe's fields."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vidref.errors import SettingsError

R = TypeVar("R")


def read_recipe(kind: type[R], config: Path, minutes: float | None) -> R:
    """The recipe of `config`; `minutes` replaces its time limit."""
    try:
        values: Any = yaml.safe_load(config.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{config} cannot be read as YAML ({error}).") from error
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict) or set(values) != names:
        wrong = names ^ set(values if isinstance(values, dict) else ())
        raise SettingsError(
            f"{config}: missing or unknown: {', '.join(sorted(wrong))}; "
            "start from the bundled config."
        )
    if minutes is not None:
        values["minutes"] = minutes
    for name, value in values.items():
        if isinstance(value, list):
            values[name] = tuple(value)
        elif not isinstance(value, int | float):
            raise SettingsError(f"{config}: {name} must be a number, and is {value!r}.")
    return kind(**values)
