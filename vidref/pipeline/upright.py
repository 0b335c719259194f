"""Pictures as a player shows them, and squares found there in the coordinates of the stored ones.

Phones store upright people sideways, tapes and DVDs store them stretched, and the file says so;
detectors and models know upright faces of true proportions only. Placements are therefore told in
stored pixels made square: a stored x times the pixel aspect.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement

if TYPE_CHECKING:
    import av.video.frame


def quarter_turns(rotation_deg: int) -> int:
    """How many quarters a stored picture is turned counter-clockwise when it is shown, 0 to 3."""
    return round(rotation_deg / 90) % 4


def squared(width: int, pixel_aspect: Fraction) -> int:
    """A stored width in square pixels."""
    return max(1, round(width * pixel_aspect))


def upright_rgb(
    image: av.video.frame.VideoFrame, turns: int, pixel_aspect: Fraction
) -> NDArray[np.uint8]:
    """The whole picture as shown, in 8 bit: for finding and comparing faces, not for restoring."""
    # One thread: libswscale's own cost more in waiting than they gain (see media/scenes.py).
    width = squared(image.width, pixel_aspect)
    rgb: Any = image.reformat(width, format="rgb24", threads=1).to_ndarray()
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def as_stored(placement: Placement, turns: int, width: int, height: int) -> Placement:
    """A square of the shown picture in the stored one, `width` x `height` square pixels."""
    x, y = placement.centre_xy
    for turn in range(turns, 0, -1):
        before = width if turn % 2 else height
        x, y = before - 1 - y, x
    angle = math.remainder(placement.angle + turns * math.pi / 2, math.tau)
    return Placement((x, y), placement.size_px, angle)
