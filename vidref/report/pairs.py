"""Two clips side by side in time: each frame of the one with the frame of the other shown then.

A frame is matched by its time from the beginning, not by its number, so variable frame rates, a
preview and a restored clip that another tool made at another rate can be compared too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vidref.errors import InputError
from vidref.media.frames import Frame, Passing, Span
from vidref.media.reader import Reader

if TYPE_CHECKING:
    import av.video.frame


ROUNDING_S = Fraction(2, 1000)
"""Containers that count milliseconds put the same frame up to so much earlier or later."""


@dataclass(frozen=True)
class Stretch:
    """What is compared: from `start` to `end` of the original, where `after` begins at `shift`."""

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    shift: Fraction = Fraction(0)

    @property
    def of_after(self) -> Span:
        start = max(Fraction(0), self.start - self.shift)
        return Span(start, None if self.end is None else self.end - self.shift)

    @property
    def of_before(self) -> Span:
        return Span(max(self.start, self.shift), self.end)


@dataclass(frozen=True)
class Pair:
    """A frame of the original, what is shown of the other clip then, and when (seconds)."""

    before: Frame
    after: av.video.frame.VideoFrame
    time_s: Fraction
    duration_s: Fraction


class Pairs:
    """Both clips, open at the same moment; frames in the original's order."""

    def __init__(self, before: Path, after: Path, stretch: Stretch, threads: int = 0) -> None:
        if stretch.end is not None and stretch.end <= stretch.of_before.start:
            raise InputError("--end lies before the beginning of what is compared: move it.")
        with ExitStack() as opened:
            self.before = opened.enter_context(Reader(before, stretch.of_before, threads))
            self.after = opened.enter_context(Reader(after, stretch.of_after, threads))
            self._opened = opened.pop_all()
        self.count = 0
        self.left_over = 0
        """Frames of the original for which the other clip has none any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def __iter__(self) -> Iterator[Pair | Passing]:
        """Pairs, with the original's other packets as they lie between."""
        later = (item for item in self.after if isinstance(item, Frame))
        first = next(later)
        shown, coming = first, next(later, None)
        begin: Fraction | None = None
        for item in self.before:
            if isinstance(item, Passing):
                yield item
                continue
            begin = item.time if begin is None else begin
            time, duration = item.time - begin, item.duration * item.time_base
            until = time + min(ROUNDING_S, duration / 4)
            while coming is not None and coming.time - first.time <= until:
                shown, coming = coming, next(later, None)
            ended = shown.time - first.time + shown.duration * shown.time_base
            if coming is None and ended <= until:
                self.left_over += 1
                continue
            self.count += 1
            yield Pair(item, shown.image, time, duration)

    def sentence(self) -> str | None:
        """What the user must hear about lengths that differ."""
        if not self.left_over:
            return None
        total = self.count + self.left_over
        return (
            f"{self.after.clip.name} is shorter: {self.count} of {total} frames of "
            f"{self.before.clip.name} have a counterpart, and only these are shown."
        )
