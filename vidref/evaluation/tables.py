"""Measurements as Markdown for people and CSV for programs."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

Row = Mapping[str, str | float]


def columns_of(rows: Sequence[Row]) -> list[str]:
    """All columns in the order in which they are first met."""
    return list(dict.fromkeys(name for row in rows for name in row))


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table; a value that was not measured is left empty."""
    names = columns_of(rows)
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    for row in rows:
        lines.append("| " + " | ".join(written(row.get(name, "")) for name in names) + " |")
    return "\n".join(lines) + "\n"


def written(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int) or math.isnan(value):
        return str(value)
    return f"{value:.3f}"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns_of(rows), restval="")
        writer.writeheader()
        writer.writerows(rows)


def means(rows: Sequence[Row]) -> dict[str, float]:
    """The mean of every number column over the rows that have it."""
    found: dict[str, float] = {}
    for name in columns_of(rows):
        values = [row[name] for row in rows if isinstance(row.get(name), float | int)]
        if values:
            found[name] = float(sum(float(value) for value in values) / len(values))
    return found
