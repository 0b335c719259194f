"""What the analysis looks at, clip or stills alike: pictures in order, with the cuts between them.

A cut is certain only some frames later, so pictures wait until it is known whether a shot begins
with them; decoding and cut detection run in threads of their own, ahead of whoever looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from av.video.reformatter import VideoReformatter

from vidref.errors import InputError, SettingsError
from vidref.media.access import FrameAccess
from vidref.media.colour import Colour, check_convertible
from vidref.media.frames import Frame, Span
from vidref.media.reader import Reader
from vidref.media.scenes import SIDE, CutDetector, looks_cut, thumbnail
from vidref.media.stills import find_stills, is_stills, read_stills
from vidref.pipeline.plan import PlannedSource
from vidref.pipeline.same_source import fingerprint
from vidref.pipeline.stream import run_ahead
from vidref.pipeline.upright import quarter_turns
from vidref.settings import Settings

if TYPE_CHECKING:
    import av.video.frame

AHEAD = 4
STILLS_RATE = 25


@dataclass(frozen=True, slots=True)
class View:
    """One picture; `time_s` counts from the first."""

    index: int
    pts: int
    time_s: float
    image: av.video.frame.VideoFrame
    begins_shot: bool
    ends_shot: bool


class Footage(Protocol):
    """Pictures to look at once in order, and some of them a second time."""

    total: int | None

    @property
    def pixel_aspect(self) -> Fraction: ...

    def views(self) -> Generator[View, None, None]: ...

    def again(self, pts: Iterable[int]) -> Iterator[tuple[int, av.video.frame.VideoFrame]]: ...

    def turns(self, image: av.video.frame.VideoFrame) -> int: ...

    def described(self, first_pts: int, last_pts: int, frames: int) -> PlannedSource: ...

    def notes(self) -> list[str]: ...


def footage_of(source: Path, settings: Settings) -> Footage:
    return _Stills(source, settings) if is_stills(source) else _Clip(source, settings)


class _Clip:
    def __init__(self, source: Path, settings: Settings) -> None:
        self._source, self._threads = source, settings.threads
        self._deinterlace = settings.picture.deinterlace
        self._span = Span(*settings.span.bounds)
        self.total: int | None = None
        self._notes: list[str] = []

    def views(self) -> Generator[View, None, None]:
        with Reader(self._source, self._span, self._threads, self._deinterlace) as reader:
            self._clip = reader.clip
            picture = reader.clip.picture
            _check_readable(self._source, picture.pix_fmt, picture.colour)
            self.total = frames_expected(reader)
            frames = (item for item in reader if isinstance(item, Frame))
            decoded = run_ahead(frames, AHEAD)
            with closing(decoded), closing(run_ahead(_with_cuts(decoded), AHEAD)) as views:
                yield from views
            damage = reader.damage.sentence(self._clip.name)
            self._notes = [damage] if damage else []
            self._is_clean = damage is None

    def again(self, pts: Iterable[int]) -> Iterator[tuple[int, av.video.frame.VideoFrame]]:
        return images_at(self._source, pts, self._threads, self._deinterlace, self._is_clean)

    @property
    def pixel_aspect(self) -> Fraction:
        return usable_aspect(self._clip.picture.sample_aspect)

    def turns(self, image: av.video.frame.VideoFrame) -> int:
        return quarter_turns(self._clip.picture.rotation)

    def described(self, first_pts: int, last_pts: int, frames: int) -> PlannedSource:
        picture = self._clip.picture
        return PlannedSource(
            self._source.name, *fingerprint(self._source), picture.index, picture.width,
            picture.height, picture.time_base, frames, first_pts, last_pts, self._is_clean,
            self._deinterlace, self.pixel_aspect,
        )  # fmt: skip

    def notes(self) -> list[str]:
        return self._notes


class _Stills:
    def __init__(self, source: Path, settings: Settings) -> None:
        if settings.span.bounds != (Fraction(0), None):
            raise SettingsError("Photos have no time: --start, --end and --preview need a clip.")
        self._source = source
        self._paths = find_stills(source)
        self.total: int | None = len(self._paths)

    def views(self) -> Generator[View, None, None]:
        before: tuple[tuple[int, int], np.ndarray[Any, Any]] | None = None
        held: View | None = None
        with closing(run_ahead(read_stills(self._paths), 1)) as stills:
            for index, still in enumerate(stills):
                image = still.image
                _check_readable(still.path, image.format.name, Colour.of_frame(image))
                small = thumbnail(image)
                size = (image.width, image.height)
                begins = before is None or before[0] != size or looks_cut(before[1], small)
                before = (size, small)
                if index == 0:
                    self._size = size
                if held is not None:
                    yield replace(held, ends_shot=begins)
                held = View(index, index, index / STILLS_RATE, image, begins, False)
        if held is not None:
            yield replace(held, ends_shot=True)

    def again(self, pts: Iterable[int]) -> Iterator[tuple[int, av.video.frame.VideoFrame]]:
        return images_at(self._source, pts)

    @property
    def pixel_aspect(self) -> Fraction:
        return Fraction(1)

    def turns(self, image: av.video.frame.VideoFrame) -> int:
        return quarter_turns(image.rotation)

    def described(self, first_pts: int, last_pts: int, frames: int) -> PlannedSource:
        return PlannedSource(
            self._source.resolve().name, *fingerprint(self._source), 0, *self._size,
            Fraction(1, STILLS_RATE), frames, first_pts, last_pts,
        )  # fmt: skip

    def notes(self) -> list[str]:
        return []


def usable_aspect(told: Fraction | None) -> Fraction:
    """What a file says of its pixels' shape; none of tape, DVD or anamorphic film goes beyond."""
    return told if told and Fraction(1, 3) <= told <= 3 else Fraction(1)


