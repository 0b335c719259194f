"""Options about faces, which every command that looks for them shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

SETTING_OF_FACES = {
    "refs": "faces.references",
    "people": "faces.people",
    "min_face": "faces.min_face",
    "max_faces": "faces.max_faces",
    "detect_every": "faces.detect_every",
    "faces": "faces.pack",
}


def face_options(command: F) -> F:
    """`--refs`, `--people`, `--min-face`, `--max-faces`, `--detect-every` and `--faces`."""
    for option in reversed(
        [
            click.option(
                "--refs",
                type=click.Path(path_type=Path, readable=False),
                help="Photos of one person, or a folder of photos for each person.",
            ),
            click.option(
                "--people",
                multiple=True,
                callback=lambda context, parameter, value: value or None,
                metavar="NAME",
                help="Restore only this person of --refs; may be given several times.",
            ),
            click.option(
                "--min-face", type=float, metavar="PX", help="Leave smaller faces alone (40)."
            ),
            click.option(
                "--max-faces",
                type=int,
                metavar="N",
                help="At most so many in a frame, the largest.",
            ),
            click.option(
                "--detect-every",
                type=int,
                metavar="K",
                help="Look for new faces in every K-th frame (8).",
            ),
            click.option(
                "--faces",
                metavar="PACK",
                help="Face pack: bundled, an insightface pack's name, or its folder.",
            ),
        ]
    ):
        command = option(command)
    return command
