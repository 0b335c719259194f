"""The part of a frame around a face as RGB of square pixels, and what was done to it back again.

Where the frame's own pixels are square already, nothing is resampled on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidref.faces.blend import Placed
from vidref.faces.geometry import Placement
from vidref.media.colour import UNSPECIFIED, Box, Colour, read_rgb

if TYPE_CHECKING:
    import av.video.frame


@dataclass(frozen=True)
class Rebuilt:
    """What is to be written into a `box` of stored pixels, under its mask; `before` is what was
    there when the face was taken from it."""

    box: Box
    rgb: NDArray[np.uint16]
    mask: NDArray[np.float32]
    before: NDArray[Any]


@dataclass(frozen=True)
class SquareView:
    """A region: `box` in stored pixels, `rgb` and the face's `placement` in square ones."""

    box: Box
    rgb: NDArray[Any]
    placement: Placement
    stored: NDArray[Any]

    def as_stored(self, placed: Placed) -> Rebuilt:
        """A rebuilt region and its mask in stored pixels: only the change is resampled."""
        if self.stored is self.rgb:
            rows, columns = part = placed.window
            across = (self.box.left + columns.start, self.box.left + columns.stop)
            down = (self.box.top + rows.start, self.box.top + rows.stop)
            box = Box(across[0], down[0], across[1], down[1])
            return Rebuilt(box, placed.rgb[part], placed.mask[part], self.stored[part])
        height, width = self.stored.shape[:2]
        change = placed.rgb.astype(np.float32) - _sixteen_bits(self.rgb)
        rebuilt = _sixteen_bits(self.stored) + _resized(change, width, height)
        mask = np.clip(_resized(placed.mask, width, height), 0, 1)
        whole = np.rint(np.clip(rebuilt, 0, 65535)).astype(np.uint16)
        return Rebuilt(self.box, whole, mask, self.stored)


def look(
    image: av.video.frame.VideoFrame,
    clip_colour: Colour | None,
    placement: Placement,
    pixel_aspect: float,
) -> SquareView | None:
    """The region that holds the square; None where next to nothing of it is in the frame."""
    box = box_around(placement, pixel_aspect).clipped(image.width, image.height)
    width, height = box.right - box.left, box.bottom - box.top
    if width < 2 or height < 2:
        return None
    stored = rgb = read_rgb(image, colour_of(image, clip_colour), box)
    x, y = placement.centre_xy
    if pixel_aspect != 1:
        across = max(2, round(width * pixel_aspect))
        rgb = _resized(stored, across, height)
        x = ((x + 0.5) / pixel_aspect - box.left) * across / width - 0.5
    else:
        x -= box.left
    return SquareView(box, rgb, replace(placement, centre_xy=(x, y - box.top)), stored)


def box_around(placement: Placement, pixel_aspect: float = 1.0) -> Box:
    """The stored pixels that hold the turned square, and a few to spare for interpolation."""
    turn = abs(np.cos(placement.angle)) + abs(np.sin(placement.angle))
    reach = placement.size_px / 2 * turn + 2
    x, y = placement.centre_xy
    return Box(
        int(np.floor((x - reach) / pixel_aspect)),
        int(np.floor(y - reach)),
        int(np.ceil((x + reach) / pixel_aspect)) + 1,
        int(np.ceil(y + reach)) + 1,
    )


def colour_of(image: av.video.frame.VideoFrame, clip: Colour | None) -> Colour:
    """A frame's own tags, and the clip's where it says nothing."""
    own = Colour.of_frame(image)
    if clip is None:
        return own
    return Colour(
        clip.matrix if own.matrix == UNSPECIFIED else own.matrix,
        own.range or clip.range,
        clip.primaries if own.primaries == UNSPECIFIED else own.primaries,
        clip.transfer if own.transfer == UNSPECIFIED else own.transfer,
    )


def _resized(picture: NDArray[Any], width: int, height: int) -> NDArray[Any]:
    import cv2

    smaller = width < picture.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), picture.dtype)


def _sixteen_bits(picture: NDArray[Any]) -> NDArray[np.float32]:
    scale = np.float32(257 if picture.dtype == np.uint8 else 1)
    return picture.astype(np.float32) * scale
