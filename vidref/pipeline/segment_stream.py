"""The output of pass 2 where it is made in segments: frames in, finished segments in the job.

It takes the place of a `Writer`: frames of a run of segments are written one by one in order, and
each segment is closed, stored and journalled as soon as a frame of the next one comes.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, Self

from vidref.media.encoders import Encoding
from vidref.media.frames import Frame
from vidref.media.mux import OutputTimes
from vidref.media.picture_encoder import can_be_cut
from vidref.media.probe import Clip
from vidref.media.reader import Reader
from vidref.media.segment_encoder import SegmentEncoder
from vidref.media.segments import WHOLE, Cut, cut_clip


class SegmentStore(Protocol):
    """What keeps finished segments: a job, or whoever makes some of them for one."""

    @property
    def cut(self) -> Cut | None: ...

    def path_of(self, number: int) -> Path: ...

    def accept(self, number: int, facts: dict[str, Any] | None = None) -> None: ...


FactsOf = Callable[[int], dict[str, Any]]


class SegmentStream:
    """Writes the segments `run` of a job, in order; use one for each run of missing segments."""

    def __init__(
        self,
        job: SegmentStore,
        run: range,
        clip: Clip,
        muxer: str,
        encoding: Encoding,
        threads: int,
        times: OutputTimes,
        facts_of: FactsOf = lambda number: {},
    ) -> None:
        """`facts_of` is asked for each segment that is done what the journal shall keep with it.

        `times` refuses frames that the output cannot hold, before work is lost on them.
        """
        assert job.cut is not None
        self._job = job
        self._cut: Cut = job.cut
        self._run = run
        self._how = clip, muxer, encoding, threads
        self._times = times
        self._facts_of = facts_of
        self._number = run[0]
        self._encoder = self._open()

    def write(self, frame: Frame) -> None:
        """Encode one frame into the segment that its time belongs to."""
        while self._number < self._cut.number_at(frame.pts):
            self._close()
            self._number += 1
            self._encoder = self._open()
        self._times.of(frame.pts, frame.duration)
        self._encoder.write(frame)

    def finish(self) -> None:
        """Close the last segment, and any that had no frame at all."""
        self._close()
        while self._number < self._run[-1]:
            self._number += 1
            self._encoder = self._open()
            self._close()

    def abandon(self) -> None:
        """Give up the segment in hand; those before it are stored."""
        self._encoder.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abandon()

    def _open(self) -> SegmentEncoder:
        first_index = self._cut.segments[self._number].first_index
        return SegmentEncoder(self._job.path_of(self._number), *self._how, first_index)

    def _close(self) -> None:
        self._encoder.finish()
        self._job.accept(self._number, self._facts_of(self._number))


def cut_for(
    reader: Reader,
    muxer: str,
    encoding: Encoding,
    threads: int,
    usual_s: Fraction,
    damaged: bool,
) -> Cut:
    """How a job over the span that `reader` has opened is cut.

    One segment where the pieces of this encoder cannot be joined; see `cut_clip` for the rest.
    """
    if not can_be_cut(reader.clip, muxer, encoding, threads):
        return WHOLE
    return cut_clip(reader, usual_s, damaged)
