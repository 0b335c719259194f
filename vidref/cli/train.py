"""`vidref train`: what the shipped weights were made with."""

from __future__ import annotations

import click

from vidref.cli.lazy import lazy_group

COMMANDS = {
    "detector": ("vidref.cli.train_detector:detector", "Train the face detector."),
    "grain": ("vidref.cli.train_grain:grain", "Train how strong a face's finest detail is."),
    "recogniser": ("vidref.cli.train_recogniser:recogniser", "Train the face recogniser."),
    "refiner": ("vidref.cli.train_refiner:refiner", "Train the second look at faces."),
    "restorer": ("vidref.cli.train_restorer:restorer", "Train the restorer."),
}


@click.group(cls=lazy_group(COMMANDS))
def train() -> None:
    """Train the models that ship, or your own."""
