"""What of a restored face is supported by evidence, and what was invented."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SupportLook:
    """One face: when, as restored (uint8), and the expected error of its blocks (levels of 255)."""

    seconds: float
    restored: NDArray[np.uint8]
    expected: NDArray[np.float32]


@dataclass(frozen=True)
class Support:
    """A person's figure, 0 to 1, and the looks it was measured on."""

    supported: float
    looks: tuple[SupportLook, ...]