def _check_readable(path: Path, pix_fmt: str, colour: Colour) -> None:
    """Refused now, by name, and not when the face is to be rebuilt."""
    try:
        check_convertible(pix_fmt, colour)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def images_at(
    source: Path,
    pts: Iterable[int],
    threads: int = 0,
    deinterlace: bool = False,
    is_clean: bool = False,
) -> Iterator[tuple[int, av.video.frame.VideoFrame]]:
    """Some pictures of a clip, photo or folder by their pts, in the order of time."""
    wanted = sorted(set(pts))
    if is_stills(source):
        paths = find_stills(source)
        for at, still in zip(wanted, read_stills([paths[at] for at in wanted]), strict=True):
            yield at, still.image
    elif wanted:
        with FrameAccess(source, threads, deinterlace, is_clean) as access:
            for frame in access.frames_at(wanted):
                yield frame.pts, frame.image


def frames_expected(reader: Reader) -> int | None:
    """How many frames the reader's span holds, as far as the file says."""
    span, clip = reader.span, reader.clip
    if span.is_whole:
        return clip.frame_count_hint
    end = span.end
    if clip.duration_s is not None:
        end = min(filter(None, (end, Fraction(clip.duration_s))))
    return None if end is None else max(1, round((end - span.start) * clip.picture.average_rate))


def _with_cuts(frames: Iterable[Frame]) -> Iterator[View]:
    """Each frame once it is certain whether a shot begins with it."""
    detector, small = CutDetector(), VideoReformatter()
    waiting: deque[tuple[int, Frame]] = deque()
    cuts = {0}
    first: Fraction | None = None

    def ready(count: int) -> Iterator[View]:
        while len(waiting) > count:
            number, frame = waiting.popleft()
            time_s = float(frame.time - (first or 0))
            ends = number + 1 in cuts or not waiting
            yield View(number, frame.pts, time_s, frame.image, number in cuts, ends)

    for number, frame in enumerate(frames):
        first = frame.time if first is None else first
        waiting.append((number, frame))
        cuts.update(detector.push(thumbnail(frame.image, small)))
        yield from ready(SIDE + 1)  # one more, so that the frame after is certain too
    cuts.update(detector.finish())
    yield from ready(0)
