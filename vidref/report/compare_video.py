"""`vidref compare --video`: both clips in one, beside each other or each one half of the picture.

The file is written as a restored one is: the original's codec, depth, timing, sound and subtitles.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from vidref.errors import SettingsError
from vidref.media.frames import Frame, Passing
from vidref.media.planes import is_rgb
from vidref.media.probe import Picture
from vidref.media.stills import is_stills
from vidref.media.writer import Writer
from vidref.pipeline.progress import OnProgress, Ticker
from vidref.pipeline.target import decide
from vidref.pipeline.upright import quarter_turns
from vidref.report.compare_page import Comparison, frames_expected
from vidref.report.pairs import Pair, Pairs
from vidref.settings import Settings

Layout = Literal["side", "split"]
LINE_PX = 2


def write_compare_video(
    comparison: Comparison,
    output: Path,
    layout: Layout,
    settings: Settings,
    on_progress: OnProgress,
) -> list[str]:
    """Write the clip; returns the sentences that the user must hear."""
    if is_stills(comparison.before):
        raise SettingsError("Photos have no time: --video needs clips; write an .html page.")
    before, after = comparison.before, comparison.after
    with Pairs(before, after, comparison.stretch, settings.threads) as pairs:
        reader = pairs.before
        picture = reader.clip.picture
        turns = quarter_turns(picture.rotation)
        if layout == "side":
            wide = _doubled(picture, turns)
            reader.clip = replace(reader.clip, picture=wide)
        target = decide(reader, output, settings)
        compose = _Composer(picture, target.encoding.pix_fmt, layout, turns)
        said = f"A comparison: left {before.name}, right {after.name}."
        writer = Writer(
            output,
            target.container,
            reader,
            target.encoding,
            target.dropped,
            settings.threads,
            said,
        )
        ticker = Ticker(on_progress, "compare", frames_expected(reader.clip, comparison.stretch))
        with writer:
            for item in pairs:
                if isinstance(item, Passing):
                    writer.copy(item)
                    continue
                frame = item.before
                image = compose(item)
                writer.write(Frame(image, frame.index, frame.pts, frame.duration, frame.time_base))
                ticker.tick()
            ticker.end()
            writer.finish()
        notes = (*target.encoding.notes, *writer.notes(), pairs.sentence())
    return [note for note in notes if note]


def _doubled(picture: Picture, turns: int) -> Picture:
    """Twice as wide as it is seen, which is twice as high where it is stored on its side."""
    if turns % 2:
        return replace(picture, height=2 * picture.height)
    return replace(picture, width=2 * picture.width)


class _Composer:
    """One picture of two, in the encoder's own samples; nothing is converted that need not be."""

    def __init__(self, picture: Picture, pix_fmt: str, layout: Layout, turns: int) -> None:
        self._size, self._format = (picture.width, picture.height), pix_fmt
        self._is_side, self._turns = layout == "side", turns
        kind = av.VideoFormat(pix_fmt, *self._size)
        self._chroma_step = 1 if is_rgb(pix_fmt) else 2
        self._bits, self._is_rgb = kind.components[0].bits, kind.is_rgb
        parts = [0] * (max(c.plane for c in kind.components) + 1)
        for component in kind.components:
            parts[component.plane] += (component.bits + 7) // 8
        if len(parts) == 1:
            parts[0] = kind.padded_bits_per_pixel // 8
        self._sample_bytes = parts

    def __call__(self, pair: Pair) -> Any:
        # of two halves the first is the upper or left one as stored; the turn decides which is left
        first, second = self._ready(pair.before.image), self._ready(pair.after)
        if self._turns in (2, 3):
            first, second = second, first
        across = self._turns % 2 == 0
        width, height = self._size
        if self._is_side:
            width, height = (2 * width, height) if across else (width, 2 * height)
        image = av.VideoFrame(width, height, self._format)
        image.colorspace, image.color_range = first.colorspace, first.color_range
        planes = zip(image.planes, first.planes, second.planes, self._sample_bytes, strict=True)
        for number, (into, one, other, size) in enumerate(planes):
            rows = self._rows(into, size, across)
            a, b = self._rows(one, size, across), self._rows(other, size, across)
            if self._is_side:
                rows[:, : a.shape[1]] = a
                rows[:, rows.shape[1] - b.shape[1] :] = b
            else:
                middle = self._middle(a.shape[1], width if across else height)
                rows[:, :middle], rows[:, middle:] = a[:, :middle], b[:, middle:]
                self._draw_line(rows, middle, number, a.shape[1] < (width if across else height))
        return image

    def _ready(self, image: Any) -> Any:
        if image.format.name == self._format and (image.width, image.height) == self._size:
            return image
        how: dict[str, Any] = {"threads": 1}
        if image.color_range and image.format.is_rgb == self._is_rgb:
            how |= {"src_color_range": image.color_range, "dst_color_range": image.color_range}
        return image.reformat(*self._size, self._format, **how)

    def _rows(self, plane: Any, size: int, across: bool) -> Any:
        """The plane as (lines, places, bytes), places running along the cut."""
        flat = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        samples = flat[:, : plane.width * size].reshape(plane.height, plane.width, size)
        return samples if across else samples.swapaxes(0, 1)

    def _middle(self, places: int, whole: int) -> int:
        """The same place in every plane: half of it, on the chroma's grid."""
        step = self._chroma_step
        return round(whole // 2 // step * step * places / whole)

    def _draw_line(self, rows: Any, middle: int, number: int, is_small: bool) -> None:
        """White, in samples of this depth: full in every channel of RGB, in luma without colour."""
        reach = 1 if is_small else LINE_PX // 2
        if self._is_rgb:
            rows[:, middle - reach : middle + reach] = 255
            return
        level = (235 if number == 0 else 128) << max(0, self._bits - 8)
        if self._bits > 8 and rows.shape[2] == 2:
            rows[:, middle - reach : middle + reach] = (level & 255, level >> 8)
        elif rows.shape[2] == 1:
            rows[:, middle - reach : middle + reach] = level
