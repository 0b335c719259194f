"""Where the cuts are: decided while the frames stream by, two frames late, in constant memory.

A cut parts the frames before it from the frames after it: none of the three before looks like any
of the three after, while each side looks like itself. So a photographer's flash is no cut (the
picture comes back), nor is a pan (neighbours are compared over small shifts), a lamp (contrast may
change), or a shake (the sides do not look like themselves either). One frame that is a mixture of
both shots, as interlacing and frame rate conversion leave, is allowed between the sides.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    import av.video.frame

Array = np.ndarray[Any, np.dtype[Any]]

WIDTH, HEIGHT = 64, 36
SHIFT_X, SHIFT_Y = 4, 2  # of the thumbnail: a sixteenth of the picture between two frames
SIDE = 3  # frames on each side of a cut that must agree
UNLIKE = 0.3  # a cut's difference is at least this ...
CONTRAST = 1.8  # ... and this many times what changes on either side of it
ALIKE = 0.08  # differences below this are not worth a search over shifts
FLAT = 12.0  # variance in squared 8-bit levels below which a picture has nothing to compare
CHROMA_SPAN = 90.0  # a mean colour change of this many 8-bit levels counts as much as a new picture


class CutDetector:
    """Push thumbnails in order; get back the indices of frames that begin a new shot."""

    def __init__(self) -> None:
        self._views: deque[_View] = deque(maxlen=2 * SIDE)
        self._steps: deque[float] = deque(maxlen=2 * SIDE)  # difference to the frame before
        self._next = 0
        self._last_cut = 0

    def push(self, thumbnail: Array) -> list[int]:
        """Cuts that became certain with this frame: none or one, at most two frames ago."""
        view = _View.of(thumbnail)
        self._steps.append(difference(self._views[-1], view) if self._views else 0.0)
        self._views.append(view)
        self._next += 1
        return self._decide(self._next - SIDE)

    def finish(self) -> list[int]:
        """Cuts in the last frames, judged without what would have come after."""
        cuts = []
        for first in range(max(1, self._next - SIDE + 1), self._next):
            cuts += self._decide(first)
        return cuts

    def _decide(self, first: int) -> list[int]:
        """Is frame `first` the first of a new shot?"""
        oldest = self._next - len(self._views)
        middle = first - oldest
        if middle < 1 or first - self._last_cut < SIDE and self._last_cut:
            return []
        views, steps = list(self._views), list(self._steps)
        if _parts(views, steps, middle, middle):
            cut = first
        elif middle >= 2 and _parts(views, steps, middle - 1, middle):
            # Frame `first - 1` is a mixture; it goes with the side it resembles.
            cut = first - 1 if steps[middle - 1] > steps[middle] else first
        else:
            return []
        self._last_cut = cut
        return [cut]
