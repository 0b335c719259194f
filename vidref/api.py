"""What Python programs call; the CLI is a thin layer over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vidref.errors import SettingsError
from vidref.faces.photos import NamedPerson
from vidref.media.raw_frames import read_frames, write_frames
from vidref.media.stills import find_stills, is_stills
from vidref.pipeline.plan import Plan
from vidref.pipeline.progress import OnProgress, ignore_progress
from vidref.pipeline.restore import restore_clip, restore_pictures
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.target import PIPE, check_target, plan_clip
from vidref.settings import Settings, parse_time


def restore(
    source: str | Path,
    output: str | Path,
    *,
    config: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    **flags: Any,
) -> RestoreResult:
    """Restore a clip, a photo or a folder of frames.

    `flags` are the words of the command line, `restore("a.mp4", "b.mkv", refs="person/", seed=7)`,
    or any setting of `configs/default.yaml` with its dots as double underscores.
    """
    settings = _settings(config, flags)
    return restore_with(Path(source), Path(output), settings, on_progress)


def restore_with(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
) -> RestoreResult:
    """The same with settings that are validated already."""
    stills = source != PIPE and is_stills(source)
    run = restore_pictures if stills else restore_clip
    wanted = settings.evidence
    if not (wanted.report or wanted.uncertainty or wanted.c2pa):
        return run(source, output, settings, on_progress)
    from vidref.report.after_restore import restore_with_evidence

    return restore_with_evidence(
        output, settings, on_progress, lambda watch: run(source, output, settings, watch)
    )


def plan_with(source: Path, output: Path, settings: Settings) -> dict[str, Any]:
    """What `restore_with` would do, as facts to print; nothing is written."""
    if source != PIPE and is_stills(source):
        check_target(source, output, settings.output.overwrite)
        return {"source": str(source), "output": str(output), "pictures": len(find_stills(source))}
    plan = plan_clip(source, output, settings)
    picture = plan.clip.picture
    return {
        "source": str(source),
        "output": str(output),
        "container": plan.container,
        "picture": f"{picture.width}x{picture.height} {picture.pix_fmt} {picture.codec}",
        "encoder": f"{plan.encoding.encoder} ({plan.encoding.pix_fmt})",
        "frames": plan.clip.frame_count_hint,
        "streams": [str(s) for s in plan.clip.streams if s.index not in plan.dropped],
        "dropped": sorted(plan.dropped),
        "interlaced": picture.interlaced,
        "warnings": list(plan.encoding.notes),
    }


def analyse(
    source: str | Path,
    output: str | Path | None = None,
    *,
    config: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    **flags: Any,
) -> Plan:
    """Find everyone in a clip, photo or folder of frames; write the plan to `output` if named.

    `flags` as in `restore`: `analyse("a.mp4", refs="people/", min_face=60)`.
    """
    settings = _settings(config, flags)
    return analyse_with(Path(source), Path(output) if output else None, settings, on_progress)


def analyse_with(
    source: Path,
    output: Path | None,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
) -> Plan:
    """The same with settings that are validated already."""
    from vidref.pipeline.analyse import analyse_clip
    from vidref.pipeline.plan_file import check_plan_target, save_plan

    if output is not None:
        check_target(source, output, settings.output.overwrite)
        check_plan_target(output)
    plan = analyse_clip(source, settings, on_progress)
    if output is not None:
        save_plan(plan, output)
    return plan


def compare(
    before: str | Path,
    after: str | Path,
    output: str | Path,
    *,
    video: Literal["side", "split"] | None = None,
    shift: float | str | Fraction | None = None,
    config: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    **flags: Any,
) -> list[str]:
    """Show two clips (photos, folders) in step: a page, or a clip where `video` names a layout.

    `after` begins `shift` seconds into `before`; None: as its sidecar says. Returns the sentences
    that the user should read.
    """
    paths = Path(before), Path(after), Path(output)
    return compare_with(*paths, _settings(config, flags), video, shift, on_progress)


def compare_with(
    before: Path,
    after: Path,
    output: Path,
    settings: Settings,
    video: Literal["side", "split"] | None = None,
    shift: float | str | Fraction | None = None,
    on_progress: OnProgress = ignore_progress,
) -> list[str]:
    """The same with settings that are validated already."""
    from vidref.report.compare import compare_clips

    try:
        told = parse_time(shift)
    except ValueError as error:
        raise SettingsError(f"--shift: {error}.") from error
    return compare_clips(before, after, output, settings, video, told, on_progress)


def default_comparison(after: Path, video: str | None) -> Path:
    """`NAME.compare.html` beside the restored clip, or NAME.compare.EXT for a clip."""
    name = after.resolve().name if after.is_dir() else after.stem
    return after.with_name(f"{name}.compare{after.suffix if video else '.html'}")


def load_people(source: str | Path, *, pack: str = "bundled") -> list[NamedPerson]:
    """Everyone in a folder of reference photos: which photos can be used, and why not the rest."""
    from vidref.faces.pack import load_pack
    from vidref.faces.photos import load_people as load

    return load(Path(source), load_pack(pack))


def restore_frames(
    frames: Iterable[NDArray[np.uint8]],
    *,
    rate: float | Fraction = 25,
    config: str | Path | None = None,
    on_progress: OnProgress = ignore_progress,
    **flags: Any,
) -> Iterator[NDArray[np.uint8]]:
    """Restore pictures in memory (HxWx3 RGB, all of one size) as a clip of `rate` frames a second.

    They pass through a temporary lossless file, because faces take two passes; so neither they nor
    the results have to be in memory together.
    """
    with TemporaryDirectory(prefix="vidref-") as folder:
        source, output = Path(folder) / "frames.mkv", Path(folder) / "restored.mkv"
        write_frames(frames, source, Fraction(rate).limit_denominator(100_000))
        settings = _settings(config, {**flags, "lossless": True})
        restore_clip(source, output, settings, on_progress)
        yield from read_frames(output)


def _settings(config: str | Path | None, flags: dict[str, Any]) -> Settings:
    dotted = {name.replace("__", "."): value for name, value in flags.items()}
    return Settings.load(Path(config) if config else None, dotted)


def default_output(source: Path, settings: Settings) -> Path:
    """`NAME.restored.EXT` beside the source, or NAME.preview.EXT for a preview."""
    if source == PIPE:
        return PIPE
    word = "preview" if settings.span.preview else "restored"
    if source.is_dir():
        return source.with_name(f"{source.resolve().name}.{word}")
    suffix = ".mkv" if settings.output.lossless else source.suffix
    return source.with_name(f"{source.stem}.{word}{suffix}")
