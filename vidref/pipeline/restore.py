"""Pass 2: a clip goes in, a clip comes out, and nothing that is not a face can change.

Faces join this stream in `vidref.pipeline` once there is a plan that says where they are; a frame
without one goes from decoder to encoder in its own planes, which is all there is here today.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from vidref.errors import OutputError
from vidref.media.containers import MUXERS, can_hold, muxer_for
from vidref.media.deinterlace import CombWatch
from vidref.media.encoders import Encoding, Request, choose_encoding
from vidref.media.frames import Frame, Span
from vidref.media.probe import Clip
from vidref.media.reader import Reader
from vidref.media.writer import Writer
from vidref.pipeline.progress import OnProgress, Progress, ignore_progress
from vidref.pipeline.stream import run_ahead
from vidref.settings import Settings

PIPE = Path("-")
PROGRESS_EVERY_S = 0.2


@dataclass(frozen=True)
class RestoreResult:
    """What a run did; `warnings` are sentences the user should read."""

    source: Path
    output: Path
    frames: int
    seconds: float
    encoder: str
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class RestorePlan:
    """What a run would do, decided before anything is written."""

    clip: Clip
    container: str
    encoding: Encoding
    dropped: frozenset[int]


def plan_clip(source: Path, output: Path, settings: Settings) -> RestorePlan:
    """Everything `restore_clip` decides, without writing (`--dry-run`)."""
    check_target(source, output, settings.output.overwrite)
    with _reader(source, settings) as reader:
        return _decide(reader, output, settings)


def restore_clip(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
) -> RestoreResult:
    """Decode `source`, restore it, and write `output`; `-` is standard input or output."""
    check_target(source, output, settings.output.overwrite)
    begun = time.monotonic()
    with _reader(source, settings) as reader:
        plan = _decide(reader, output, settings)
        target = None if output == PIPE else output
        writer = Writer(
            target, plan.container, reader, plan.encoding, plan.dropped, settings.threads
        )
        with writer:
            combs = CombWatch()
            frames = _stream(reader, writer, combs, settings.queue_frames, on_progress, begun)
            writer.finish()
        damage = reader.damage.sentence(plan.clip.name)
        found = filter(None, (damage, combs.sentence()))
        warnings = [*plan.encoding.notes, *writer.notes(), *found]
    return RestoreResult(
        source,
        output,
        frames,
        time.monotonic() - begun,
        plan.encoding.encoder,
        tuple(warnings),
    )


def check_target(source: Path, output: Path, overwrite: bool) -> None:
    """Refuse to destroy anything before a byte is read."""
    if output == PIPE:
        return
    if not output.parent.is_dir():
        raise OutputError(f"The folder {output.parent} does not exist; create it first.")
    if output.exists():
        if not (output.is_file() or output.is_dir()):
            raise OutputError(f"{output} is not a file but a device or pipe; name a file, or -.")
        if source != PIPE and source.exists() and output.samefile(source):
            raise OutputError(f"{output} is the clip itself; give the result another name.")
        if not overwrite:
            raise OutputError(f"{output} exists already; give another name, or --overwrite.")


def _reader(source: Path, settings: Settings) -> Reader:
    return Reader(
        None if source == PIPE else source,
        Span(*settings.span.bounds),
        settings.threads,
        settings.picture.deinterlace,
    )


def _decide(reader: Reader, output: Path, settings: Settings) -> RestorePlan:
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
    return RestorePlan(reader.clip, container, encoding, dropped)


def _stream(
    reader: Reader,
    writer: Writer,
    combs: CombWatch,
    depth: int,
    on_progress: OnProgress,
    begun: float,
) -> int:
    total = _frames_expected(reader)
    done, reported = 0, begun
    with closing(run_ahead(reader, depth)) as items:
        for item in items:
            if not isinstance(item, Frame):
                writer.copy(item)
                continue
            combs.see(item.image)
            writer.write(item)
            done += 1
            now = time.monotonic()
            if now - reported >= PROGRESS_EVERY_S:
                reported = now
                on_progress(Progress("restore", done, total, now - begun))
    on_progress(Progress("restore", done, done, time.monotonic() - begun, is_final=True))
    return done


def _frames_expected(reader: Reader) -> int | None:
    span, clip = reader.span, reader.clip
    if span.is_whole:
        return clip.frame_count_hint
    end = span.end
    if end is None and clip.duration_s is not None:
        end = Fraction(clip.duration_s)
    return None if end is None else max(1, round((end - span.start) * clip.picture.average_rate))
