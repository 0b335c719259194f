"""An output file being put together: the picture's packets and everything copied beside them.

It takes packets whose times are the output's own, and appears under its final name only when
`finish` returns. Where the picture's packets come from (an encoder, or segments made before) is
not its business.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.container
import av.error

from vidref.errors import OutputError, UnsupportedStreamError
from vidref.media import containers
from vidref.media.avi_header import mend_sound_headers
from vidref.media.encoders import Encoding
from vidref.media.frames import Passing
from vidref.media.matroska import complete_track
from vidref.media.outline import lay_out, refuse_misfits
from vidref.media.packet_times import PassingOrder
from vidref.media.picture_encoder import cannot_encode, reason
from vidref.media.scheduling import own_scheduling
from vidref.media.silence import Silence, refuse_late_sound
from vidref.media.statement import statement_key
from vidref.media.unfinished import UnfinishedFile

if TYPE_CHECKING:
    import av.packet
    import av.video.codeccontext

    from vidref.media.reader import Reader


class OutputTimes:
    """When the source's frames are shown in the output, in the output's ticks."""

    def __init__(self, reader: Reader, muxer: str) -> None:
        self.shift = _time_shift(reader, muxer)
        self.time_base = containers.output_time_base(muxer, reader.clip.picture)
        self._clip = reader.clip
        self._muxer = muxer
        self._last_number: int | None = None
        # A trim, or sound that is ahead, seldom puts the first frame on the grid of frames.
        first = ((reader.first_pts or 0) * reader.clip.picture.time_base - self.shift) / (
            self.time_base
        )
        self._beside_grid = first - math.floor(first + Fraction(1, 16))

    def of(self, pts: int, duration: int) -> tuple[int, int]:
        """(pts, duration) in the output of a frame with these in the source, in frame order."""
        base = self._clip.picture.time_base
        if self._muxer not in containers.CONSTANT_RATE_ONLY:
            return pts - round(self.shift / base), duration
        exact = (pts * base - self.shift) / self.time_base - self._beside_grid
        number = round(exact)
        stands_still = self._last_number is not None and number <= self._last_number
        if stands_still or abs(exact - number) > containers.RATE_TOLERANCE:
            raise UnsupportedStreamError(
                f"{self._muxer} holds only a constant frame rate, and {self._clip.name} "
                f"leaves it at {float(pts * base):.3f} s; write an .mkv or .mp4 instead."
            )
        self._last_number = number
        return number, 1


def check_fit(reader: Reader, muxer: str, drop: frozenset[int]) -> None:
    """Refuse, before any work, what this container cannot hold, or not in time."""
    refuse_misfits(reader, muxer, drop)
    refuse_late_sound(reader, muxer, _time_shift(reader, muxer), drop)


class Mux:
    """The file (or standard output) with its header written, waiting for packets."""

    def __init__(
        self,
        target: Path | None,
        muxer: str,
        reader: Reader,
        encoding: Encoding,
        drop: frozenset[int] = frozenset(),
        threads: int = 0,
        statement: str | None = None,
        extradata: bytes | None = None,
    ) -> None:
        """`target` None writes to standard output; `drop` leaves out streams by index.

        `statement` is what the file shall say of itself; `extradata` is that of packets which
        were encoded elsewhere.
        """
        check_fit(reader, muxer, drop)
        self.target = target
        self.times = OutputTimes(reader, muxer)
        self._silence = Silence(muxer)
        self._picture_end = Fraction(0)
        self._muxer = muxer
        self._clip = reader.clip
        self._encoding = encoding
        self._covers = reader.cover_art
        self._order = PassingOrder()
        self._notes: list[str] = []
        self._unreadable = 0
        self._copied: Counter[int] = Counter()
        self._output: av.container.OutputContainer | None = None
        self._file = UnfinishedFile(target) if target else None
        try:
            self._output = self._open(reader.container.metadata, statement)
            self._outline = lay_out(
                self._output, reader, muxer, encoding, drop, self.times.shift, threads
            )
            self._start(self._output, extradata)
        except BaseException:
            self.abandon()
            raise

    @property
    def encoder(self) -> av.video.codeccontext.VideoCodecContext:
        """The opened encoder that the header was made with."""
        return self._outline.video.codec_context

    def add_picture(self, packet: av.packet.Packet[Any], times: tuple[int, int, int]) -> None:
        """Add the picture's next packet; `times` are its pts, dts and duration in the output."""
        assert self._output is not None
        packet.pts, packet.dts, packet.duration = times
        packet.time_base = self.times.time_base
        packet.stream = self._outline.video
        self._picture_end = max(self._picture_end, (times[0] + times[2]) * self.times.time_base)
        self.guard(self._output.mux_one, packet)

    def copy(self, item: Passing) -> None:
        """Hand a packet of another stream on, byte for byte."""
        assert self._output is not None
        stream = self._outline.copies.get(item.stream_index)
        if stream is None:
            return
        packet = item.packet
        if item.stream_index not in self._covers:
            if self.times.shift:
                ticks = round(self.times.shift / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts - ticks
                packet.dts = None if packet.dts is None else packet.dts - ticks
            if not self._order.keep(packet, item.stream_index, stream.type):
                return
        for silent in self._silence.before(packet, stream):
            self.guard(self._output.mux_one, silent)
        packet.stream = stream
        try:
            self._output.mux_one(packet)
        except (av.error.InvalidDataError, av.error.PatchWelcomeError):
            # What the muxer has to rewrite (ADTS headers, for one) it must be able to read.
            self._unreadable += 1
        except (av.error.FFmpegError, OSError) as error:
            raise self._refusal(error) from error
        else:
            self._copied[stream.index] += 1

    def finish(self) -> None:
        """Write the index, and put the file in its place."""
        assert self._output is not None
        for stream in self._outline.copies.values():
            for silent in self._silence.after(self._picture_end, stream):
                self.guard(self._output.mux_one, silent)
        self.guard(self._output.close)
        if self._file is None:
            sys.stdout.buffer.flush()
            return
        shape, light = self._outline.pixel_shape, self._outline.light
        if shape or light:
            size = self._clip.picture.width, self._clip.picture.height
            complete_track(self._file.path, size, shape, light)
        if self._muxer == "avi":
            mend_sound_headers(self._file.path, self._copied)
        self._file.keep()

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._file:
            self._file.discard()
        if self._output is not None:
            try:
                self._output.close()
            except (av.error.FFmpegError, OSError):
                return  # the file is gone already; there is nothing left to save

    def notes(self) -> list[str]:
        """Sentences that the user must hear about this file."""
        notes = [*self._notes, *self._outline.notes, *self._silence.notes()]
        if self._unreadable:
            notes.append(
                f"{self._unreadable} damaged packets of sound or subtitles in {self._clip.name} "
                f"could not be read by {self._muxer} and were left out."
            )
        disorder = self._order.sentence(self._clip.name)
        return [*notes, disorder] if disorder else notes

    def guard(self, call: Any, *args: Any) -> Any:
        """Turn what the disk or the encoder refuses into one sentence."""
        try:
            return call(*args)
        except (av.error.FFmpegError, OSError) as error:
            raise self._refusal(error) from error

    def _open(self, tags: dict[str, str], statement: str | None) -> av.container.OutputContainer:
        foreign = containers.foreign_tags(tags)
        if self._muxer in containers.MOV_FAMILY and foreign and self._covers:
            self._notes.append(
                f"{self._muxer} keeps either cover art or the tags {', '.join(foreign)}: the "
                "cover is kept, the tags are left out (an .mkv keeps both)."
            )
            foreign = []
        keep_clock = self.times.shift == 0 and containers.is_clocked(self._clip.container)
        options = containers.muxer_options(
            self._muxer,
            self.target,
            bool(foreign),
            keep_clock,
            containers.has_index_in_front(self._clip.path),
        )
        destination: Any = self._file and containers.local_file(self._file.path)
        try:
            output = av.open(
                destination or sys.stdout.buffer,
                "w",
                format=self._muxer,
                container_options=options,
                metadata_errors="surrogateescape",
            )
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{self._name} cannot be written: {reason(error)}.") from error
        if statement is not None:
            self._state(output, statement, tags, bool(foreign))
        return output

    def _state(
        self,
        output: av.container.OutputContainer,
        statement: str,
        tags: dict[str, str],
        keeps_foreign_tags: bool,
    ) -> None:
        key = statement_key(self._muxer, tags, keeps_foreign_tags)
        if key is not None:
            output.metadata[key] = statement
            return
        self._notes.append(
            f"{self._muxer} has no room left for a tag that says the clip was restored; the file "
            "itself does not tell (an .mkv does)."
        )

    def _start(self, output: av.container.OutputContainer, extradata: bytes | None) -> None:
        try:
            with own_scheduling():
                if extradata is not None:
                    # Some encoders say it only with their first frame, and this one gets none.
                    self.encoder.open()
                    self.encoder.extradata = extradata
                output.start_encoding()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise cannot_encode(self._clip, self._muxer, self._encoding, error) from error

    def _refusal(self, error: BaseException) -> OutputError:
        return OutputError(f"{self._name} could not be written: {reason(error)}.")

    @property
    def _name(self) -> str:
        return str(self.target) if self.target else "standard output"


def _time_shift(reader: Reader, muxer: str) -> Fraction:
    """What to take off every timestamp: a trim, or a broadcast clock's arbitrary start."""
    if not reader.span.is_whole:
        return reader.origin
    if containers.is_clocked(reader.clip.container) and muxer not in containers.CLOCKED:
        return _earliest(reader.container)
    if muxer in containers.CONSTANT_RATE_ONLY:
        return max(Fraction(0), _earliest(reader.container))  # nothing in them can begin late
    return Fraction(0)


def _earliest(container: av.container.InputContainer) -> Fraction:
    """The first timestamp of any stream, exact in that stream's own ticks."""
    starts = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base and stream.type in ("video", "audio")
    ]
    return min(starts, default=Fraction(0))
