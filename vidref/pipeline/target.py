"""What a run would write, decided before anything is written: the file, its codec, its streams."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import av

from vidref.errors import OutputError
from vidref.media.containers import MUXERS, can_hold, muxer_for
from vidref.media.encoders import Encoding, Request, choose_encoding
from vidref.media.frames import Part, Span
from vidref.media.mux import check_fit
from vidref.media.probe import Clip
from vidref.media.reader import Reader
from vidref.settings import Settings

PIPE = Path("-")
LONGEST_NAME = 255 - len("..json.vidref-part")


@dataclass(frozen=True)
class Target:
    """A clip, and how it will be written."""

    clip: Clip
    container: str
    encoding: Encoding
    dropped: frozenset[int]


def plan_clip(source: Path, output: Path, settings: Settings) -> Target:
    """Everything about the file that a run decides, without writing (`--dry-run`)."""
    check_target(source, output, settings.output.overwrite)
    with open_reader(source, settings) as reader:
        return decide(reader, output, settings)


def check_target(source: Path, output: Path, overwrite: bool) -> None:
    """Refuse to destroy anything before a byte is read."""
    if output == PIPE:
        return
    if not output.parent.is_dir():
        raise OutputError(f"The folder {output.parent} does not exist; create it first.")
    length = len(os.fsencode(output.name))
    if length > LONGEST_NAME:
        raise OutputError(
            f"{output.name} is a name of {length} bytes; give one of at most {LONGEST_NAME}, for "
            "unfinished files lie beside it under longer ones."
        )
    if output.exists():
        if not (output.is_file() or output.is_dir()):
            raise OutputError(f"{output} is not a file but a device or pipe; name a file, or -.")
        if source != PIPE and source.exists() and output.samefile(source):
            raise OutputError(f"{output} is the clip itself; give the result another name.")
        if not overwrite:
            raise OutputError(f"{output} exists already; give another name, or --overwrite.")


def open_reader(
    source: Path, settings: Settings, part: Part | None = None, clip: Clip | None = None
) -> Reader:
    """A reader of the span that the settings name, or of a `part` of it."""
    return Reader(
        None if source == PIPE else source,
        Span(*settings.span.bounds),
        settings.threads,
        settings.picture.deinterlace,
        part,
        clip,
    )


def decide(reader: Reader, output: Path, settings: Settings) -> Target:
    """Container, encoder and streams of the output; what cannot be is refused."""
    wanted = settings.output
    if wanted.container and wanted.container not in av.formats_available:
        known = ", ".join(sorted(set(MUXERS.values())))
        raise OutputError(f"There is no container {wanted.container!r}; common ones are: {known}.")
    container = wanted.container or ("matroska" if output == PIPE else muxer_for(output))
    request = Request(
        wanted.codec, wanted.crf, wanted.preset, wanted.lossless, wanted.prores, settings.threads
    )
    encoding = choose_encoding(reader.clip.picture, container, request)
    if isinstance(wanted.drop, str):
        dropped = frozenset(
            stream.index
            for stream in reader.container.streams
            if stream.index != reader.clip.picture.index and not can_hold(container, stream)
        )
    else:
        dropped = frozenset(wanted.drop)
        others = {info.index for info in reader.clip.streams} - {reader.clip.picture.index}
        unknown = sorted(dropped - others)
        if unknown:
            raise OutputError(
                f"{reader.clip.name} has no stream {unknown[0]} that could be left out; "
                f"it has {', '.join(map(str, reader.clip.streams))}."
            )
    check_fit(reader, container, dropped)
    return Target(reader.clip, container, encoding, dropped)
