"""The output's header: which streams it has, their tags and flags, chapters, and pixel shape.

Everything but the picture's own stream is laid out as a copy of the source's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from vidref.errors import UnsupportedStreamError
from vidref.media import containers
from vidref.media.encoders import SAYS_LIGHT, Encoding, colour_options
from vidref.media.hdr import HdrMetadata
from vidref.media.matroska import PLACEHOLDER
from vidref.media.probe import Clip, Picture, is_cover_art

if TYPE_CHECKING:
    import av.container
    import av.stream
    import av.video.stream

    from vidref.media.reader import Reader


@dataclass
class Outline:
    """The streams of an output that is about to begin."""

    video: av.video.stream.VideoStream
    copies: dict[int, av.stream.Stream] = field(default_factory=dict)
    pixel_shape: Fraction | None = None
    light: HdrMetadata | None = None
    notes: list[str] = field(default_factory=list)


def refuse_misfits(reader: Reader, muxer: str, drop: frozenset[int]) -> None:
    """Say, before anything is written, which streams this container cannot hold."""
    infos = {info.index: info for info in reader.clip.streams}
    misfits = [
        infos[stream.index]
        for stream in reader.container.streams
        if stream.index not in drop
        and is_copied(reader.clip, stream)
        and not _becomes_attachment(muxer, stream)
        and not containers.can_hold(muxer, stream)
    ]
    if misfits:
        named = ", ".join(map(str, misfits))
        numbers = ",".join(str(info.index) for info in misfits)
        remedy = f"leave it out with --drop {numbers}"
        if muxer != "matroska":
            remedy = f"write an .mkv, or {remedy}"
        raise UnsupportedStreamError(
            f"{muxer} cannot hold {named} of {reader.clip.name}; {remedy}."
        )


def is_copied(clip: Clip, stream: av.stream.Stream) -> bool:
    """Whether the stream goes over as it is: not the picture, nor what muxers make themselves."""
    if stream.index == clip.picture.index:
        return False
    return not containers.is_made_by_the_muxer(clip.container, stream, clip.chapter_count)


def lay_out(
    output: av.container.OutputContainer,
    reader: Reader,
    muxer: str,
    encoding: Encoding,
    drop: frozenset[int],
    shift: Fraction,
    threads: int,
) -> Outline:
    """Add every stream, tag and chapter to `output`; `shift` is what timestamps lose."""
    output.metadata.update(containers.kept_file_tags(reader.container.metadata))
    outline: Outline | None = None
    copies: dict[int, av.stream.Stream] = {}
    for stream in reader.container.streams:
        if stream.index == reader.clip.picture.index:
            outline = _add_picture(output, stream, reader.clip.picture, muxer, encoding, threads)
        elif stream.index in drop or not is_copied(reader.clip, stream):
            continue
        elif _becomes_attachment(muxer, stream):
            _attach_cover(output, stream, reader.cover_art.get(stream.index))
        else:
            copies[stream.index] = _add_copy(output, stream)
    assert outline is not None  # the reader chose the picture among these streams
    outline.copies = copies
    chapters = _chapters(reader, shift)
    if chapters:
        output.set_chapters(chapters)
    return outline


def _becomes_attachment(muxer: str, stream: av.stream.Stream) -> bool:
    """Matroska keeps cover art as an attached file, not as a track."""
    return muxer == "matroska" and is_cover_art(stream)


def _add_picture(
    output: av.container.OutputContainer,
    source: av.stream.Stream,
    picture: Picture,
    muxer: str,
    encoding: Encoding,
    threads: int,
) -> Outline:
    stream = add_encoded(output, muxer, encoding)
    set_up_encoder(stream.codec_context, picture, muxer, encoding, threads)
    stream.time_base = containers.output_time_base(muxer, picture)
    stream.metadata.update(containers.kept_picture_tags(source.metadata))
    stream.disposition = source.disposition
    if picture.display_matrix:
        stream.set_display_matrix(picture.display_matrix)
    outline = Outline(stream)
    is_file = output.file is None
    _keep_pixel_shape(outline, picture, muxer, encoding, is_file)
    _keep_light(outline, picture, muxer, encoding, is_file)
    if outline.pixel_shape or outline.light:
        stream.metadata["title"] = stream.metadata.get("title", "") + PLACEHOLDER
    return outline


def add_encoded(output: av.container.OutputContainer, muxer: str, encoding: Encoding) -> Any:
    """A stream with an encoder that is not set up yet."""
    try:
        return output.add_stream(encoding.encoder, rate=encoding.rate)
    except ValueError as error:
        raise UnsupportedStreamError(
            f"{muxer} cannot hold {encoding.family} pictures; write an .mkv instead."
        ) from error


def set_up_encoder(
    context: Any, picture: Picture, muxer: str, encoding: Encoding, threads: int
) -> None:
    """Everything an encoder must be told before it opens."""
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
    if encoding.family == "hevc" and muxer in containers.MOV_FAMILY:
        context.codec_tag = "hvc1"  # QuickTime plays no other kind of HEVC
    context.options = dict(encoding.options)


def _keep_pixel_shape(
    outline: Outline, picture: Picture, muxer: str, encoding: Encoding, is_file: bool
) -> None:
    """Pixels that are not square must stay so; some containers need help, some cannot."""
    if picture.sample_aspect in (None, 1) or muxer in containers.MOV_FAMILY:
        return
    if muxer in ("matroska", "webm") and is_file:
        outline.pixel_shape = picture.sample_aspect
    elif encoding.family not in containers.SHAPE_IN_STREAM:
        outline.notes.append(
            f"{muxer} does not keep the shape of the pixels ({picture.sample_aspect}) of "
            f"{encoding.family} here; an .mkv or .mov file does."
        )


def _keep_light(
    outline: Outline, picture: Picture, muxer: str, encoding: Encoding, is_file: bool
) -> None:
    """HDR light levels that the encoder has no word for: Matroska has."""
    if not picture.hdr or encoding.encoder in SAYS_LIGHT:
        return
    if muxer in ("matroska", "webm") and is_file:
        outline.light = picture.hdr
    else:
        outline.notes.append(
            f"{encoding.family} has no route for the HDR mastering metadata: colours are kept, the "
            "mastering display and light levels are not (an .mkv file keeps them, or --codec hevc)."
        )


def _add_copy(output: av.container.OutputContainer, source: av.stream.Stream) -> av.stream.Stream:
    stream: av.stream.Stream = output.add_stream_from_template(source, opaque=True)
    stream.metadata.update({k: v for k, v in source.metadata.items() if k.lower() != "encoder"})
    stream.disposition = source.disposition
    return stream


def _attach_cover(
    output: av.container.OutputContainer, source: av.stream.Stream, data: bytes | None
) -> None:
    codec = source.codec_context.codec.canonical_name
    mimetype = containers.IMAGE_MIMETYPES.get(codec, f"image/{codec}")
    tags = source.metadata
    name = tags.get("filename") or f"cover.{mimetype.split('/')[1].replace('jpeg', 'jpg')}"
    if data:
        output.add_attachment(name, tags.get("mimetype", mimetype), data)


def _chapters(reader: Reader, shift: Fraction) -> list[Any]:
    """The source's chapters; of a trimmed clip those that it still contains, moved along."""
    span = reader.span
    chapters: list[Any] = list(reader.container.chapters())
    if span.is_whole and not shift:
        return chapters
    length = None if span.end is None else span.end - span.start
    kept = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1, 1000)
        start, end = chapter["start"] * base - shift, chapter["end"] * base - shift
        if end <= 0 or (length is not None and start >= length):
            continue
        start, end = max(Fraction(0), start), end if length is None else min(end, length)
        kept.append({**chapter, "start": round(start / base), "end": round(end / base)})
    return kept
