"""Frames in, the picture's packets out, numbered by frame.

The encoder counts frames and never sees a timestamp: whoever takes its packets puts the source's
own times back (`PacketTimes`). So every codec, also those that know only constant frame rates,
keeps variable timing to the tick.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av
import av.container
import av.error

from vidref.errors import OutputError
from vidref.media.colour import usual_matrix
from vidref.media.encoders import Encoding, carries_captions
from vidref.media.frames import Frame
from vidref.media.outline import add_encoded, set_up_encoder
from vidref.media.planes import is_rgb
from vidref.media.probe import Clip
from vidref.media.scheduling import own_scheduling
from vidref.media.sidedata import side_data

if TYPE_CHECKING:
    import av.packet
    import av.video.frame

# Encoders that write the time of day into their stream, counted from the first frame they get.
WRITES_TIMECODE = ("mpeg2video", "mpeg1video")


@dataclass
class Remarks:
    """What an encoder met that the user must hear of; those of several segments add up."""

    resized: int = 0
    captions_lost: bool = False

    def __add__(self, other: Remarks) -> Remarks:
        return Remarks(self.resized + other.resized, self.captions_lost or other.captions_lost)

    def sentences(self, clip: Clip, encoding: Encoding) -> list[str]:
        found = []
        if self.captions_lost:
            found.append(
                f"Closed captions ride on the frames, and {encoding.family} cannot carry "
                "them: they are left out (h264, hevc and mpeg2video keep them)."
            )
        if self.resized:
            found.append(
                f"{self.resized} frames of {clip.name} have another size than the first "
                f"and were scaled to {clip.picture.width}x{clip.picture.height}."
            )
        return found


class PictureEncoder:
    """One open encoder; its packets' `pts` and `dts` are frame numbers counted from 0."""

    def __init__(self, context: Any, clip: Clip, encoding: Encoding, first_number: int = 0) -> None:
        """`first_number` is what the encoder itself is told to count from."""
        self.pushed = 0
        self.remarks = Remarks()
        self._context = context
        self._clip = clip
        self._encoding = encoding
        self._first = first_number
        self._may_lose_captions = not carries_captions(encoding)

    @property
    def extradata(self) -> bytes:
        return bytes(self._context.extradata or b"")

    def encode(self, frame: Frame) -> Iterable[av.packet.Packet[Any]]:
        """Encode one frame; its planes are not looked at."""
        if self._may_lose_captions and _has_captions(frame):
            self._may_lose_captions = False
            self.remarks.captions_lost = True
        image = self._in_format(frame.image)
        image.pts = self._first + self.pushed
        image.time_base = 1 / self._encoding.rate
        image.pict_type = 0  # the new encoder, not the old one, decides which frames are keys
        self.pushed += 1
        return self._packets(image)

    def flush(self) -> Iterable[av.packet.Packet[Any]]:
        """What the encoder still holds back, once no frame follows."""
        return self._packets(None) if self.pushed else []

    def _packets(self, image: av.video.frame.VideoFrame | None) -> Iterable[av.packet.Packet[Any]]:
        packets: list[av.packet.Packet[Any]] = self._context.encode(image)
        if self._first:
            for packet in packets:
                packet.pts = None if packet.pts is None else packet.pts - self._first
                packet.dts = None if packet.dts is None else packet.dts - self._first
        return packets

    def _in_format(self, image: av.video.frame.VideoFrame) -> av.video.frame.VideoFrame:
        """The frame itself; only RGB that must become YUV is converted, by the usual matrix."""
        picture = self._clip.picture
        self.remarks.resized += (image.width, image.height) != (picture.width, picture.height)
        if is_rgb(self._encoding.pix_fmt) or not picture.is_rgb:
            return image
        matrix = "ITU709" if usual_matrix(image.height) == 1 else "ITU601"
        # with several threads swscale now and then writes over the beginning of a finished row
        return image.reformat(
            format=self._encoding.pix_fmt,
            dst_colorspace=matrix,
            dst_color_range="MPEG",
            threads=1,
        )


def open_encoder(
    clip: Clip, muxer: str, encoding: Encoding, threads: int, first_number: int
) -> PictureEncoder:
    """An encoder of its own, set up exactly as that of an output file would be.

    Frames before it are counted on: `first_number` is how many they are.
    """
    # The container is only asked for the encoder that it wants; nothing is written into it.
    with av.open(io.BytesIO(), "w", format=muxer) as container:
        context = add_encoded(container, muxer, encoding).codec_context
        set_up_encoder(context, clip.picture, muxer, encoding, threads)
        if encoding.encoder in WRITES_TIMECODE and first_number:
            context.options = {
                **context.options,
                "gop_timecode": _timecode(first_number, round(encoding.rate)),
            }
        try:
            with own_scheduling():
                context.open()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise cannot_encode(clip, muxer, encoding, error) from error
        return PictureEncoder(context, clip, encoding, first_number)


def can_be_cut(clip: Clip, muxer: str, encoding: Encoding, threads: int) -> bool:
    """Whether two encoders of this kind write the same header, so that their packets can be joined.

    All of FFmpeg's own do; what drives hardware is asked rather than trusted.
    """
    picture = clip.picture
    image = av.VideoFrame(picture.width, picture.height, picture.pix_fmt)
    for plane in image.planes:
        plane.update(bytes(plane.buffer_size))
    headers = []
    for _ in range(2):
        encoder = open_encoder(clip, muxer, encoding, threads, 0)
        made = [*encoder.encode(Frame(image, 0, 0, 1, picture.time_base)), *encoder.flush()]
        headers.append((encoder.extradata, len(made)))
    return headers[0] == headers[1] and headers[0][1] == 1


def cannot_encode(clip: Clip, muxer: str, encoding: Encoding, error: BaseException) -> OutputError:
    """The sentence for an encoder that does not open."""
    picture = clip.picture
    return OutputError(
        f"{encoding.encoder} cannot write a {picture.width}x{picture.height} "
        f"{encoding.pix_fmt} picture into {muxer} ({reason(error)}); choose "
        "another --codec, or an .mkv output."
    )


def reason(error: BaseException) -> str:
    """FFmpeg's or the system's word for it, to stand within a sentence."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text)[:1].lower() + str(text)[1:].rstrip(".")


def _has_captions(frame: Frame) -> bool:
    return any(name == "A53_CC" for name, _ in side_data(frame.image))


def _timecode(number: int, rate: int) -> str:
    seconds, frames = divmod(number, rate)
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frames:02}"
