"""Where a clip is cut, so that its parts can be worked on one by one, by anyone, in any order.

Only packets are looked at. Two facts to know before editing:
- segments are half-open intervals of the frames' own timestamps that cover all time, so however
  frames and packets are related, every frame lies in exactly one;
- a segment is decoded from the key packet before the one at its beginning: frames of an open GOP
  then have all their references, a deinterlacer the frame before, and whoever asks for some frames
  around a segment gets them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from itertools import groupby
from typing import Any

from vidref.media.clock import credible
from vidref.media.frames import Part
from vidref.media.probe import Clip
from vidref.media.reader import Reader

USUAL_SEGMENT_S = Fraction(10)
# A segment without a key packet to begin at may grow to this many usual lengths before it is cut
# elsewhere; a last segment shorter than this share of one is joined to the one before.
LONGEST, SHORTEST = 2, Fraction(1, 2)
LEAST_BEFORE = 10
"""Frames that are decoded before a segment at least: what its reader may be asked for, and one more
for the deinterlacer."""
# Codecs whose key packets need nothing that came before: decoding may begin at any of them.
ENTERABLE = {
    *("h264", "hevc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4", "h263", "flv1"),
    *("msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "wmv3", "vc1", "theora", "ffv1"),
    *("prores", "mjpeg", "dnxhd", "dvvideo", "cfhd", "jpeg2000", "ffvhuff", "huffyuv", "utvideo"),
    *("magicyuv", "png", "qtrle", "v210", "rawvideo", "v410", "v308", "r210", "hap", "vvc"),
}


@dataclass(frozen=True)
class Segment:
    """The frames with start_pts <= pts < end_pts; the first and the last segment are open."""

    number: int
    start_pts: int | None
    end_pts: int | None
    first_index: int
    entry_pts: int | None


@dataclass(frozen=True)
class Cut:
    """All segments of a clip, in order; `enters` says whether reading may begin within it."""

    segments: tuple[Segment, ...]
    enters: bool
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = tuple(s.start_pts for s in self.segments if s.start_pts is not None)
        object.__setattr__(self, "_starts", starts)

    def number_at(self, pts: int) -> int:
        """The segment that a frame shown at `pts` belongs to."""
        return bisect_right(self._starts, pts)

    def runs(self, numbers: Iterable[int]) -> Iterator[tuple[range, Part]]:
        """Segments that follow on each other among `numbers`, each run with how to read it."""
        for _, group in groupby(enumerate(sorted(set(numbers))), lambda pair: pair[1] - pair[0]):
            members = [number for _, number in group]
            run = range(members[0], members[-1] + 1)
            yield run, self.part(run)

    def part(self, run: range, around: int = 0) -> Part:
        """What to ask a reader for, to get the frames of these segments and some around them."""
        assert around < LEAST_BEFORE
        first, last = self.segments[run[0]], self.segments[run[-1]]
        return Part(first.start_pts, last.end_pts, first.first_index, first.entry_pts, around)

    def as_json(self) -> dict[str, Any]:
        return {"enters": self.enters, "segments": [asdict(s) for s in self.segments]}

    @staticmethod
    def from_json(tree: dict[str, Any]) -> Cut:
        return Cut(tuple(Segment(**segment) for segment in tree["segments"]), tree["enters"])


WHOLE = Cut((Segment(0, None, None, 0, None),), enters=False)


def cut_clip(reader: Reader, usual_s: Fraction = USUAL_SEGMENT_S, damaged: bool = False) -> Cut:
    """Cut the clip (or the span of it) that `reader` has opened, at its key packets.

    A pipe is one segment. A clip that cannot be entered safely (`damaged` as its analysis found
    it, times that the file does not store, a clock set anew) is cut into equal times, and its
    segments are read from its beginning.
    """
    clip = reader.clip
    if clip.path is None or reader.first_pts is None:
        return WHOLE
    found = _look(reader, clip)
    base = clip.picture.time_base
    usual = max(1, round(usual_s / base))
    if not found.times:
        return WHOLE
    may_enter = not damaged and found.is_orderly and clip.picture.codec in ENTERABLE
    keys = found.keys if may_enter else []
    at_keys = sorted(set(keys).intersection(found.times))
    starts = _starts(found.times, at_keys, usual)
    segments = []
    for number, (start, end) in enumerate(zip([None, *starts], [*starts, None], strict=True)):
        entry, before = None, 0
        if start is not None and may_enter:
            entry, before = _entry(keys, found.times, start), bisect_left(found.times, start)
        segments.append(Segment(number, start, end, before, entry))
    return Cut(tuple(segments), may_enter)


@dataclass
class _Found:
    """What the packets of the picture say; `times` are those of the frames shown, sorted."""

    times: list[int]
    keys: list[int]
    is_orderly: bool


def _look(reader: Reader, clip: Clip) -> _Found:
    base = clip.picture.time_base
    start, end = reader.first_pts, reader.end
    times: list[int] = []
    keys: list[int] = []
    every_pts: set[int] = set()
    is_orderly, last_dts = True, None
    with Reader(clip.path, reader.span, clip=clip) as packets:
        for item in packets.packets():
            packet = item.packet
            if item.stream_index != clip.picture.index:
                continue
            pts, dts = credible(packet.pts), credible(packet.dts)
            # Matroska stores no decoding times; the first ones cannot be told.
            runs_on = last_dts is None if dts is None else last_dts is None or dts > last_dts
            is_orderly &= runs_on and pts is not None and pts not in every_pts
            last_dts = dts
            every_pts.add(pts or 0)
            shown_at = pts if pts is not None else dts
            if shown_at is None or _is_hidden(packet, clip.picture.codec):
                continue
            if packet.is_keyframe:
                keys.append(shown_at)
            if start is not None and shown_at < start:
                continue
            if end is None or shown_at * base < end:
                times.append(shown_at)
        damage = packets.damage
    is_orderly &= not (damage.broken_places or damage.clock_jumps or damage.ended_early)
    return _Found(sorted(times), sorted(keys), is_orderly)


def _is_hidden(packet: Any, codec: str) -> bool:
    """Whether a packet shows nothing: cut away by an edit list, or a reference of VP8's only."""
    if packet.is_discard:
        return True
    return codec == "vp8" and not memoryview(packet)[0] & 0x10


def _starts(times: list[int], at_keys: list[int], usual: int) -> list[int]:
    """Where all segments but the first begin: at keys where there are some, else at any frame."""
    starts: list[int] = []
    begins = times[0]
    while (following := bisect_left(times, begins + usual)) < len(times):
        key = bisect_left(at_keys, begins + usual)
        is_near = key < len(at_keys) and at_keys[key] <= begins + LONGEST * usual
        begins = at_keys[key] if is_near else times[following]
        starts.append(begins)
    if starts and times[-1] - starts[-1] < SHORTEST * usual:
        starts.pop()
    return starts


def _entry(keys: list[int], times: list[int], start: int) -> int | None:
    """The last key but one that is shown before or at `start`, or one before it where frames are
    few between them; None is the clip's beginning."""
    begins = bisect_left(times, start)
    enough = times[max(0, begins - LEAST_BEFORE)]
    number = min(bisect_right(keys, start) - 2, bisect_right(keys, enough) - 1)
    return keys[number] if number > 0 else None
