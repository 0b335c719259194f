"""A face that stands still in time: what is shown of it agrees with its own neighbouring frames.

A restorer sees one frame at a time, and what a codec did to each frame differs; so does what comes
out. Here each moment of a face is averaged with those around it, carried along the face's own
motion (optical flow in the aligned square, where little is left of the head's), wherever the input
says that nothing changed there.

Every neighbour is carried by itself, once. Averaging in rounds (with the frames next to it, then
what that gave with those two away, then four) is no dearer, but each round blurs what it carries
and believes less: 0.05 more flicker on two clips of eight. The finest detail, which is little of
what flickers and half of the work, is averaged with the nearest frames only.

What is shown depends on the frames within `REACH` and on nothing else: no state, so it does not
matter where reading began, nor how many threads the averaging is shared out to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice, pairwise
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from vidref.faces.colour_match import THUMB_PX, Picture, Plane, as_float, as_grey, thumbnail
from vidref.faces.mask import face_mask
from vidref.faces.way import MOTION_AT, SMALL_PX, Way, carried, in_pixels, onward, search

T = TypeVar("T")
REACH, NEAR = 7, 2
"""Frames to each side that have a say; the further, the less they count. And those which have one
in detail that half the size does not hold: with all of them one clip flickers less by 0.006 of the
truth's own, another by 0.003."""
CHANGED, CHANGED_AT = 9.0, 1.5
"""Levels of 255 by which the input may differ from its carried neighbour, under a blur of so many
small pixels: at this difference the neighbour counts a third, at twice it next to nothing."""
FLICKER = 1.5 / 255
"""A face as a whole is as bright as its frame says; changes well below this are a codec's."""

BRIGHT = np.array([[0.25, 0.5, 0.25]], np.float32)
"""With these shares, which binary numbers hold exactly, grey is exactly its own brightness."""


@dataclass(frozen=True, eq=False)
class Moment:
    """A face in one frame: what is to be shown at half its size (video has no finer colour); how
    much brighter or darker the full size is; and its input in small: in grey levels, and a
    thumbnail. Half and thumbnail are RGBA in 0..1: of one or four channels OpenCV moves a picture
    in less than half the time of two or three.
    """

    half: NDArray[np.float32]
    fine: Plane
    grey: Plane
    thumb: NDArray[np.float32]

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
    size = (max(1, shown.shape[1] // 2), max(1, shown.shape[0] // 2))
    # Halved, this is the mean of four pixels, and takes a third of the time of INTER_AREA.
    half = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_LINEAR))
    fine = _bright(shown)
    fine -= _full(_bright(half), shown)
    return Moment(np.asarray(cv2.cvtColor(half, cv2.COLOR_RGB2RGBA)), fine, grey, thumb)


@dataclass(frozen=True)
class Around:
    """A moment of a face and those around it, the nearest first, each with the way to it from the
    one before."""

    here: Moment
    before: list[tuple[Moment, Way]]
    after: list[tuple[Moment, Way]]


def in_time(frames: Iterable[tuple[T, Moments]]) -> Iterator[tuple[T, dict[int, Around]]]:
    """The same frames in the same order, each face with itself in the frames around."""
    beyond: list[_Seen[T] | None] = [None] * REACH
    around: deque[_Seen[T] | None] = deque(beyond, maxlen=2 * REACH + 1)
    for one in chain(_seen(frames), beyond):
        around.append(one)
        if len(around) > 2 * REACH and (here := around[REACH]) is not None:
            before, after = [*islice(around, REACH)], [*islice(around, REACH, None)]
            yield (
                here.frame,
                {
                    track: Around(moment, [*_earlier(track, before)], [*_later(track, after)])
                    for track, moment in here.moments.items()
                },
            )


def steadied(shown: Picture, around: Around) -> Steadied:
    """What is to be `shown` here, averaged with what is shown in the moments around."""
    here = around.here
    coarse, fine, thumb = _Mean(here.half), _Mean(here.fine), _Mean(here.thumb)
    for neighbours in (around.before, around.after):
        way = None
        for number, (other, step) in enumerate(neighbours, start=1):
            way = step if way is None else onward(way, step)
            share = _share(here, other, way)
            weighed = np.float32(1 - number / (REACH + 1)) * share
            coarse.add(way, weighed, other.half)
            thumb.add(way, weighed, other.thumb)
            # What is finer than half of a smaller square is not as fine as it is here.
            if number <= NEAR and other.fine.shape == here.fine.shape:
                fine.add(way, np.float32(1 - number / (NEAR + 1)) * share, other.fine)
    result = _full(_rgb(coarse.change()), shown)
    result += as_grey(fine.change())
    result += shown
    return Steadied(result, _thumb(here.thumb, thumb.mean))


