"""A face as it was found in a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DetectedFace:
    """A face in a frame: `box_xyxy` (4,) and `landmarks_xy` (5, 2) in source pixels.

    The landmarks are the eyes, the nose and the mouth's corners, the image's left first.
    """

    box_xyxy: NDArray[np.float32]
    landmarks_xy: NDArray[np.float32]
    score: float
