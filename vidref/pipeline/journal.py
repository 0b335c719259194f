"""What is done already: a long job's folder, which outlives whatever kills the run.

The folder lies beside the output and holds one file per finished segment and `job.json`, which
names what determines the output and which segments are whole. Both are written so that a cut at
any moment leaves the state before or the state after. Two facts to know before editing:
- only who holds the folder's lock may change anything in it;
- a segment counts as done once its name and hash stand in `job.json`, not before.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from vidref.errors import OutputError
from vidref.media.segment_file import checked_digest
from vidref.media.segments import Cut
from vidref.media.unfinished import lock, sync_folder

FORMAT = 1
STATE, LOCK, PLAN = "job.json", "lock", "plan.json"
SHOWN_CHARS = 40  # longer values are hashes, which tell a user nothing


@dataclass(frozen=True)
class Finished:
    """A segment that need not be made again; `facts` are whatever its maker wants back."""

    sha256: str
    facts: dict[str, Any] = field(default_factory=dict)


class SegmentTarget:
    """Where a segment is to be written, and what its maker has to say about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.facts: dict[str, Any] = {}


def job_folder(output: Path) -> Path:
    """Where the job that writes `output` keeps what is finished."""
    return output.with_name(f".{output.name}.vidref-job")


class Job:
    """One output being made in segments, by this run or by one before it."""

    def __init__(self, output: Path, folder: Path, handle: int) -> None:
        """Use `Job.open`."""
        self.output = output
        self._folder = folder
        self._lock = handle
        self._fingerprint: dict[str, str] = {}
        self._cut: Cut | None = None
        self._cut_text = "null"
        self._finished: dict[int, Finished] = {}
        self._texts: dict[int, tuple[Finished, str]] = {}

    @classmethod
    def open(cls, output: Path, fingerprint: Mapping[str, str], restart: bool = False) -> Job:
        """Go on with the job for `output`, or begin it.

        `fingerprint` names everything that determines the output, in words for the user. Where
        something of it has changed since, finished work is not thrown away unasked.
        """
        folder = job_folder(output)
        job = cls(output, folder, _claim(folder, output))
        try:
            if not restart:
                job._load()
            changes = _changes(job._fingerprint, fingerprint)
            if changes and job._finished:
                raise OutputError(
                    f"{len(job._finished)} finished parts of {output} wait in {folder}, but since "
                    f"they were made {changes}; make it as it was to go on, or --restart to "
                    "begin anew."
                )
            if changes or not job._fingerprint:
                job._begin(dict(fingerprint))
            job._sweep()
        except OSError as error:
            job.close()
            raise _refusal(folder, error) from error
        except BaseException:
            job.close()
            raise
        return job

    @property
    def plan_path(self) -> Path:
        """Where the job keeps its plan, if somebody puts one there."""
        return self._folder / PLAN

    @property
    def cut(self) -> Cut | None:
        """How the clip is cut; None until somebody has decided it."""
        return self._cut

    def set_cut(self, cut: Cut) -> None:
        """Decide how the clip is cut, once for this job."""
        self._know_cut(cut)
        self._save()

    @property
    def finished(self) -> dict[int, Finished]:
        """The segments that are done, by number."""
        return dict(sorted(self._finished.items()))

    def missing(self) -> list[int]:
        """The segments that are still to be made, in order."""
        assert self._cut is not None, "the clip is not cut yet"
        return [s.number for s in self._cut.segments if s.number not in self._finished]

    def path_of(self, number: int) -> Path:
        """Where the segment lies, or will."""
        return self._folder / f"{number:06}.segment"

    def paths(self) -> list[Path]:
        """All segments in order, for the join."""
        return [self.path_of(number) for number in self.finished]

    @contextmanager
    def segment(self, number: int) -> Iterator[SegmentTarget]:
        """Have a segment written to the path that this yields; whole, it is done."""
        target = SegmentTarget(self.path_of(number))
        yield target
        self.accept(number, target.facts)

    def accept(self, number: int, facts: dict[str, Any] | None = None) -> None:
        """Count the segment that lies at its path, whoever made it, as done."""
        path = self.path_of(number)
        digest = checked_digest(path)
        if digest is None:
            raise OutputError(f"{path} did not arrive whole; run the same again.")
        self._finished[number] = Finished(digest, facts or {})
        self._save()

    def finish(self) -> None:
        """The output is in its place: nothing of the job is needed any more."""
        self._remove()
        self.close()

    def close(self) -> None:
        """Leave the job for another run; one that never came to its segments leaves no trace."""
        if self._lock < 0:
            return
        if self._cut is None:
            self._remove()
        os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> None:
        """What an earlier run left, as far as it is whole."""
        try:
            tree = json.loads((self._folder / STATE).read_bytes())
            if tree["format"] != FORMAT:
                return
            fingerprint, cut = tree["fingerprint"], tree["cut"]
            self._know_cut(None if cut is None else Cut.from_json(cut))
            finished = {int(k): Finished(**v) for k, v in tree["finished"].items()}
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return
        self._fingerprint = fingerprint
        for number, segment in finished.items():
            if checked_digest(self.path_of(number)) == segment.sha256:
                self._finished[number] = segment

    def _know_cut(self, cut: Cut | None) -> None:
        self._cut = cut
        self._cut_text = json.dumps(None if cut is None else cut.as_json())

    def _begin(self, fingerprint: dict[str, str]) -> None:
        self._fingerprint = fingerprint
        self._know_cut(None)
        self._finished = {}
        self.plan_path.unlink(missing_ok=True)
        self._save()

    def _save(self) -> None:
        finished = ", ".join(f'"{number}": {self._text_of(number)}' for number in self.finished)
        text = (
            f'{{"format": {FORMAT}, "fingerprint": {json.dumps(self._fingerprint)}, '
            f'"cut": {self._cut_text}, "finished": {{{finished}}}}}'
        )
        state = self._folder / STATE
        part = state.with_name(STATE + ".part")
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(state)
            sync_folder(self._folder)
        except OSError as error:
            raise _refusal(self._folder, error) from error

    def _text_of(self, number: int) -> str:
        """A finished segment as JSON; thousands of them are told again after each one."""
        done = self._finished[number]
        known = self._texts.get(number)
        if known is None or known[0] is not done:
            known = self._texts[number] = done, json.dumps(asdict(done))
        return known[1]

    def _sweep(self) -> None:
        """Remove what dead runs left half done, and segments that are not what they were."""
        known = {STATE, LOCK, PLAN, *(self.path_of(number).name for number in self._finished)}
        for path in self._folder.iterdir():
            if path.name not in known:
                path.unlink()

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _claim(folder: Path, output: Path) -> int:
    """The lock of the folder, which is made where it is not there yet."""
    if not output.parent.is_dir():
        raise OutputError(f"The folder {output.parent} does not exist; create it first.")
    while True:
        try:
            folder.mkdir(exist_ok=True)
            handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:
            continue  # another run has just finished and taken its folder away
        except OSError as error:
            raise _refusal(folder, error) from error
        if not lock(handle):
            os.close(handle)
            raise OutputError(f"Another run is writing {output} now; wait for it to end.")
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), (folder / LOCK).stat()):
                return handle
        os.close(handle)


def _changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """What differs, in words; nothing where there is nothing to compare with."""
    if not before:
        return ""
    words = []
    for name in [*now, *(name for name in before if name not in now)]:
        was, is_now = before.get(name, "nothing"), now.get(name, "nothing")
        if was != is_now:
            can_be_shown = len(was) + len(is_now) <= SHOWN_CHARS
            words.append(f"{name} changed" + f" from {was} to {is_now}" * can_be_shown)
    return " and ".join(words)


def _refusal(folder: Path, error: OSError) -> OutputError:
    reason = (error.strerror or str(error)).lower()
    return OutputError(
        f"{folder}, where finished parts are kept, cannot be written ({reason}); make room or "
        "choose another output folder, and run the same again."
    )
