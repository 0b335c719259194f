"""Encode the picture, copy every other stream, and appear under the final name only when whole.

The encoder counts frames; the timestamps that reach the file are the source's own, put back on
the packets as they come out. So every codec, also those that know only constant frame rates,
keeps variable timing to the tick.
"""

from __future__ import annotations

import sys
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import av
import av.container
import av.error

from vidref.errors import OutputError, UnsupportedStreamError
from vidref.media import containers
from vidref.media.colour import usual_matrix
from vidref.media.encoders import Encoding, carries_captions, colour_options
from vidref.media.matroska import PLACEHOLDER, set_pixel_shape
from vidref.media.planes import is_rgb
from vidref.media.probe import Picture, StreamInfo, is_cover_art
from vidref.media.reader import Frame, Passing, Reader
from vidref.media.sidedata import side_data
from vidref.media.unfinished import UnfinishedFile

if TYPE_CHECKING:
    import av.stream
    import av.video.frame
    import av.video.stream


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
        self.target = target
        self._muxer = muxer
        self._reader = reader
        self._encoding = encoding
        self._refuse_streams_that_do_not_fit(drop)
        self._shift = self._time_shift()
        self._time_base = containers.output_time_base(muxer, reader.clip.picture)
        self._times = _PacketTimes()
        self._last_dts: dict[int, int] = {}
        self.mended_packets = 0
        self.lost_packets = 0
        self.notes: list[str] = []
        self._may_lose_captions = not carries_captions(encoding)
        self._shapes_pixels = False
        self._file = UnfinishedFile(target) if target else None
        try:
            self._output = self._open()
            self._copies: dict[int, av.stream.Stream] = {}
            self._video = self._add_streams(drop, threads)
            self._start()
        except BaseException:
            self._close_quietly()
            raise

    def write(self, frame: Frame) -> None:
        """Encode one frame; its planes are not looked at."""
        pts, duration = self._output_time(frame)
        self._times.push(pts, duration)
        if self._may_lose_captions:
            self._note_captions(frame)
        image = self._in_format(frame.image)
        image.pts = self._times.pushed - 1
        image.time_base = 1 / self._encoding.rate
        image.pict_type = 0  # the new encoder, not the old one, decides which frames are keys
        self._mux_picture(image)

    def _in_format(self, image: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
        """The frame itself; only RGB that must become YUV is converted, by the usual matrix."""
        if is_rgb(self._encoding.pix_fmt) or not self._reader.clip.picture.is_rgb:
            return image
        matrix = "ITU709" if usual_matrix(image.height) == 1 else "ITU601"
        return image.reformat(
            format=self._encoding.pix_fmt, dst_colorspace=matrix, dst_color_range="MPEG"
        )

    def _note_captions(self, frame: Frame) -> None:
        if any(name == "A53_CC" for name, _ in side_data(frame.image)):
            self._may_lose_captions = False
            self.notes.append(
                f"Closed captions ride on the frames, and {self._encoding.family} cannot carry "
                "them: they are left out (h264, hevc and mpeg2video keep them)."
            )

    def copy(self, item: Passing) -> None:
        """Hand a packet of another stream on, byte for byte."""
        stream = self._copies.get(item.stream_index)
        if stream is None:
            return
        packet = item.packet
        is_cover = item.stream_index in self._reader.cover_art
        if self._shift and not is_cover:
            ticks = round(self._shift / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        if not is_cover and not self._keep_order(packet, item.stream_index, stream.type):
            return
        packet.stream = stream
        self._guard(self._output.mux_one, packet)

    def finish(self) -> None:
        """Flush the encoder, write the index, and put the file in its place."""
        if self._times.pushed:
            self._mux_picture(None)
        self._guard(self._output.close)
        if self._file:
            if self._shapes_pixels:
                picture = self._reader.clip.picture
                shape = picture.sample_aspect or Fraction(1)
                set_pixel_shape(self._file.path, picture.width, picture.height, shape)
            self._file.keep()
        else:
            sys.stdout.buffer.flush()

    def disorder_sentence(self) -> str | None:
        """What had to be done to the other streams' packets, or nothing."""
        if not (self.mended_packets or self.lost_packets):
            return None
        return (
            f"{self._reader.clip.name}: {self.mended_packets} packets of sound or subtitles ran "
            f"backwards in time and were put in order, {self.lost_packets} without a time were "
            "left out."
        )

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._close_quietly()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.abandon()

    def _refuse_streams_that_do_not_fit(self, drop: frozenset[int]) -> None:
        infos = {info.index: info for info in self._reader.clip.streams}
        misfits: list[StreamInfo] = []
        for stream in self._reader.container.streams:
            if stream.index in drop or not self._is_copied(stream):
                continue
            if self._becomes_attachment(stream) or containers.can_hold(self._muxer, stream):
                continue
            misfits.append(infos[stream.index])
        if misfits:
            named = ", ".join(map(str, misfits))
            numbers = ",".join(str(info.index) for info in misfits)
            remedy = f"leave it out with --drop {numbers}"
            if self._muxer != "matroska":
                remedy = f"write an .mkv, or {remedy}"
            raise UnsupportedStreamError(
                f"{self._muxer} cannot hold {named} of {self._reader.clip.name}; {remedy}."
            )

    def _is_copied(self, stream: av.stream.Stream) -> bool:
        clip = self._reader.clip
        if stream.index == clip.picture.index:
            return False
        return not containers.is_made_by_the_muxer(clip.container, stream, clip.chapter_count)

    def _becomes_attachment(self, stream: av.stream.Stream) -> bool:
        """Matroska keeps cover art as an attached file, not as a track."""
        return self._muxer == "matroska" and is_cover_art(stream)

    def _time_shift(self) -> Fraction:
        """What to take off every timestamp: a trim, or a broadcast clock's arbitrary start."""
        reader = self._reader
        if not reader.span.is_whole:
            return reader.origin
        if containers.is_clocked(reader.clip.container) and self._muxer not in containers.CLOCKED:
            return _earliest(reader.container)
        return Fraction(0)

    def _open(self) -> av.container.OutputContainer:
        foreign = containers.foreign_tags(self._reader.container.metadata)
        is_mov = self._muxer in containers.MOV_FAMILY
        if is_mov and foreign and self._reader.cover_art:
            self.notes.append(
                f"{self._muxer} keeps either cover art or the tags {', '.join(foreign)}: the "
                "cover is kept, the tags are left out (an .mkv keeps both)."
            )
            foreign = []
        keep_clock = self._shift == 0 and containers.is_clocked(self._reader.clip.container)
        options = containers.muxer_options(self._muxer, self.target, bool(foreign), keep_clock)
        destination: Any = (
            containers.local_file(self._file.path) if self._file else sys.stdout.buffer
        )
        try:
            return av.open(
                destination,
                "w",
                format=self._muxer,
                container_options=options,
                metadata_errors="surrogateescape",
            )
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{self._name} cannot be written: {_reason(error)}.") from error

    def _add_streams(self, drop: frozenset[int], threads: int) -> av.video.stream.VideoStream:
        source = self._reader.container
        output = self._output
        output.metadata.update(containers.kept_file_tags(source.metadata))
        video = None
        for stream in source.streams:
            if stream.index == self._reader.clip.picture.index:
                video = self._add_picture(stream, threads)
            elif stream.index in drop or not self._is_copied(stream):
                continue
            elif self._becomes_attachment(stream):
                self._attach_cover(stream)
            else:
                self._copies[stream.index] = self._add_copy(stream)
        chapters = self._chapters()
        if chapters:
            output.set_chapters(chapters)
        assert video is not None  # the reader chose it among these streams
        return video

    def _add_picture(self, source: av.stream.Stream, threads: int) -> av.video.stream.VideoStream:
        picture, encoding = self._reader.clip.picture, self._encoding
        try:
            stream: Any = self._output.add_stream(encoding.encoder, rate=encoding.rate)
        except ValueError as error:
            raise UnsupportedStreamError(
                f"{self._muxer} cannot hold {encoding.family} pictures; write an .mkv instead."
            ) from error
        context = stream.codec_context
        context.width, context.height = picture.width, picture.height
        context.pix_fmt = encoding.pix_fmt
        context.time_base = 1 / encoding.rate
        context.thread_count = threads
        if picture.sample_aspect:
            context.sample_aspect_ratio = picture.sample_aspect
        if picture.field_order:
            context.field_order = picture.field_order
        for name, value in colour_options(picture, encoding.pix_fmt).items():
            setattr(context, name, value)
        if encoding.family == "hevc" and self._muxer in containers.MOV_FAMILY:
            context.codec_tag = "hvc1"  # QuickTime plays no other kind of HEVC
        context.options = dict(encoding.options)
        stream.time_base = self._time_base
        stream.metadata.update(containers.kept_picture_tags(source.metadata))
        stream.disposition = source.disposition
        self._keep_pixel_shape(stream, picture)
        if picture.display_matrix:
            stream.set_display_matrix(picture.display_matrix)
        video: av.video.stream.VideoStream = stream
        return video

    def _keep_pixel_shape(self, stream: Any, picture: Picture) -> None:
        """Pixels that are not square must stay so; some containers need help, some cannot."""
        is_square = picture.sample_aspect in (None, 1)
        if is_square or self._muxer in containers.MOV_FAMILY:
            return
        if self._muxer in ("matroska", "webm") and self._file:
            self._shapes_pixels = True
            stream.metadata["title"] = stream.metadata.get("title", "") + PLACEHOLDER
        elif self._encoding.family not in containers.SHAPE_IN_STREAM:
            self.notes.append(
                f"{self._muxer} does not keep the shape of the pixels "
                f"({picture.sample_aspect}) of {self._encoding.family} here; an .mkv or .mov does."
            )

    def _add_copy(self, source: av.stream.Stream) -> av.stream.Stream:
        stream: av.stream.Stream = self._output.add_stream_from_template(source, opaque=True)
        stream.metadata.update({k: v for k, v in source.metadata.items() if k.lower() != "encoder"})
        stream.disposition = source.disposition
        return stream

    def _attach_cover(self, source: av.stream.Stream) -> None:
        codec = source.codec_context.codec.canonical_name
        mimetype = containers.IMAGE_MIMETYPES.get(codec, f"image/{codec}")
        tags = source.metadata
        name = tags.get("filename") or f"cover.{mimetype.split('/')[1].replace('jpeg', 'jpg')}"
        data = self._reader.cover_art.get(source.index)
        if data:
            self._output.add_attachment(name, tags.get("mimetype", mimetype), data)

    def _chapters(self) -> list[Any]:
        """The source's chapters; of a trimmed clip those that it still contains, moved along."""
        span = self._reader.span
        chapters: list[Any] = list(self._reader.container.chapters())
        if span.is_whole and not self._shift:
            return chapters
        length = None if span.end is None else span.end - span.start
        kept = []
        for chapter in chapters:
            base = chapter["time_base"] or Fraction(1, 1000)
            start = chapter["start"] * base - self._shift
            end = chapter["end"] * base - self._shift
            if end <= 0 or (length is not None and start >= length):
                continue
            start, end = max(Fraction(0), start), end if length is None else min(end, length)
            kept.append({**chapter, "start": round(start / base), "end": round(end / base)})
        return kept

    def _start(self) -> None:
        try:
            self._output.start_encoding()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            encoding, picture = self._encoding, self._reader.clip.picture
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
                f"{self._muxer} holds only a constant frame rate, and {self._reader.clip.name} "
                f"leaves it at {float(frame.time):.3f} s; write an .mkv or .mp4 instead."
            )
        return number, 1

    def _mux_picture(self, image: av.video.frame.VideoFrame | None) -> None:
        for packet in self._guard(self._video.encode, image):
            packet.pts, packet.dts, packet.duration = self._times.of(packet.pts, packet.dts)
            packet.time_base = self._time_base
            self._guard(self._output.mux_one, packet)

    def _keep_order(self, packet: Any, index: int, kind: str) -> bool:
        """Mend timestamps that muxers refuse, as damaged files have them; False if there is none.

        Times must move on (subtitles may stand still), and nothing is shown before it is decoded.
        """
        before = (packet.pts, packet.dts)
        last = self._last_dts.get(index)
        if packet.dts is None:
            packet.dts = packet.pts if packet.pts is not None else last
        if packet.dts is None:
            self.lost_packets += 1
            return False
        earliest = None if last is None else last + (kind != "subtitle")
        if earliest is not None and packet.dts < earliest:
            packet.dts = earliest
        if packet.pts is None or packet.pts < packet.dts:
            packet.pts = packet.dts
        self._last_dts[index] = packet.dts
        self.mended_packets += None not in before and before != (packet.pts, packet.dts)
        return True

    @property
    def _name(self) -> str:
        return str(self.target) if self.target else "standard output"

    def _guard(self, call: Any, *args: Any) -> Any:
        """Turn what the disk or the encoder refuses into one sentence."""
        try:
            return call(*args)
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{self._name} could not be written: {_reason(error)}.") from error

    def _close_quietly(self) -> None:
        output = getattr(self, "_output", None)
        if self._file:
            self._file.discard()
        if output is not None:
            try:
                output.close()
            except (av.error.FFmpegError, OSError):
                return  # the file is gone already; there is nothing left to save


class _PacketTimes:
    """Frame numbers back to timestamps, in the bounded window that an encoder reorders."""

    def __init__(self) -> None:
        self.pushed = 0
        self._first = 0
        self.last_pts = -1
        self._window: deque[tuple[int, int]] = deque()
        self._start = 0
        self._usual = 1

    def push(self, pts: int, duration: int) -> None:
        if self.pushed == 0:
            self._start, self._usual = pts, max(1, duration)
        self._window.append((pts, duration))
        self.last_pts = pts
        self.pushed += 1

    def of(self, number: int, decode_number: int | None) -> tuple[int, int, int]:
        """(pts, dts, duration) of the packet that shows frame `number`."""
        pts, duration = self._window[number - self._first]
        if decode_number is None:
            return pts, pts, duration
        if decode_number < 0:
            return pts, self._start + decode_number * self._usual, duration
        dts = self._window[decode_number - self._first][0]
        while self._first < decode_number:
            self._window.popleft()
            self._first += 1
        return pts, dts, duration


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
