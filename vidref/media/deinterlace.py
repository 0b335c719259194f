"""Whole frames out of interlaced ones (bwdif), and whether a clip needs it.

One frame in, one frame out, so that timing and frame count stay; nothing here runs unless asked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vidref.media.frames import Frame, Passing
from vidref.media.planes import channels, layout_of

if TYPE_CHECKING:
    import av.filter
    import av.video.frame

# Share of pixels whose line lies outside both neighbours' range by more than noise does.
COMB_STEP = 12
COMBED_SHARE = 0.015
WATCHED_FRAMES = 16
WATCH_EVERY = 12


class Deinterlacer:
    """FFmpeg's bwdif in its frame-for-frame mode."""

    def __init__(self) -> None:
        self._graph: Any = None

    def push(self, image: av.video.frame.VideoFrame) -> list[av.video.frame.VideoFrame]:
        if self._graph is None:
            self._graph = _build(image)
        self._graph.push(image)
        return self._pull()

    def flush(self) -> list[av.video.frame.VideoFrame]:
        if self._graph is None:
            return []
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> list[av.video.frame.VideoFrame]:
        import av.error

        images = []
        while True:
            try:
                images.append(self._graph.pull())
            except (av.error.BlockingIOError, av.error.EOFError):
                return images


def _build(image: av.video.frame.VideoFrame) -> av.filter.Graph:
    import av.filter

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=image.width, height=image.height, format=image.format, time_base=image.time_base
    )
    bwdif = graph.add("bwdif", "mode=send_frame:deint=all")
    sink = graph.add("buffersink")
    source.link_to(bwdif)
    bwdif.link_to(sink)
    graph.configure()
    return graph


class CombWatch:
    """Looks at a few frames of a clip on their way, and says whether fields are woven in them."""

    def __init__(self) -> None:
        self.looked_at = 0
        self.combed = 0
        self._seen = 0

    def see(self, image: av.video.frame.VideoFrame) -> None:
        self._seen += 1
        if self.looked_at >= WATCHED_FRAMES or self._seen % WATCH_EVERY != 1:
            return
        self.looked_at += 1
        layout = layout_of(image.format.name)
        luma = channels(image, layout)[0] >> layout.shift >> max(0, layout.bits - 8)
        self.combed += is_combed(luma)

    def sentence(self) -> str | None:
        """What to tell the user, or nothing."""
        if self.combed * 2 <= self.looked_at:
            return None
        return (
            f"Fields are woven together in {self.combed} of {self.looked_at} frames looked at; "
            "they are kept as they are (--deinterlace makes whole frames of them)."
        )


def is_combed(luma: np.ndarray[Any, np.dtype[Any]]) -> bool:
    """Whether lines of two moments are woven into this 8-bit picture."""
    above, middle, below = luma[:-2], luma[1:-1], luma[2:]
    if not middle.size:
        return False
    bright, dark = np.maximum(above, below), np.minimum(above, below)
    # Bytes wrap around: a difference counts only where it is one.
    over = (middle > bright) & (middle - bright > COMB_STEP)
    under = (middle < dark) & (dark - middle > COMB_STEP)
    return int(np.count_nonzero(over | under)) > COMBED_SHARE * middle.size


def deinterlaced(items: Iterator[Frame | Passing]) -> Iterator[Frame | Passing]:
    """The same frames at the same times, each made whole from its two fields."""
    filter_ = Deinterlacer()
    waiting: deque[Frame] = deque()

    def timed(images: list[av.video.frame.VideoFrame]) -> Iterator[Frame]:
        for image in images:
            yield replace(waiting.popleft(), image=image)

    for item in items:
        if isinstance(item, Frame):
            waiting.append(item)
            yield from timed(filter_.push(item.image))
        else:
            yield item
    yield from timed(filter_.flush())
