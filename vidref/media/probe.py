"""What is in a file: its streams, picture, colour, rotation, interlacing and timing.

Everything here is read from headers and, for what headers get wrong, from the first decoded
frame; `vidref.media.reader.Reader` holds the result as `reader.clip`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vidref.media.chroma_site import chroma_site
from vidref.media.colour import Colour
from vidref.media.hdr import HdrMetadata, hdr_metadata
from vidref.media.planes import is_rgb as layout_is_rgb
from vidref.media.sidedata import side_data

if TYPE_CHECKING:
    import av
    import av.container
    import av.stream
    import av.video.frame
    import av.video.stream

# FFmpeg's AVFieldOrder: 0 unknown, 1 progressive, then which field comes first.
PROGRESSIVE = 1
FIRST_FIELDS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}


@dataclass(frozen=True)
class Picture:
    """The video stream that carries the picture."""

    index: int
    codec: str
    profile: str | None
    width: int
    height: int
    pix_fmt: str
    colour: Colour
    chroma_site: str | None
    hdr: HdrMetadata
    sample_aspect: Fraction | None
    rotation: int
    display_matrix: tuple[int, ...] | None
    field_order: int
    interlaced: bool
    time_base: Fraction
    average_rate: Fraction
    has_alpha: bool

    @property
    def first_field(self) -> str | None:
        """ "tff" or "bff" for interlaced pictures that say so."""
        return FIRST_FIELDS.get(self.field_order)

    @property
    def is_rgb(self) -> bool:
        return layout_is_rgb(self.pix_fmt)


@dataclass(frozen=True)
class StreamInfo:
    """Any stream of the file, as a user would name it."""

    index: int
    kind: str
    codec: str
    language: str | None
    title: str | None
    is_cover_art: bool

    def __str__(self) -> str:
        words = [f"stream {self.index}", f"({self.kind}", f"{self.codec}"]
        if self.language:
            words.append(self.language)
        return " ".join(words) + ")"


@dataclass(frozen=True)
class Clip:
    """A file that holds moving pictures."""

    path: Path | None
    container: str
    duration_s: float | None
    frame_count_hint: int | None
    start_time: Fraction
    picture: Picture
    streams: tuple[StreamInfo, ...]
    chapter_count: int

    @property
    def name(self) -> str:
        return self.path.name if self.path else "standard input"


def describe_clip(
    path: Path | None,
    container: av.container.InputContainer,
    video: av.video.stream.VideoStream,
    first: av.video.frame.VideoFrame,
) -> Clip:
    """Join what the headers say with what the first frame shows."""
    seconds = container.duration / 1_000_000 if container.duration else None
    rate = picture_rate(video)
    hint = video.frames or None
    if hint is None and seconds:
        hint = round(seconds * rate)
    return Clip(
        path=path,
        container=container.format.name,
        duration_s=seconds,
        frame_count_hint=hint,
        start_time=Fraction(container.start_time or 0, 1_000_000),
        picture=_describe_picture(video, first),
        streams=tuple(_describe_stream(stream) for stream in container.streams),
        chapter_count=len(container.chapters()),
    )


def picture_rate(video: av.video.stream.VideoStream) -> Fraction:
    """Frames a second, as far as the file knows; 25 where it does not."""
    average = video.average_rate
    # Raw DV is said to have a frame at every tick of a clock of 1/60000 s.
    if average and video.guessed_rate and average * (video.time_base or 0) == 1:
        average = min(average, video.guessed_rate)
    return average or video.guessed_rate or video.base_rate or Fraction(25)


def _describe_picture(
    video: av.video.stream.VideoStream, first: av.video.frame.VideoFrame
) -> Picture:
    context = video.codec_context
    return Picture(
        index=video.index,
        codec=context.codec.canonical_name,
        profile=video.profile,
        width=first.width,
        height=first.height,
        pix_fmt=first.format.name,
        colour=Colour.of_frame(first, fallback=context),
        chroma_site=chroma_site(context.codec.canonical_name, context.extradata),
        hdr=hdr_metadata(first),
        sample_aspect=video.sample_aspect_ratio or None,
        rotation=first.rotation,
        display_matrix=_display_matrix(first),
        field_order=context.field_order,
        interlaced=first.interlaced_frame,
        time_base=video.time_base or Fraction(1, 90_000),
        average_rate=picture_rate(video),
        has_alpha=_has_alpha(first.format.name),
    )


def _display_matrix(first: av.video.frame.VideoFrame) -> tuple[int, ...] | None:
    """How a player turns and mirrors the stored picture: nine fixed-point numbers."""
    for name, raw in side_data(first):
        if name == "DISPLAYMATRIX":
            return struct.unpack_from("=9i", raw)
    return None


def _has_alpha(pix_fmt: str) -> bool:
    return pix_fmt.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya"))


def _describe_stream(stream: av.stream.Stream) -> StreamInfo:
    return StreamInfo(
        index=stream.index,
        kind=stream.type,
        codec=stream.codec_context.codec.canonical_name if stream.codec_context else "data",
        language=stream.language,
        title=stream.metadata.get("title"),
        is_cover_art=is_cover_art(stream),
    )


def is_cover_art(stream: av.stream.Stream) -> bool:
    """A still picture that a player shows beside the clip, not the clip itself."""
    return stream.type == "video" and bool(stream.disposition & stream.disposition.attached_pic)
