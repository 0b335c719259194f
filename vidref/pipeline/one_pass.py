"""From the reader to the writer in one go: for clips without faces to restore, and for pipes."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vidref.media.deinterlace import CombWatch
from vidref.media.frames import Frame, Passing
from vidref.media.reader import Reader
from vidref.media.writer import Writer
from vidref.pipeline.progress import OnProgress, Ticker
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.stream import run_ahead
from vidref.pipeline.target import PIPE, decide, open_reader
from vidref.settings import Settings

if TYPE_CHECKING:
    from vidref.pipeline.restoration import Restoration

Item = Frame | Passing


def in_one_pass(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress,
    restoration: Restoration | None = None,
    statement: str | None = None,
) -> RestoreResult:
    """Without a restoration every frame goes from decoder to encoder in its own planes.

    `statement` is the sentence by which the file says what was done.
    """
    begun = time.monotonic()
    depth, file = settings.queue_frames, None if output == PIPE else output
    with open_reader(source, settings) as reader:
        target = decide(reader, output, settings)
        combs = CombWatch()
        items: Generator[Item, None, None] = run_ahead(_seen(reader, combs), depth)
        rebuilder = None
        if restoration is not None:
            rebuilder = restoration.rebuilder(restoration.watch())
            items = rebuilder.stream(_seen(reader, combs), depth)
        writer = Writer(
            file,
            target.container,
            reader,
            target.encoding,
            target.dropped,
            settings.threads,
            statement=statement,
        )
        ticker = Ticker(on_progress, "restore", frames_expected(reader))
        with closing(items), writer:
            for item in items:
                if not isinstance(item, Frame):
                    writer.copy(item)
                    continue
                writer.write(item)
                ticker.tick()
            ticker.end()
            writer.finish()
        damage = reader.damage.sentence(target.clip.name)
    told = filter(None, (damage, combs.sentence()))
    return RestoreResult(
        source,
        output,
        ticker.done,
        time.monotonic() - begun,
        target.encoding.encoder,
        (*target.encoding.notes, *writer.notes(), *told),
        0 if rebuilder is None else rebuilder.faces,
    )


def _seen(reader: Reader, combs: CombWatch) -> Iterator[Item]:
    """Everything read, its frames looked at for combs before anything is done to them."""
    for item in reader:
        if isinstance(item, Frame):
            combs.see(item.image)
        yield item


def frames_expected(reader: Reader) -> int | None:
    """How many frames there will be, as far as the file says."""
    span, clip = reader.span, reader.clip
    if span.is_whole:
        return clip.frame_count_hint
    end = span.end
    if end is None and clip.duration_s is not None:
        end = Fraction(clip.duration_s)
    return None if end is None else max(1, round((end - span.start) * clip.picture.average_rate))
