"""The way from a face in one frame to the same face in another, pixel by pixel, and things carried
along it.

It is looked for by optical flow in the aligned square, where little is left of the head's motion.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL_PX = 128
"""Motion is looked for at this size: noise and blocks are averaged away."""
MOTION_AT = 1.5
"""Deviation, in small pixels, of the blur under which motion is looked for. Motion is what limits
all steadying: along that of the true clips the flicker above the truth's fell from 0.45 to 0.07."""

Way = NDArray[np.float32]
"""Where each small pixel of one moment is in another (2, SMALL_PX, SMALL_PX): all x, then all y.
OpenCV enlarges and carries two planes in less time than one picture of two channels."""


def search(here: NDArray[np.uint8], there: NDArray[np.uint8]) -> Way:
    """The way between two small grey pictures."""
    import cv2

    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    # Without propagation from patch to patch it is the same for every number of threads.
    flow.setUseSpatialPropagation(False)
    flow.setFinestScale(1)
    flow.setVariationalRefinementIterations(3)
    flow.setVariationalRefinementAlpha(60)  # smoother than usual: it is one face that moves
    way: Way = np.array(cv2.split(flow.calc(here, there, None)), np.float32)
    way += _places(SMALL_PX)
    return way


def onward(first: Way, then: Way) -> Way:
    """One way after the other."""
    return np.array([carried(plane, first) for plane in then])


def in_pixels(way: Way, side: int, shown_at: tuple[int, int]) -> Sequence[NDArray[np.float32]]:
    """The same places in the pixels of a picture of this side, for each pixel of a size (width,
    height): all x, and all y."""
    import cv2

    scale = np.float32(side / SMALL_PX)
    places = way * scale
    places += (scale - 1) / 2
    return [np.asarray(cv2.resize(plane, shown_at)) for plane in places]


def carried(
    picture: NDArray[Any], places: NDArray[np.float32] | Sequence[NDArray[np.float32]]
) -> NDArray[Any]:
    import cv2

    linear, edge = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    x, y = places
    return np.asarray(cv2.remap(picture, x, y, linear, borderMode=edge))


@cache
def _places(side: int) -> NDArray[np.float32]:
    """Each pixel's own place (2, side, side)."""
    x, y = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    places = np.stack([x, y])
    places.flags.writeable = False
    return places
