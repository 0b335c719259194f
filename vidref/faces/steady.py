"""A face that stands still in time: what is shown of it agrees with its own neighbouring frames.

A restorer sees one frame at a time, and what a codec did to each frame differs; so does what comes
out. Here each moment of a face is averaged with those around it, carried along the face's own
motion (optical flow in the aligned square, where little is left of the head's), wherever the input
says that nothing changed there. It is a function of the frames around a moment and of nothing else:
no state, so it does not matter where reading began.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.faces.colour_match import THUMB_PX, Picture, Plane, as_float, thumbnail
from vidref.faces.mask import face_mask

REACH = 7
"""Frames to each side that are asked; the further, the less they count."""
SMALL_PX = 128
"""Motion is looked for, and change noticed, at this size: noise and blocks are averaged away."""
MOTION_AT = 1.5
"""Deviation, in small pixels, of the blur under which motion is looked for. Motion is what limits
all this: along that of the true clips the flicker above the truth's fell from 0.45 to 0.07."""
CHANGED, CHANGED_AT = 9.0, 1.5
"""Levels of 255 by which the input may differ from its carried neighbour, under a blur of so many
small pixels: at this difference the neighbour counts a third, at twice it next to nothing."""
FLICKER = 1.5 / 255
"""A face as a whole is as bright as its frame says; changes well below this are a codec's."""

Way = NDArray[np.float32]
"""Where each small pixel of one moment is in another (SMALL_PX, SMALL_PX, 2), as x and y."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A face in one frame: how bright what is to be shown is, and at half its size by how much red
    and blue differ from that (video has no finer colour); and its input in small: in grey, smoother
    for the search of motion, and a thumbnail (RGBA, 0..1). Of one or four channels OpenCV moves a
    picture in a third of the time of two or three.

    `ways` keeps the way to the moment before (-1) and after (1): each is looked for once.
    """

    bright: Plane
    red_blue: tuple[Plane, Plane]
    grey: NDArray[np.uint8]
    soft: NDArray[np.uint8]
    thumb: NDArray[np.float32]
    ways: dict[int, Way] = field(default_factory=dict)


@dataclass(frozen=True)
class Steadied:
    """What is shown, and the thumbnail of the input that goes with it."""

    shown: Picture
    thumb: Picture


def moment(crop: NDArray[Any], shown: Picture) -> Moment:
    """`crop` is the input's aligned square, of any dtype; `shown` the same square in 0..1."""
    import cv2

    small = as_float(cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA))
    grey = cv2.convertScaleAbs(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), alpha=255)
    return Moment(
        _bright(shown),
        _red_blue(shown),
        np.asarray(grey),
        np.asarray(cv2.GaussianBlur(grey, (0, 0), MOTION_AT)),
        np.asarray(cv2.cvtColor(thumbnail(small), cv2.COLOR_RGB2RGBA)),
    )


def steadied(
    shown: Picture, here: Moment, before: Sequence[Moment], after: Sequence[Moment]
) -> Steadied:
    """This moment, averaged with those before and after it, of which the nearest come first."""
    bright, colours, thumb = _Mean(here.bright), _Mean(*here.red_blue), _Mean(here.thumb)
    for one in (*_around(here, before, -1), *_around(here, after, 1)):
        bright.add(one, one.moment.bright)
        colours.add(one, *one.moment.red_blue)
        thumb.add(one, one.moment.thumb)
    (change,) = bright.changes()
    result = _as_rgb(change, *colours.changes())
    result += shown
    return Steadied(result, _thumb(here.thumb, thumb.means[0]))


def _bright(shown: Picture) -> Plane:
    """With these shares, which binary numbers hold exactly, grey is exactly its own brightness."""
    import cv2

    return np.asarray(cv2.transform(shown, np.array([[0.25, 0.5, 0.25]], np.float32)), np.float32)


def _red_blue(shown: Picture) -> tuple[Plane, Plane]:
    """How far red and blue are from the brightness, at half the size."""
    import cv2

    height, width = shown.shape[:2]
    size = (max(1, width // 2), max(1, height // 2))
    half = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA))
    bright = _bright(half)
    return half[..., 0] - bright, half[..., 2] - bright


