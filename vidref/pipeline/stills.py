"""`vidref restore` for photos and folders of frames."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidref.errors import OutputError, SettingsError
from vidref.media.frames import Frame
from vidref.media.stills import (
    Still,
    check_still_suffix,
    find_stills,
    read_stills,
    write_still,
)
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.progress import OnProgress, Ticker
from vidref.pipeline.result import RestoreResult
from vidref.pipeline.target import PIPE
from vidref.settings import Settings

if TYPE_CHECKING:
    from vidref.pipeline.identity import Facts
    from vidref.pipeline.restoration import Restoration


def check_stills(source: Path, output: Path, settings: Settings) -> list[Path]:
    """The pictures there are; what cannot be done with them is refused."""
    if output == PIPE:
        raise OutputError("Photos cannot be written to standard output; name a file or a folder.")
    if settings.span.bounds != (Fraction(0), None):
        raise SettingsError("Photos have no time: --start, --end and --preview need a clip.")
    if not source.is_dir():
        check_still_suffix(output)
    return find_stills(source)


def write_stills(
    source: Path,
    output: Path,
    settings: Settings,
    on_progress: OnProgress,
    restoration: Restoration | None = None,
) -> tuple[RestoreResult, Facts]:
    """A photo becomes a photo, a folder of frames a folder of the same names.

    A picture without a face to restore is copied byte for byte.
    """
    begun = time.monotonic()
    paths = check_stills(source, output, settings)
    ticker = Ticker(on_progress, "restore", len(paths))
    run = _Run(paths, restoration, settings.queue_frames)
    notes: list[str] = []
    if source.is_dir():
        with _unfinished_folder(output, source) as folder, closing(run.stills()) as stills:
            for still in stills:
                note = write_still(still, folder / still.path.name, still.path.suffix)
                notes += [note] if note else []
                ticker.tick()
    else:
        unfinished = UnfinishedFile(output)
        try:
            with closing(run.stills()) as stills:
                for still in stills:
                    note = write_still(still, unfinished.path, output.suffix)
                    notes += [note] if note else []
                    ticker.tick()
        except BaseException:
            unfinished.discard()
            raise
        unfinished.keep()
    ticker.end()
    seconds = time.monotonic() - begun
    result = RestoreResult(
        source, output, len(paths), seconds, "still", tuple(notes), run.facts["faces"]
    )
    return result, run.facts["identity"]


class _Run:
    """Pictures in order, their faces rebuilt where there is a restoration."""

    def __init__(self, paths: list[Path], restoration: Restoration | None, depth: int) -> None:
        self._paths, self._restoration, self._depth = paths, restoration, depth
        self._watch = None if restoration is None else restoration.watch()
        self.facts: dict[str, Any] = {"faces": 0, "identity": {}}

    def stills(self) -> Generator[Still, None, None]:
        if self._restoration is None or self._watch is None:
            yield from read_stills(self._paths)
            return
        waiting: deque[Still] = deque()
        rebuilder = self._restoration.rebuilder(self._watch)
        with closing(rebuilder.stream(self._frames(waiting), self._depth)) as frames:
            for _ in frames:
                yield waiting.popleft()
        self.facts = self._watch.facts(0)

    def _frames(self, waiting: deque[Still]) -> Iterator[Frame]:
        """The pictures as frames of a clip; a plan counts them from 0, one tick each."""
        assert self._restoration is not None
        for index, still in enumerate(read_stills(self._paths)):
            frame = Frame(still.image, index, index, 1, Fraction(1))
            still.is_changed = bool(self._restoration.faces_at(frame))
            waiting.append(still)
            yield frame


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
