"""A face that stands still in time: what is shown of it agrees with its own neighbouring frames.

A restorer sees one frame at a time, and what a codec did to each frame differs; so does what comes
out. Here each moment of a face is averaged with those around it, carried along the face's own
motion (optical flow in the aligned square, where little is left of the head's), wherever the input
says that nothing changed there.

It is done in rounds: with the frames next to it, then what that gave with the same two frames away,
then four. Six pictures are carried instead of fourteen, for the same weights (a triangle over seven
frames to each side), and from the second round on motion is looked for in pictures that are steady
already. What is shown depends on the frames within `REACH` and on nothing else: no state, so it
does not matter where reading began.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidref.faces.colour_match import THUMB_PX, Picture, Plane, as_float, thumbnail
from vidref.faces.mask import face_mask
from vidref.faces.way import MOTION_AT, SMALL_PX, Way, back, carried, in_pixels, onward, search

T = TypeVar("T")
HOPS = (1, 2, 4)
"""How many frames away the neighbours of each round are: twice those of the round before."""
REACH = sum(HOPS)
"""Frames to each side that have a say; the further, the less they count."""
SIDE_SHARE = 0.5
"""What a neighbour counts beside 1 for the moment itself: in three rounds, 1 - n/8 at n frames."""
CHANGED, CHANGED_STEADY, CHANGED_AT = 11.0, 9.0, 1.5
"""Levels of 255 by which the input may differ from its carried neighbour, in the first round and in
those after it, under a blur of so many small pixels: at this difference the neighbour counts a
third, at twice it next to nothing."""
FLICKER = 1.5 / 255
"""A face as a whole is as bright as its frame says; changes well below this are a codec's."""

BRIGHT = np.array([[0.25, 0.5, 0.25]], np.float32)
"""With these shares, which binary numbers hold exactly, grey is exactly its own brightness."""
AS_RGB = np.array([[1, 1, 0], [1, -0.5, -0.5], [1, 0, 1]], np.float32)
"""The way back from brightness, and red and blue beside it."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A face in one frame: how bright what is to be shown is, and at half its size by how much red
    and blue differ from that (video has no finer colour); and its input in small: in grey levels,
    and a thumbnail (RGBA, 0..1). Of one or four channels OpenCV moves a picture in a third of the
    time of two or three.

    `onward` leads to the later of the two with which the last round averaged it.
    """

    bright: Plane
    red_blue: tuple[Plane, Plane]
    grey: Plane
    thumb: NDArray[np.float32]
    onward: Way | None = None

    @cached_property
    def soft(self) -> NDArray[np.uint8]:
        """In this motion is looked for."""
        import cv2

        return np.asarray(cv2.GaussianBlur(cv2.convertScaleAbs(self.grey), (0, 0), MOTION_AT))


Moments = dict[int, Moment]
"""The faces of a frame by their tracks."""


@dataclass(frozen=True)
class Steadied:
    """What is shown, and the thumbnail of the input that goes with it."""

    shown: Picture
    thumb: Picture


def moment(crop: NDArray[Any], shown: Picture) -> Moment:
    """`crop` is the input's aligned square, of any dtype; `shown` the same square in 0..1."""
    import cv2

    small = as_float(cv2.resize(crop, (SMALL_PX, SMALL_PX), interpolation=cv2.INTER_AREA))
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    grey *= 255
    thumb = np.asarray(cv2.cvtColor(thumbnail(small), cv2.COLOR_RGB2RGBA))
    return Moment(_bright(shown), _red_blue(shown), grey, thumb)


def in_rounds(frames: Iterable[tuple[T, Moments]]) -> Iterator[tuple[T, Moments]]:
    """The same frames in the same order, each face averaged with itself in the frames around."""
    for hop in HOPS:
        frames = _round(frames, hop)
    return iter(frames)


def steadied(shown: Picture, own: Moment, mean: Moment) -> Steadied:
    """`shown`, of which `own` was made, with all that changed when that was averaged."""
    red, blue = (new - old for new, old in zip(mean.red_blue, own.red_blue, strict=True))
    result = _as_rgb(mean.bright - own.bright, red, blue)
    result += shown
    return Steadied(result, _thumb(own.thumb, mean.thumb))


@dataclass(frozen=True)
class _Seen(Generic[T]):
    """A frame in a round; `ahead` is the way of each face to itself at the later neighbour."""

    frame: T
    moments: Moments
    ahead: dict[int, Way] = field(default_factory=dict)


