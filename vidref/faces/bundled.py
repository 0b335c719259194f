"""The networks of the bundled pack, each opened by its name when it is first needed.

insightface opens every file of a pack to see what it is, and imports onnx to understand the
recogniser: a fifth of a second of CPU time, which a clip without a face has no use for. What it
would find out about our own files is written here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

Made = TypeVar("Made")

DETECTOR, RECOGNISER = "detector.onnx", "recogniser.onnx"


@dataclass(frozen=True)
class Detector:
    """What `Scrfd` asks of a detector, in insightface's words."""

    session: Any
    model_file: str
    input_name: str
    input_mean: float = 127.5
    input_std: float = 128.0
    static_input_size: tuple[int, int] | None = None


def detector_of(folder: Path, open_session: Callable[[Path], Any]) -> Detector:
    path = folder / DETECTOR
    session = open_session(path)
    return Detector(session, str(path), session.get_inputs()[0].name)


class Once(Generic[Made]):
    """Something that is made when it is first asked for, by whichever thread asks."""

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make, self._turn = make, threading.Lock()
        self._made: list[Made] = []

    def __call__(self) -> Made:
        with self._turn:
            if not self._made:
                self._made.append(self._make())
        return self._made[0]