def _as_rgb(bright: Plane, red: Plane, blue: Plane) -> Picture:
    """The change of a picture from those of its brightness, and of red and blue beside it."""
    import cv2

    size = bright.shape[::-1]
    red, blue = (cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC) for plane in (red, blue))
    green = bright - np.float32(0.5) * (red + blue)
    return np.asarray(cv2.merge([bright + red, green, bright + blue]), np.float32)


@dataclass(frozen=True)
class _Neighbour:
    """Another moment, the way there, and how far to believe each small pixel of it."""

    moment: Moment
    way: Way
    share: Plane


def _around(here: Moment, others: Sequence[Moment], direction: int) -> Iterator[_Neighbour]:
    way, last = _places(SMALL_PX), here
    for number, other in enumerate(others[:REACH], start=1):
        way = _carried(_step(last, other, direction), way)
        near = np.float32(1 - number / (REACH + 1))
        yield _Neighbour(other, way, near * _share(here, other, way))
        last = other


class _Mean:
    """The means of pictures of one size, each pixel of which counts as far as it is believed."""

    def __init__(self, *first: NDArray[np.float32]) -> None:
        self._first, self.means = first, [*first]
        self._weight = np.ones(first[0].shape[:2], np.float32)

    def add(self, neighbour: _Neighbour, *pictures: NDArray[np.float32]) -> None:
        """`pictures` are the neighbour's, of their own size."""
        import cv2

        size = self._weight.shape[::-1]
        places = np.asarray(cv2.resize(_in_pixels(neighbour.way, pictures[0].shape[0]), size))
        share = np.asarray(cv2.resize(neighbour.share, size))
        for number, picture in enumerate(pictures):
            carried = _carried(picture, places)
            mean = cv2.blendLinear(self.means[number], carried, self._weight, share)
            self.means[number] = np.asarray(mean)
        self._weight += share

    def changes(self) -> list[NDArray[np.float32]]:
        return [mean - first for mean, first in zip(self.means, self._first, strict=True)]


def _in_pixels(way: Way, side: int) -> NDArray[np.float32]:
    """The same places in the pixels of a picture of this side."""
    scale = np.float32(side / SMALL_PX)
    places = way * scale
    places += (scale - 1) / 2
    return places


def _step(here: Moment, other: Moment, direction: int) -> Way:
    """The way to a neighbouring moment."""
    import cv2

    if direction not in here.ways:
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # Without propagation from patch to patch it is the same for every number of threads.
        search.setUseSpatialPropagation(False)
        search.setFinestScale(1)
        search.setVariationalRefinementIterations(3)
        search.setVariationalRefinementAlpha(60)  # smoother than usual: it is one face that moves
        way = search.calc(here.soft, other.soft, None)
        way += _places(SMALL_PX)
        here.ways[direction] = way
    return here.ways[direction]


def _share(here: Moment, other: Moment, way: Way) -> Plane:
    """How far to believe each small pixel of another moment."""
    import cv2

    apart = cv2.absdiff(here.grey, _carried(other.grey, way)).astype(np.float32)
    apart = np.asarray(cv2.GaussianBlur(apart, (0, 0), CHANGED_AT))
    np.multiply(apart, apart, out=apart)
    apart *= np.float32(-1 / CHANGED**2)
    return np.asarray(cv2.exp(apart))


def _thumb(own: NDArray[np.float32], steady: NDArray[np.float32]) -> Picture:
    """The steady input in the mean colour of this frame's own, as a thumbnail.

    Lamps and old films flicker as a whole, and a face must do so with what is around it.
    """
    import cv2

    mask = face_mask(THUMB_PX)
    change = mask.ravel() @ (own - steady)[..., :3].reshape(-1, 3) / mask.sum()
    power = float(change @ change) / 3
    change *= np.float32(power / (power + FLICKER**2))
    return np.asarray(cv2.cvtColor(steady, cv2.COLOR_RGBA2RGB) + change, np.float32)


def _carried(picture: NDArray[Any], places: NDArray[np.float32]) -> NDArray[Any]:
    import cv2

    linear, edge = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(picture, places, None, linear, borderMode=edge))


@cache
def _places(side: int) -> NDArray[np.float32]:
    """Each pixel's own place (side, side, 2), as x and y."""
    x, y = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    places = np.dstack([x, y])
    places.flags.writeable = False
    return places
