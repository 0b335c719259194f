"""Encode the picture, copy every other stream, and appear under the final name only when whole.

The encoder counts frames; the timestamps that reach the file are the source's own, put back on
the packets as they come out. So every codec, also those that know only constant frame rates,
keeps variable timing to the tick.
"""

from __future__ import annotations

import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import av.container
import av.error

from vidref.errors import OutputError, UnsupportedStreamError
from vidref.media import containers
from vidref.media.avi_header import mend_sound_headers
from vidref.media.colour import usual_matrix
from vidref.media.encoders import Encoding, carries_captions
from vidref.media.frames import Frame, Passing
from vidref.media.matroska import set_pixel_shape
from vidref.media.outline import lay_out, refuse_misfits
from vidref.media.packet_times import PacketTimes, PassingOrder
from vidref.media.planes import is_rgb
from vidref.media.sidedata import side_data
from vidref.media.unfinished import UnfinishedFile

if TYPE_CHECKING:
    import av.video.frame

    from vidref.media.reader import Reader


class Writer:
    """A clip being written: frames and packets go in, a file appears when `finish` returns."""

    def __init__(
        self,
        target: Path | None,
        muxer: str,
        reader: Reader,
        encoding: Encoding,
        drop: frozenset[int] = frozenset(),
        threads: int = 0,
    ) -> None:
        """`target` None writes to standard output; `drop` leaves out streams by index."""
        refuse_misfits(reader, muxer, drop)
        self.target = target
        self._muxer = muxer
        self._clip = reader.clip
        self._encoding = encoding
        self._covers = reader.cover_art
        self._shift = _time_shift(reader, muxer)
        self._time_base = containers.output_time_base(muxer, reader.clip.picture)
        self._times = PacketTimes()
        self._order = PassingOrder()
        self._notes: list[str] = []
        self._may_lose_captions = not carries_captions(encoding)
        self._resized = 0
        self._unreadable = 0
        self._copied: Counter[int] = Counter()
        self._output: av.container.OutputContainer | None = None
        self._file = UnfinishedFile(target) if target else None
        try:
            self._output = self._open(reader.container.metadata)
            self._outline = lay_out(
                self._output, reader, muxer, encoding, drop, self._shift, threads
            )
            self._start(self._output)
        except BaseException:
            self.abandon()
            raise

    def write(self, frame: Frame) -> None:
        """Encode one frame; its planes are not looked at."""
        self._times.push(*self._output_time(frame))
        if self._may_lose_captions:
            self._note_captions(frame)
        image = self._in_format(frame.image)
        image.pts = self._times.pushed - 1
        image.time_base = 1 / self._encoding.rate
        image.pict_type = 0  # the new encoder, not the old one, decides which frames are keys
        self._mux_picture(image)

    def copy(self, item: Passing) -> None:
        """Hand a packet of another stream on, byte for byte."""
        assert self._output is not None
        stream = self._outline.copies.get(item.stream_index)
        if stream is None:
            return
        packet = item.packet
        if item.stream_index not in self._covers:
            if self._shift:
                ticks = round(self._shift / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts - ticks
                packet.dts = None if packet.dts is None else packet.dts - ticks
            if not self._order.keep(packet, item.stream_index, stream.type):
                return
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
        """Flush the encoder, write the index, and put the file in its place."""
        assert self._output is not None
        if self._times.pushed:
            self._mux_picture(None)
        self._guard(self._output.close)
        if self._file is None:
            sys.stdout.buffer.flush()
            return
        if self._outline.needs_pixel_shape:
            picture = self._clip.picture
            shape = picture.sample_aspect or Fraction(1)
            set_pixel_shape(self._file.path, picture.width, picture.height, shape)
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
        """Sentences that the user must hear about this output."""
        notes = [*self._notes, *self._outline.notes]
        if self._resized:
            picture = self._clip.picture
            notes.append(
                f"{self._resized} frames of {self._clip.name} have another size than the first "
                f"and were scaled to {picture.width}x{picture.height}."
            )
        if self._unreadable:
            notes.append(
                f"{self._unreadable} damaged packets of sound or subtitles in {self._clip.name} "
                f"could not be read by {self._muxer} and were left out."
            )
        disorder = self._order.sentence(self._clip.name)
        return [*notes, disorder] if disorder else notes

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abandon()

    def _open(self, tags: dict[str, str]) -> av.container.OutputContainer:
        foreign = containers.foreign_tags(tags)
        if self._muxer in containers.MOV_FAMILY and foreign and self._covers:
            self._notes.append(
                f"{self._muxer} keeps either cover art or the tags {', '.join(foreign)}: the "
                "cover is kept, the tags are left out (an .mkv keeps both)."
            )
            foreign = []
        keep_clock = self._shift == 0 and containers.is_clocked(self._clip.container)
        options = containers.muxer_options(
            self._muxer,
            self.target,
            bool(foreign),
            keep_clock,
            containers.has_index_in_front(self._clip.path),
        )
        destination: Any = self._file and containers.local_file(self._file.path)
        try:
            return av.open(
                destination or sys.stdout.buffer,
                "w",
                format=self._muxer,
                container_options=options,
                metadata_errors="surrogateescape",
            )
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{self._name} cannot be written: {_reason(error)}.") from error

    def _start(self, output: av.container.OutputContainer) -> None:
        try:
            output.start_encoding()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            encoding, picture = self._encoding, self._clip.picture
            raise OutputError(
                f"{encoding.encoder} cannot write a {picture.width}x{picture.height} "
                f"{encoding.pix_fmt} picture into {self._muxer} ({_reason(error)}); choose "
                "another --codec, or an .mkv output."
            ) from error

    def _output_time(self, frame: Frame) -> tuple[int, int]:
        """(pts, duration) of the frame in the output's ticks."""
        if self._muxer not in containers.CONSTANT_RATE_ONLY:
            return frame.pts - round(self._shift / frame.time_base), frame.duration
        exact = (frame.time - self._shift) / self._time_base
        number = round(exact)
        if abs(exact - number) > containers.RATE_TOLERANCE or number <= self._times.last_pts:
            raise UnsupportedStreamError(
                f"{self._muxer} holds only a constant frame rate, and {self._clip.name} "
                f"leaves it at {float(frame.time):.3f} s; write an .mkv or .mp4 instead."
            )
        return number, 1

    def _in_format(self, image: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
        """The frame itself; only RGB that must become YUV is converted, by the usual matrix."""
        picture = self._clip.picture
        self._resized += (image.width, image.height) != (picture.width, picture.height)
        if is_rgb(self._encoding.pix_fmt) or not picture.is_rgb:
            return image
        matrix = "ITU709" if usual_matrix(image.height) == 1 else "ITU601"
        return image.reformat(
            format=self._encoding.pix_fmt, dst_colorspace=matrix, dst_color_range="MPEG"
        )

    def _note_captions(self, frame: Frame) -> None:
        if any(name == "A53_CC" for name, _ in side_data(frame.image)):
            self._may_lose_captions = False
            self._notes.append(
                f"Closed captions ride on the frames, and {self._encoding.family} cannot carry "
                "them: they are left out (h264, hevc and mpeg2video keep them)."
            )

    def _mux_picture(self, image: av.video.frame.VideoFrame | None) -> None:
        for packet in self._guard(self._outline.video.encode, image):
            packet.pts, packet.dts, packet.duration = self._times.of(packet.pts, packet.dts)
            packet.time_base = self._time_base
            self._mux(packet)

    def _mux(self, packet: Any) -> None:
        assert self._output is not None
        self._guard(self._output.mux_one, packet)

    def _guard(self, call: Any, *args: Any) -> Any:
        """Turn what the disk or the encoder refuses into one sentence."""
        try:
            return call(*args)
        except (av.error.FFmpegError, OSError) as error:
            raise self._refusal(error) from error

    def _refusal(self, error: BaseException) -> OutputError:
        return OutputError(f"{self._name} could not be written: {_reason(error)}.")

    @property
    def _name(self) -> str:
        return str(self.target) if self.target else "standard output"


def _time_shift(reader: Reader, muxer: str) -> Fraction:
    """What to take off every timestamp: a trim, or a broadcast clock's arbitrary start."""
    if not reader.span.is_whole:
        return reader.origin
    if containers.is_clocked(reader.clip.container) and muxer not in containers.CLOCKED:
        return _earliest(reader.container)
    return Fraction(0)


def _earliest(container: av.container.InputContainer) -> Fraction:
    """The first timestamp of any stream, exact in that stream's own ticks."""
    starts = [
        stream.start_time * stream.time_base
        for stream in container.streams
        if stream.start_time is not None and stream.time_base and stream.type in ("video", "audio")
    ]
    return min(starts, default=Fraction(0))


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text)[:1].lower() + str(text)[1:].rstrip(".")
