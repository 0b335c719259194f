"""Detail that a restored face has too faintly, in measured measure.

A network that must be right on average says what it is not sure of in a low voice: its bands of
detail come out weaker than the truth's, by shares that hardly differ from face to face. What is
nearest to the truth, band by band, was measured on portraits of the training split
(`tests/benchmarks/clarity.py`) and is kept with the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from vidref.model.config import BANDS_PX
from vidref.model.separable import low_pass


def bands(faces: Tensor) -> list[Tensor]:
    """The bands of faces (B, 3, s, s), the finest first."""
    levels = [faces, *(low_pass(faces, deviation) for deviation in BANDS_PX)]
    return [finer - coarser for finer, coarser in pairwise(levels)]


def clearer(restored: Tensor, added: Sequence[float]) -> Tensor:
    """Restored faces with so much of each of their bands added; the finest first."""
    if not any(added):
        return restored
    clear = restored.clone()
    for share, band in zip(added, bands(restored), strict=True):
        clear.add_(band, alpha=share)
    return clear
