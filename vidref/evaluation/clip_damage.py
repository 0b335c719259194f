"""A clean clip made bad in a known way: noise, half the size, H.264 at a low rate, full size again.

What comes out has the size, the timestamps and the number of frames of the clean clip, so that the
two can be compared pixel by pixel. The same clip and damage give the same file: noise is a function
of (seed, frame), and the encoder has one thread.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np

from vidref.errors import InputError
from vidref.media.x264 import repeatable_options


@dataclass(frozen=True)
class ClipDamage:
    """`noise` is a deviation in levels of 255 at the smaller size, `crf` x264's."""

    shrink: float = 2.0
    noise: float = 6.0
    crf: int = 34
    seed: int = 7


@dataclass(frozen=True)
class Moment:
    """A picture (uint8 RGB) and when it is shown."""

    rgb: np.ndarray
    pts: int
    time_base: Fraction


def degrade_clip(
    source: Path, truth: Path, degraded: Path, damage: ClipDamage, frames: int | None = None
) -> int:
    """The first `frames` of a clean clip, without loss, and their degraded twin; how many."""
    with av_errors(source), av.open(str(source)) as clip:
        if not clip.streams.video:
            raise InputError(f"{source} holds no picture: give a video.")
        rate = clip.streams.video[0].average_rate or Fraction(25)
    store = io.BytesIO()
    with ExitStack() as stack:
        stack.enter_context(av_errors(source))
        kept = stack.enter_context(ClipFile(truth, rate, "bgr0"))
        coded = stack.enter_context(ClipFile(store, rate, crf=damage.crf))
        size = (0, 0)
        for index, moment in enumerate(islice(moments(source), frames)):
            size = (moment.rgb.shape[1], moment.rgb.shape[0])
            kept.add(moment)
            coded.add(Moment(shrunk(moment.rgb, damage, index), moment.pts, moment.time_base))
    if kept.count == 0:
        raise InputError(f"{source} holds no frames.")
    store.seek(0)
    with ClipFile(degraded, rate) as out:
        for moment in moments(store):
            full = cv2.resize(moment.rgb, size, interpolation=cv2.INTER_CUBIC)
            out.add(Moment(np.asarray(full), moment.pts, moment.time_base))
    return kept.count


def shrunk(rgb: np.ndarray, damage: ClipDamage, index: int) -> np.ndarray:
    """A frame at the smaller size (even sides, as the encoder needs) with its noise."""
    height, width = (max(2, round(side / damage.shrink / 2) * 2) for side in rgb.shape[:2])
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    rough = np.random.default_rng((damage.seed, index)).standard_normal(small.shape, np.float32)
    return np.asarray(np.clip(np.rint(small + damage.noise * rough), 0, 255), np.uint8)


def moments(source: Path | io.BytesIO) -> Iterator[Moment]:
    """The frames of a clip in presentation order."""
    with av.open(str(source) if isinstance(source, Path) else source, "r") as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            time_base = frame.time_base or Fraction(1, 25)
            pts = number if frame.pts is None else frame.pts
            yield Moment(frame.to_ndarray(format="rgb24"), pts, time_base)


class ClipFile:
    """A clip being written: FFV1, which loses nothing, or H.264 at a `crf`."""

    def __init__(
        self,
        where: Path | io.BytesIO,
        rate: Fraction,
        pix_fmt: str = "yuv420p",
        crf: int | None = None,
    ) -> None:
        self.count = 0
        self._rate, self._pix_fmt, self._crf = rate, pix_fmt, crf
        self._file = av.open(
            str(where) if isinstance(where, Path) else where,
            "w",
            format="matroska",
            options={"fflags": "+bitexact"},  # or Matroska writes a random number
        )
        self._stream: Any = None

    def __enter__(self) -> ClipFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None and self._stream is not None:
            self._file.mux(self._stream.encode(None))
        self._file.close()

    def add(self, moment: Moment) -> None:
        if self._stream is None:
            self._stream = self._begin(moment)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(moment.rgb), format="rgb24")
        frame.pts, frame.time_base = moment.pts, moment.time_base
        self._file.mux(self._stream.encode(frame))
        self.count += 1

    def _begin(self, first: Moment) -> Any:
        lossless = self._crf is None
        options = {}
        if not lossless:
            options = {"preset": "medium", "crf": str(self._crf), **repeatable_options()}
        stream: Any = self._file.add_stream(
            "ffv1" if lossless else "libx264", rate=self._rate, options=options
        )
        stream.height, stream.width = first.rgb.shape[:2]
        stream.pix_fmt = self._pix_fmt
        stream.codec_context.time_base = first.time_base
        stream.codec_context.thread_count = 1
        return stream


@contextmanager
def av_errors(source: Path) -> Iterator[None]:
    """FFmpeg's ways of failing as one sentence about the file."""
    try:
        yield
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{source}: not a readable clip ({error}).") from error
