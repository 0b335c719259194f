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

COMB_STEP = 12
"""Levels by which a line lies outside the range of both its neighbours, or agrees with the next of
its own field."""
COMBED_SHARE = 0.008
NOISE_AGREES = 0.2
"""Of such pixels so many agree with both lines of their field where lines are only noisy (0.09 to
0.16 of a noisy tape and of added noise; woven fields 0.5 to 6, and 0.25 with much noise)."""
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
    """Whether lines of two moments are woven into this 8-bit picture.

    A woven line differs from both its neighbours and agrees with the next two, which are of its own
    moment. A noisy line differs from all.
    """
    if luma.shape[0] < 5:
        return False
    lines = luma.astype(np.int16)
    before, above, middle, below, after = (lines[k : len(lines) - 4 + k] for k in range(5))
    over = middle - np.maximum(above, below) > COMB_STEP
    under = np.minimum(above, below) - middle > COMB_STEP
    differs = over | under
    agrees = (np.abs(middle - before) <= COMB_STEP) & (np.abs(middle - after) <= COMB_STEP)
    woven = int(np.count_nonzero(differs & agrees))
    noisy = int(np.count_nonzero(differs)) - woven
    return woven - NOISE_AGREES * noisy > COMBED_SHARE * middle.size


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
