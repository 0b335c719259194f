"""Segments become one file: nothing is encoded again, everything else is copied from the source.

The encoders of the segments each began anew; here their frames are counted on, and all packets
get decoding times by one rule, so that no clock shows where a segment ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidref.errors import OutputError
from vidref.media.encoders import Encoding
from vidref.media.frames import Passing
from vidref.media.mux import Mux, OutputTimes
from vidref.media.packet_times import PacketTimes
from vidref.media.picture_encoder import Remarks
from vidref.media.reader import Reader
from vidref.media.segment_file import (
    StoredFrame,
    Summary,
    checked_digest,
    damaged,
    read_segment,
    read_summary,
)

if TYPE_CHECKING:
    import av.packet

Timed = tuple["av.packet.Packet[Any]", tuple[int, int, int]]


def join_segments(
    segments: Sequence[Path],
    target: Path,
    muxer: str,
    reader: Reader,
    encoding: Encoding,
    drop: frozenset[int] = frozenset(),
    threads: int = 0,
    statement: str | None = None,
) -> list[str]:
    """Write `target` from the stored picture and what `reader` passes; returns what to tell.

    The reader is one of the whole span, freshly opened. The segments stay.
    """
    summaries = _summaries(segments)
    with_frames = [summary for summary in summaries if summary.packets]
    extradata = bytes.fromhex(with_frames[0].extradata) if with_frames else None
    mux = Mux(target, muxer, reader, encoding, drop, threads, statement, extradata)
    try:
        delay = max((summary.delay for summary in summaries), default=0)
        pictures = _pictures(segments, mux.times, delay)
        _interleave(pictures, reader, mux)
        mux.finish()
    except BaseException:
        mux.abandon()
        raise
    remarks = sum((Remarks(s.resized, s.captions_lost) for s in summaries), Remarks())
    return [*remarks.sentences(reader.clip, encoding), *mux.notes()]


def _summaries(segments: Sequence[Path]) -> list[Summary]:
    summaries = []
    for path in segments:
        if checked_digest(path) is None:
            raise damaged(path)
        summaries.append(read_summary(path))
    if len({summary.extradata for summary in summaries if summary.packets}) > 1:
        raise OutputError(
            "The finished parts come from encoders that were set up differently and cannot be "
            "joined; run again with --restart."
        )
    return summaries


def _interleave(pictures: Iterator[Timed], reader: Reader, mux: Mux) -> None:
    """Let the source's own pictures say how far the new ones may go among the other streams."""
    waiting = next(pictures, None)
    for item in reader.packets():
        if item.stream_index != reader.clip.picture.index:
            mux.copy(item)
            continue
        until = _time_of(item)
        while waiting and until is not None:
            packet, times = waiting
            if times[1] * mux.times.time_base > until - mux.times.shift:
                break
            mux.add_picture(packet, times)
            waiting = next(pictures, None)
    while waiting:
        mux.add_picture(*waiting)
        waiting = next(pictures, None)


def _time_of(item: Passing) -> Fraction | None:
    packet = item.packet
    ticks = packet.dts if packet.dts is not None else packet.pts
    return None if ticks is None else ticks * packet.time_base


def _pictures(segments: Sequence[Path], output: OutputTimes, delay: int) -> Iterator[Timed]:
    """All packets of the picture with their (pts, dts, duration); each is decoded `delay` early."""
    times = PacketTimes()
    packets = 0
    for path in segments:
        before = times.pushed
        for item in read_segment(path):
            if isinstance(item, StoredFrame):
                times.push(*output.of(item.pts, item.duration))
            else:
                number = before + item.number
                yield item.packet, times.of(number, packets - delay)
                packets += 1
