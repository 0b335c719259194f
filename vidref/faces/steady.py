"""A face that stands still in time: what is shown of it agrees with its own neighbouring frames.

A restorer sees one frame at a time, and what a codec did to each frame differs; so does what comes
out. Here each moment of a face is averaged with those around it, carried along the face's own
motion (optical flow in the aligned square, where little is left of the head's), wherever the input
says that nothing changed there. It is a function of the frames around a moment and of nothing else:
no state, so it does not matter where reading began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.faces.colour_match import Picture
from vidref.faces.mask import put_back

REACH = 2
"""Frames to each side that are asked."""
SMALL_PX = 128
"""Motion is looked for, and change noticed, at this size: noise and blocks are averaged away."""
CHANGED = 6.0
"""Levels of 255 by which the input may differ from its carried neighbour: at this difference the
neighbour counts a third, at twice it next to nothing."""


@dataclass(frozen=True)
class Moment:
    """A face in one frame: its input in small and grey (uint8), and what is to be shown (RGBA,
    for four channels are moved in half the time of three)."""

    small: NDArray[np.uint8]
    shown: NDArray[np.float32]


def moment(crop: NDArray[Any], shown: Picture) -> Moment:
    """`crop` is the input's aligned square, whole numbers; `shown` the same square in 0..1."""
    import cv2

    small = cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA)
    if small.dtype == np.uint16:
        small = cv2.convertScaleAbs(small, alpha=1 / 257)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
    return Moment(grey, np.asarray(cv2.cvtColor(shown, cv2.COLOR_RGB2RGBA)))


def steadied(here: Moment, around: Sequence[Moment]) -> Picture:
    """What is shown here, averaged with what is shown in the moments around."""
    import cv2

    result = np.asarray(cv2.cvtColor(here.shown, cv2.COLOR_RGBA2RGB), np.float32)
    if not around:
        return result
    part = put_back(here.shown.shape[0])
    mean = here.shown[part]
    weight = np.ones(mean.shape[:2], np.float32)
    for other in around:
        carried, share = _carried(here, other, part)
        mean = cv2.blendLinear(mean, carried, weight, share)
        weight += share
    result[part] = cv2.cvtColor(mean, cv2.COLOR_RGBA2RGB)
    return result


def _carried(
    here: Moment, other: Moment, part: tuple[slice, slice]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A part of the other moment as it would be seen here, and how far to believe each pixel."""
    import cv2

    side = here.shown.shape[0]
    # Without propagation from patch to patch it is the same for every number of threads.
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
    search.setUseSpatialPropagation(False)
    way = search.calc(here.small, other.small, None)
    way += _places(SMALL_PX)
    seen = cv2.remap(other.small, way, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = cv2.absdiff(here.small, np.asarray(seen)).astype(np.float32)
    apart = cv2.GaussianBlur(apart, (0, 0), 0.8)
    share = np.exp(-np.square(apart * np.float32(1 / CHANGED)))
    scale = np.float32(other.shown.shape[0] / SMALL_PX)
    way = cv2.resize((way + np.float32(0.5)) * scale - np.float32(0.5), (side, side))[part]
    carried = cv2.remap(other.shown, way, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(carried), np.asarray(cv2.resize(share, (side, side))[part])


@cache
def _places(side: int) -> NDArray[np.float32]:
    """Each pixel's own place (side, side, 2), as x and y."""
    x, y = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    places = np.dstack([x, y])
    places.flags.writeable = False
    return places