@dataclass(frozen=True)
class _Seen(Generic[T]):
    """A frame, and its faces' ways to themselves in the frame after, and from there to here."""

    frame: T
    moments: Moments
    ahead: dict[int, Way]
    back: dict[int, Way]


def _seen(frames: Iterable[tuple[T, Moments]]) -> Iterator[_Seen[T]]:
    last: tuple[T, Moments] | None = None
    for frame, moments in frames:
        if last is not None:
            yield _with_ways(*last, moments)
        last = frame, moments
    if last is not None:
        yield _with_ways(*last, {})


def _with_ways(frame: T, moments: Moments, after: Moments) -> _Seen[T]:
    both = moments.keys() & after.keys()
    ahead = {track: search(moments[track].soft, after[track].soft) for track in both}
    back = {track: search(after[track].soft, moments[track].soft) for track in both}
    return _Seen(frame, moments, ahead, back)


def _earlier(track: int, frames: list[_Seen[T] | None]) -> Iterator[tuple[Moment, Way]]:
    """A face in the frames before this one, the nearest first, as long as it was there."""
    for frame in reversed(frames):
        if frame is None or track not in frame.back:
            return
        yield frame.moments[track], frame.back[track]


def _later(track: int, frames: list[_Seen[T] | None]) -> Iterator[tuple[Moment, Way]]:
    """A face in the frames after the first of these, as long as it stays."""
    for frame, after in pairwise(frames):
        if frame is None or after is None or track not in frame.ahead:
            return
        yield after.moments[track], frame.ahead[track]


class _Mean:
    """The mean of pictures of one size, each pixel of which counts as far as it is believed."""

    def __init__(self, first: NDArray[np.float32]) -> None:
        self._first = self.mean = first
        self._weight: Plane = np.ones(first.shape[:2], np.float32)

    def change(self) -> NDArray[np.float32]:
        """What the others change in the first."""
        return self.mean - self._first

    def add(self, way: Way, share: Plane, picture: NDArray[np.float32]) -> None:
        """`picture` is the neighbour's, of its own size."""
        import cv2

        size = self._weight.shape[::-1]
        moved = carried(picture, in_pixels(way, picture.shape[0], size))
        share = np.asarray(cv2.resize(share, size))
        into = None if self.mean is self._first else self.mean
        self.mean = np.asarray(cv2.blendLinear(self.mean, moved, self._weight, share, into))
        self._weight += share


def _share(here: Moment, other: Moment, way: Way) -> Plane:
    """How far to believe each small pixel of another moment."""
    import cv2

    apart = cv2.absdiff(here.grey, carried(other.grey, way))
    apart = np.asarray(cv2.GaussianBlur(apart, (0, 0), CHANGED_AT))
    np.multiply(apart, apart, out=apart)
    apart *= np.float32(-1 / CHANGED**2)
    return np.asarray(cv2.exp(apart))


def _bright(shown: Picture) -> Plane:
    import cv2

    return np.asarray(cv2.transform(shown, BRIGHT), np.float32)


def _full(half: NDArray[np.float32], shown: Picture) -> NDArray[np.float32]:
    """A plane or picture of half the size at that of what is shown. Enlarged linearly, it takes
    less flicker with it: talk-a 1.255, talk-b 1.379 of the truth's, so 1.243, 1.368."""
    import cv2

    return np.asarray(cv2.resize(half, shown.shape[1::-1], interpolation=cv2.INTER_CUBIC))


def _rgb(rgba: NDArray[np.float32]) -> Picture:
    import cv2

    return np.asarray(cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), np.float32)


def _thumb(own: NDArray[np.float32], steady: NDArray[np.float32]) -> Picture:
    """The steady input in the mean colour of this frame's own, as a thumbnail.

    Lamps and old films flicker as a whole, and a face must do so with what is around it.
    """
    mask = face_mask(THUMB_PX)
    change = mask.ravel() @ (own - steady)[..., :3].reshape(-1, 3) / mask.sum()
    power = float(change @ change) / 3
    change *= np.float32(power / (power + FLICKER**2))
    return np.asarray(_rgb(steady) + change, np.float32)
