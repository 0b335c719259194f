"""The stream of `restore` for photos and folders of frames."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from vidref.errors import OutputError, SettingsError
from vidref.media.stills import (
    check_still_suffix,
    find_stills,
    read_stills,
    write_still,
)
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.progress import OnProgress, Progress
from vidref.pipeline.restore import PIPE, RestoreResult
from vidref.settings import Settings


def restore_stills(
    source: Path, output: Path, settings: Settings, on_progress: OnProgress
) -> RestoreResult:
    """A photo becomes a photo, a folder of frames a folder of the same names."""
    if output == PIPE:
        raise OutputError("Photos cannot be written to standard output; name a file or a folder.")
    if settings.span.bounds != (Fraction(0), None):
        raise SettingsError("Photos have no time: --start, --end and --preview need a clip.")
    begun = time.monotonic()
    paths = find_stills(source)
    notes: list[str] = []
    if source.is_dir():
        with _unfinished_folder(output, source) as folder:
            for done, still in enumerate(read_stills(paths), start=1):
                note = write_still(still, folder / still.path.name, still.path.suffix)
                notes += [note] if note else []
                seconds = time.monotonic() - begun
                is_final = done == len(paths)
                on_progress(Progress("restore", done, len(paths), seconds, is_final))
    else:
        suffix = check_still_suffix(output)
        unfinished = UnfinishedFile(output)
        try:
            for still in read_stills(paths):
                note = write_still(still, unfinished.path, suffix)
                notes += [note] if note else []
        except BaseException:
            unfinished.discard()
            raise
        unfinished.keep()
    seconds = time.monotonic() - begun
    return RestoreResult(source, output, len(paths), seconds, "still", tuple(notes))


@contextmanager
def _unfinished_folder(final: Path, source: Path) -> Iterator[Path]:
    """A folder whose files get their places when all are written; others in it are left alone."""
    ours, theirs = final.resolve(), source.resolve()
    if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
        raise OutputError(f"{final} and {source} lie in one another; choose another folder.")
    if final.exists() and not final.is_dir():
        raise OutputError(f"{final} is a file; a folder of frames needs a folder's name.")
    part = final.with_name(f".{final.name}.vidref-part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir()
        yield part
        if final.exists():
            for path in part.iterdir():
                path.replace(final / path.name)
        else:
            part.replace(final)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"{final} could not be written: {reason}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
