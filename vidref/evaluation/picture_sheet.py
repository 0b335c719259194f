"""Faces side by side under a line of words, for looking at them at 100 %."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from vidref.evaluation.face_cases import write_picture

HEADER = 28


def save_sheet(
    path: Path, names: Sequence[str], rows: Sequence[Sequence[np.ndarray]], side: int = 256
) -> None:
    """One row a face, one named column a version of it."""
    lines = []
    for row in rows:
        tiles = [
            np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA))
            for image in row
        ]
        lines.append(np.concatenate(tiles, 1))
    head = np.full((HEADER, side * len(names), 3), 255, np.uint8)
    for column, name in enumerate(names):
        place = (column * side + 6, HEADER - 9)
        cv2.putText(head, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    write_picture(path, np.concatenate([head, *lines], 0))