def _round(frames: Iterable[tuple[T, Moments]], hop: int) -> Iterator[tuple[T, Moments]]:
    seen = (_Seen(frame, moments) for frame, moments in frames)
    beyond: list[_Seen[T] | None] = [None] * hop
    changed = CHANGED_STEADY if hop > 1 else CHANGED
    around: deque[_Seen[T] | None] = deque(beyond, maxlen=2 * hop + 1)
    for one in chain(seen, beyond):
        around.append(one)
        if len(around) > 2 * hop and (here := around[hop]) is not None:
            half, after = around[hop + hop // 2], around[2 * hop]
            yield here.frame, _averaged(here, around[0], half, after, changed)


def _averaged(
    here: _Seen[T],
    before: _Seen[T] | None,
    half: _Seen[T] | None,
    after: _Seen[T] | None,
    changed: float,
) -> Moments:
    """The faces of a frame, averaged with themselves at the neighbours of this round.

    `half` is half way to the one after, where the last round's neighbours were.
    """
    means = {track: _Mean(moment, changed) for track, moment in here.moments.items()}
    for track, mean in means.items():
        if before is not None and track in before.ahead:
            mean.add(before.moments[track], back(before.ahead[track]))
        if half is None or after is None or track not in half.moments.keys() & after.moments:
            continue
        way = _way(here.moments[track], half.moments[track], after.moments[track])
        if way is not None:
            here.ahead[track] = way
            mean.add(after.moments[track], way)
    return {track: mean.moment(here.ahead.get(track)) for track, mean in means.items()}


def _way(here: Moment, half: Moment, after: Moment) -> Way | None:
    """The way to the moment after; None where the face was gone in between."""
    if here is half:
        return search(here.soft, after.soft)
    if here.onward is None or half.onward is None:
        return None
    return search(here.soft, after.soft, onward(here.onward, half.onward))


class _Mean:
    """A moment's mean with others, each small pixel of which counts as far as it is believed."""

    def __init__(self, first: Moment, changed: float) -> None:
        self._first, self._changed = first, changed
        self._grey, self._thumb = _Running(first.grey), _Running(first.thumb)
        self._bright, self._red_blue = _Running(first.bright), _Running(*first.red_blue)

    def add(self, other: Moment, way: Way) -> None:
        share = SIDE_SHARE * _share(self._first, other, way, self._changed)
        self._grey.add(way, share, other.grey)
        self._thumb.add(way, share, other.thumb)
        self._bright.add(way, share, other.bright)
        self._red_blue.add(way, share, *other.red_blue)

    def moment(self, way: Way | None) -> Moment:
        (grey,), (thumb,), (bright,) = self._grey.means, self._thumb.means, self._bright.means
        red, blue = self._red_blue.means
        return Moment(bright, (red, blue), grey, thumb, way)


class _Running:
    """The running means of pictures of one size."""

    def __init__(self, *first: NDArray[np.float32]) -> None:
        self.means, self._weight = [*first], np.ones(first[0].shape[:2], np.float32)

    def add(self, way: Way, share: Plane, *pictures: NDArray[np.float32]) -> None:
        """`pictures` are the neighbour's, of their own size."""
        import cv2

        size = self._weight.shape[::-1]
        places = np.asarray(cv2.resize(in_pixels(way, pictures[0].shape[0]), size))
        share = np.asarray(cv2.resize(share, size))
        for number, picture in enumerate(pictures):
            moved = carried(picture, places)
            mean = cv2.blendLinear(self.means[number], moved, self._weight, share)
            self.means[number] = np.asarray(mean)
        self._weight += share


def _share(here: Moment, other: Moment, way: Way, changed: float) -> Plane:
    """How far to believe each small pixel of another moment."""
    import cv2

    apart = cv2.absdiff(here.grey, carried(other.grey, way))
    apart = np.asarray(cv2.GaussianBlur(apart, (0, 0), CHANGED_AT))
    np.multiply(apart, apart, out=apart)
    apart *= np.float32(-1 / changed**2)
    return np.asarray(cv2.exp(apart))


def _bright(shown: Picture) -> Plane:
    import cv2

    return np.asarray(cv2.transform(shown, BRIGHT), np.float32)


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
    return np.asarray(cv2.transform(cv2.merge([bright, red, blue]), AS_RGB), np.float32)


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
