"""Frames in presentation order, each with its exact timestamp, and every other packet between.

One pass over the file: nothing is decoded but the picture, and nothing is held longer than it
takes to hand it on. Two facts to know before editing:
- the first frame is decoded when the reader opens, because headers do not know the true pixel
  format, field order or HDR metadata; what came before it waits in a short list;
- damage is counted, not fatal: `reader.damage` says what was skipped;
- a part of a clip is decoded from a key packet that lies before it, found by its own times, so
  its frames are those of an unbroken reading wherever a jump in the file happens to land.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import av.container
import av.error

from vidref.errors import InputError
from vidref.media.clock import PresentationClock, UnbrokenClock, credible
from vidref.media.complaints import Complaints
from vidref.media.containers import is_clocked
from vidref.media.deinterlace import deinterlaced
from vidref.media.frames import Damage, Frame, Part, Passing, Span
from vidref.media.opening import decoder_for, open_input, picture_stream
from vidref.media.probe import PROGRESSIVE, Clip, describe_clip, is_cover_art, picture_rate

if TYPE_CHECKING:
    import av.packet
    import av.stream
    import av.video.frame
    import av.video.stream

# Sound and subtitles lie a little before the picture they belong to; a seek goes back this far.
SEEK_MARGIN_S = Fraction(2)
# Where a jump lands too late (files without an index are searched by guesses), further back.
ENTRY_MARGINS_S = (Fraction(0), Fraction(5), Fraction(60))


class Reader:
    """Opens a clip, decodes its picture, and hands on everything else as it lies in the file."""

    def __init__(
        self,
        source: Path | None,
        span: Span | None = None,
        threads: int = 0,
        deinterlace: bool = False,
        part: Part | None = None,
        clip: Clip | None = None,
    ) -> None:
        """`source` is a path, or None for standard input.

        A `part` of the span needs the `clip` that a reader of all of it has described.
        """
        self.span = span or Span()
        self.damage = Damage()
        self.cover_art: dict[int, bytes] = {}
        self.first_pts: int | None = None
        self._path = source
        self._threads = threads
        self._deinterlaces = deinterlace
        self._decodes = True
        self._part = part or Part()
        self._packets_from_entry: Iterator[av.packet.Packet[Any]] | None = None
        self._open()
        try:
            if self._part.entry_pts is not None:
                self._packets_from_entry = self._enter(self._part.entry_pts)
            self.clip = clip or self._describe()
        except BaseException:
            self.container.close()
            raise

    def _open(self) -> None:
        """Begin at the beginning, also for a second time."""
        self._first_dts: int | None = None
        self._held: list[Frame | Passing] = []
        self.container = open_input(self._path)
        try:
            self._video = picture_stream(self.container, self._name)
            self._decoder = decoder_for(self._video, self._threads)
        except BaseException:
            self.container.close()
            raise
        self._items = self._read()
        if self._deinterlaces:
            self._items = deinterlaced(self._items)
        self._items = self._within_part(self._items)

    def _describe(self) -> Clip:
        first = self._first_frame()
        self.first_pts = first.pts
        clip = describe_clip(self._path, self.container, self._video, first.image)
        if not self._deinterlaces:
            return clip
        whole = replace(clip.picture, interlaced=False, field_order=PROGRESSIVE)
        return replace(clip, picture=whole)

    @property
    def video(self) -> av.video.stream.VideoStream:
        return self._video

    @property
    def origin(self) -> Fraction:
        """The time on the file's own clock that the span's beginning stands for."""
        return self._clip_start() + self.span.start

    @property
    def end(self) -> Fraction | None:
        """The time on the file's own clock at which the span ends."""
        return None if self.span.end is None else self._clip_start() + self.span.end

    def __iter__(self) -> Iterator[Frame | Passing]:
        """Frames in presentation order, with the other streams' packets as they lie between."""
        while self._held:
            yield self._held.pop(0)
        yield from self._items

    def packets(self) -> Iterator[Passing]:
        """From here on only packets, the picture's too, as they lie in the file; no frame."""
        self._decodes = False
        return (item for item in self if isinstance(item, Passing))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._decoder.is_open:
            self._decoder.flush_buffers()  # waits for its threads, which may have more to log
        self.container.close()

    @property
    def _name(self) -> str:
        return str(self._path) if self._path else "standard input"

    def _first_frame(self) -> Frame:
        for item in self._items:
            self._held.append(item)
            if isinstance(item, Frame):
                return item
        if self.span.start and not self.damage.sentence(self._name):
            raise InputError(f"{self._name} ends before --start; choose an earlier one.")
        raise InputError(
            f"{self._name} has a video stream but no picture in it could be decoded; "
            "check that the file is whole, or copy it again."
        )

    def _clip_start(self) -> Fraction:
        """Where "second 0" is; what the sound's priming lies before the picture is not counted."""
        start = Fraction(self.container.start_time or 0, 1_000_000)
        if start >= 0:
            return start
        base = self._video.time_base or Fraction(1, 90_000)
        return min(Fraction(0), (self._video.start_time or 0) * base)

    def _read(self) -> Iterator[Frame | Passing]:
        base = self._video.time_base or Fraction(1, 90_000)
        usual = max(1, round(1 / (picture_rate(self._video) * base)))
        clock = PresentationClock(usual, is_clocked(self.container.format.name))
        start, end = self.origin, self.end
        entry_pts = self._part.entry_pts
        if entry_pts is None:
            self._seek(int((start - SEEK_MARGIN_S) / base))
        index = 0
        for item in self._demux():
            if isinstance(item, Passing):
                if item.stream_index == self._video.index or self._is_wanted(item, start, end):
                    yield item
                continue
            if item is _END:
                return
            if entry_pts is not None and item.pts is not None and item.pts < entry_pts:
                continue  # shown before the key it follows, and decoded without what it needs
            clock.first_packet_dts = self._first_dts
            pts = clock.stamp(item.pts, item.dts)
            self.damage.untimed_frames = clock.mended
            time = pts * base
            if end is not None and time >= end:
                continue
            if not self.span.is_whole and time < start:
                continue
            if item.is_corrupt:
                self.damage.corrupt_frames += 1
            yield Frame(item, index, pts, credible(item.duration) or usual, base)
            index += 1

    def _seek(self, ticks: int) -> None:
        """Skip ahead to shortly before the span, where the file can."""
        if not self.span.start or ticks <= (self._video.start_time or 0):
            return
        # A pipe, or a file without its index, is read from the beginning: it only takes longer.
        with suppress(av.error.FFmpegError, OSError):
            self.container.seek(ticks, stream=self._video, backward=True)

    def _enter(self, entry_pts: int) -> Iterator[av.packet.Packet[Any]] | None:
        """Packets from exactly that key on; None, begun anew, where no jump finds it."""
        base = self._video.time_base or Fraction(1, 90_000)
        for margin in ENTRY_MARGINS_S:
            with suppress(av.error.FFmpegError, OSError):
                ticks = entry_pts - round(margin / base)
                self.container.seek(ticks, stream=self._video, backward=True)
                packets = self.container.demux(self._video)
                for packet in packets:
                    if packet.pts is None or not packet.is_keyframe:
                        continue
                    if packet.pts == entry_pts:
                        return chain([packet], packets)
                    if packet.pts > entry_pts:
                        break
        self.container.close()
        self._part = replace(self._part, entry_pts=None)
        self._open()
        return None

    def _within_part(self, items: Iterator[Frame | Passing]) -> Iterator[Frame | Passing]:
        """Without the frames around the part, which its first frame may have needed."""
        part = self._part
        if part == Part():
            yield from items
            return
        index = part.first_index
        before: deque[Frame] = deque(maxlen=part.around)
        after = 0
        for item in items:
            if isinstance(item, Frame):
                if part.start_pts is not None and item.pts < part.start_pts:
                    before.append(item)
                    continue
                if part.end_pts is not None and item.pts >= part.end_pts:
                    if after == part.around:
                        return
                    after += 1
                for number, frame in enumerate([*before, item], index - len(before)):
                    if part.entry_pts is not None:
                        frame.index = number
                    yield frame
                before.clear()
                index += 1
                continue
            yield item

    def _demux(self) -> Iterator[Any]:
        """Decoded pictures and passing packets; `_END` once nothing wanted can follow."""
        end = None if self.end is None else self.end + SEEK_MARGIN_S
        try:
            for packet in self._packets():
                is_picture = packet.stream.index == self._video.index
                if is_picture and _is_past(packet, end):
                    break
                if not (is_picture and self._decodes):
                    if packet.size:
                        self._note_cover_art(packet)
                        yield Passing(packet, packet.stream.index)
                    continue
                if self._first_dts is None:
                    self._first_dts = packet.dts
                yield from self._decode(packet)
        except av.error.InvalidDataError:
            self.damage.ended_early = True
        except OSError as error:
            if error.errno != errno.EIO:
                raise InputError(f"{self._name} could not be read to its end: {error}.") from error
            self.damage.ended_early = True
        if self._decodes:
            yield from self._decode(None)
        yield _END

    def _packets(self) -> Iterator[av.packet.Packet[Any]]:
        """Every packet of the file, while the demuxer's complaints are counted."""
        packets = self._packets_from_entry or self.container.demux()
        complaints = Complaints(self.container.format.name)
        clock = UnbrokenClock() if is_clocked(self.container.format.name) else None
        while True:
            with complaints.listen():
                packet = next(packets, None)
            self.damage.broken_places = complaints.count
            if packet is None:
                return
            if clock is not None:
                clock.mend(packet)
                self.damage.clock_jumps = clock.jumps
            yield packet

    def _decode(self, packet: av.packet.Packet[Any] | None) -> list[av.video.frame.VideoFrame]:
        if packet is not None and packet.size == 0:
            return []
        if packet is not None and packet.is_corrupt and self._decoder.codec.intra_only:
            # An error takes all frames of its call with it, also those that threads still held.
            return [*self._emptied(), *self._decode_one(packet), *self._emptied()]
        return self._decode_one(packet)

    def _emptied(self) -> list[av.video.frame.VideoFrame]:
        """What the decoder still holds; after that it takes packets again."""
        frames = self._decode_one(None)
        self._decoder.flush_buffers()
        return frames

    def _decode_one(self, packet: av.packet.Packet[Any] | None) -> list[av.video.frame.VideoFrame]:
        try:
            frames: list[av.video.frame.VideoFrame] = self._decoder.decode(packet)
        except av.error.FFmpegError as error:
            # Decoders name damage as they like: invalid data, a wrong argument, no permission (DV).
            if isinstance(error, MemoryError):
                raise
            is_end = packet is None and isinstance(error, av.error.EOFError)
            self.damage.undecodable_packets += not is_end
            return []
        return frames

    def _note_cover_art(self, packet: av.packet.Packet[Any]) -> None:
        if is_cover_art(packet.stream):
            self.cover_art.setdefault(packet.stream.index, bytes(packet))

    def _is_wanted(self, item: Passing, start: Fraction, end: Fraction | None) -> bool:
        if self.span.is_whole or item.stream_index in self.cover_art:
            return True
        packet = item.packet
        at = packet.pts if packet.pts is not None else packet.dts
        if at is None:
            return False
        begins = at * packet.time_base
        if end is not None and begins >= end:
            return False
        if packet.stream.type != "subtitle":
            return begins >= start
        stays_until = begins + (packet.duration or 0) * packet.time_base
        if stays_until <= start:
            return False
        shown_until = stays_until if end is None else min(stays_until, end)
        packet.pts = packet.dts = round(max(begins, start) / packet.time_base)
        packet.duration = round(shown_until / packet.time_base) - packet.pts
        return True


_END = object()


def _is_past(packet: av.packet.Packet[Any], end: Fraction | None) -> bool:
    return end is not None and packet.dts is not None and packet.dts * packet.time_base > end
