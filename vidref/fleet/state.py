"""What is known of every clip of a batch, on disk: SQLite that several processes may use at once.

The journal of a clip's job says which segments are whole; this says whose turn it is, how often
something was tried, how long it took and what went wrong. A clip in hand is leased: whoever works
on it renews the lease, and a lease that ran out (or whose owner is dead) makes the clip free again.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidref.errors import InputError, OutputError

FORMAT = 1
BUSY_S = 30.0
WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
STATES = (WAITING, RUNNING, DONE, FAILED, CANCELLED)
TABLES = """
CREATE TABLE IF NOT EXISTS batch (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clips (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, output TEXT NOT NULL UNIQUE,
    refs TEXT, settings TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', step TEXT NOT NULL DEFAULT '',
    tries INTEGER NOT NULL DEFAULT 0, begun INTEGER NOT NULL DEFAULT 0,
    error TEXT, detail TEXT, owner TEXT, lease_until REAL NOT NULL DEFAULT 0,
    cancel INTEGER NOT NULL DEFAULT 0,
    added REAL NOT NULL, started REAL, ended REAL, work_s REAL NOT NULL DEFAULT 0,
    frames INTEGER, faces INTEGER, segments INTEGER, sidecar TEXT,
    warnings TEXT NOT NULL DEFAULT '[]');
CREATE INDEX IF NOT EXISTS clips_by_state ON clips (state, id);
CREATE TABLE IF NOT EXISTS segments (
    clip INTEGER NOT NULL REFERENCES clips (id), number INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', tries INTEGER NOT NULL DEFAULT 0,
    error TEXT, worker TEXT, started REAL, ended REAL, work_s REAL, frames INTEGER, faces INTEGER,
    PRIMARY KEY (clip, number)) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Request:
    """A clip that somebody wants; `settings` is JSON."""

    source: str
    output: str
    settings: str
    references: str | None = None


@dataclass(frozen=True)
class ClipRow:
    """A clip as it stands; times are seconds since 1970, `work_s` those of all its units."""

    id: int
    source: str
    output: str
    refs: str | None
    settings: str
    state: str
    step: str
    tries: int
    begun: bool
    error: str | None
    cancel: bool
    started: float | None
    ended: float | None
    work_s: float
    frames: int | None
    faces: int | None
    segments: int | None
    segments_done: int
    sidecar: str | None
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class SegmentRow:
    """A segment as it stands."""

    number: int
    state: str
    tries: int
    error: str | None
    worker: str | None
    ended: float | None
    work_s: float | None
    frames: int | None
    faces: int | None


class LeaseLostError(Exception):
    """Somebody else has taken the clip over; what was being done is theirs now."""


class BatchState:
    """One connection; every thread and process opens its own."""

    def __init__(self, path: Path, create: bool = False) -> None:
        self.path = path
        if create:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise _refusal(path, error.strerror) from error
        elif not path.exists():
            raise InputError(f"There is no batch at {path.parent}: give its output folder.")
        try:
            self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            with self._change():
                for statement in TABLES.split(";")[:-1]:
                    self._db.execute(statement)
                self._db.execute("INSERT OR IGNORE INTO batch VALUES ('format', ?)", (FORMAT,))
            found = self.note("format")
        except sqlite3.Error as error:
            raise _refusal(path, str(error)) from error
        if found != str(FORMAT):
            raise InputError(f"{path} is of another version of vidref; give a new output folder.")

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> BatchState:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what is wanted

    def add(self, requests: Sequence[Request]) -> int:
        """Take in clips; returns how many are new. One that is not begun takes on its settings."""
        new, now = 0, time.time()
        with self._change():
            for wanted in requests:
                new += self._db.execute(
                    "INSERT OR IGNORE INTO clips (source, output, refs, settings, added)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (wanted.source, wanted.output, wanted.references, wanted.settings, now),
                ).rowcount
                self._db.execute(
                    "UPDATE clips SET source = ?, refs = ?, settings = ?"
                    " WHERE output = ? AND state != 'done' AND state != 'running'",
                    (wanted.source, wanted.references, wanted.settings, wanted.output),
                )
        return new

    def retry(self, names: Sequence[str] = ()) -> list[str]:
        """Failed and cancelled clips wait again; returns their sources."""
        return self._turn(
            names,
            (FAILED, CANCELLED),
            "state = 'waiting', step = '', tries = 0, error = NULL, detail = NULL, cancel = 0,"
            " ended = NULL, begun = 0",
            forget_segments=True,
        )

    def cancel(self, names: Sequence[str] = ()) -> list[str]:
        """Those that wait are off; those in hand are stopped by whoever works on them."""
        off = self._turn(names, (WAITING,), "state = 'cancelled', step = ''", ended=True)
        return [*off, *self._turn(names, (RUNNING,), "cancel = 1")]

    def _turn(
        self,
        names: Sequence[str],
        states: Sequence[str],
        change: str,
        ended: bool = False,
        forget_segments: bool = False,
    ) -> list[str]:
        with self._change():
            rows = [r for r in self._rows() if r.state in states and (not names or _is(r, names))]
            for row in rows:
                self._db.execute(f"UPDATE clips SET {change} WHERE id = ?", (row.id,))
                if ended:
                    self._db.execute(
                        "UPDATE clips SET ended = ? WHERE id = ?", (time.time(), row.id)
                    )
                if forget_segments:
                    self._db.execute(
                        "UPDATE segments SET tries = 0, error = NULL WHERE clip = ? AND"
                        " state != 'done'",
                        (row.id,),
                    )
        return [row.source for row in rows]

    # ---- whose turn it is

    def claim(self, owner: str, lease_s: float) -> ClipRow | None:
        """The next clip that nobody works on; it is `owner`'s until the lease runs out."""
        now = time.time()
        with self._change():
            found = self._db.execute(
                "UPDATE clips SET state = 'running', owner = ?, lease_until = ?,"
                " started = coalesce(started, ?) WHERE id = (SELECT id FROM clips WHERE"
                " state = 'waiting' OR (state = 'running' AND lease_until < ?)"
                " ORDER BY id LIMIT 1) RETURNING id",
                (owner, now + lease_s, now, now),
            ).fetchone()
        return None if found is None else self.clip(found["id"])

    def beat(self, owner: str, lease_s: float) -> None:
        """Renew all leases of this owner."""
        with self._change():
            self._db.execute(
                "UPDATE clips SET lease_until = ? WHERE owner = ? AND state = 'running'",
                (time.time() + lease_s, owner),
            )

    def free_the_dead(self) -> None:
        """Clips whose owner was a process of this machine that is no more are free at once."""
        rows = self._db.execute("SELECT DISTINCT owner FROM clips WHERE state = 'running'")
        dead = [row["owner"] for row in rows if not _may_live(row["owner"])]
        if not dead:
            return
        with self._change():
            for owner in dead:
                self._db.execute(
                    "UPDATE clips SET lease_until = 0 WHERE owner = ? AND state = 'running'",
                    (owner,),
                )

    def let_go(self, owner: str) -> None:
        """Give all clips of this owner back, as far as they are."""
        with self._change():
            self._db.execute(
                "UPDATE clips SET state = 'waiting', owner = NULL, lease_until = 0"
                " WHERE owner = ? AND state = 'running'",
                (owner,),
            )

    def to_cancel(self, owner: str) -> list[int]:
        """Clips of this owner that the user does not want any more."""
        rows = self._db.execute(
            "SELECT id FROM clips WHERE owner = ? AND cancel = 1 AND state = 'running'", (owner,)
        )
        return [row["id"] for row in rows]

    # ---- how it goes

    def begin(self, clip: int, owner: str) -> None:
        """From here on the output's place is ours."""
        self._update(clip, owner, "begun = 1")

    def step(self, clip: int, owner: str, step: str) -> None:
        self._update(clip, owner, "step = ?", step)

    def worked(self, clip: int, owner: str, seconds: float) -> None:
        self._update(clip, owner, "work_s = work_s + ?", seconds)

    def tried(self, clip: int, owner: str, error: str, detail: str) -> None:
        """A try failed."""
        self._update(clip, owner, "tries = tries + 1, error = ?, detail = ?", error, detail)

    def done(
        self,
        clip: int,
        owner: str,
        frames: int,
        faces: int,
        sidecar: str | None,
        warnings: Sequence[str],
    ) -> None:
        self._update(
            clip,
            owner,
            "state = 'done', step = '', owner = NULL, error = NULL, detail = NULL, ended = ?,"
            " frames = ?, faces = ?, sidecar = ?, warnings = ?",
            time.time(),
            frames,
            faces,
            sidecar,
            json.dumps(list(warnings)),
        )

    def give_up(self, clip: int, owner: str, state: str, error: str | None, detail: str) -> None:
        """The clip ends without an output: failed or cancelled."""
        self._update(
            clip,
            owner,
            "state = ?, step = '', owner = NULL, cancel = 0, error = ?, detail = ?, ended = ?",
            state,
            error,
            detail,
            time.time(),
        )
        with self._change():
            self._db.execute(
                "UPDATE segments SET state = 'waiting' WHERE clip = ? AND state = 'running'",
                (clip,),
            )

    def _update(self, clip: int, owner: str, change: str, *values: Any) -> None:
        with self._change():
            found = self._db.execute(
                f"UPDATE clips SET {change} WHERE id = ? AND owner = ? AND state = 'running'",
                (*values, clip, owner),
            )
        if not found.rowcount:
            raise LeaseLostError(f"clip {clip}")

    # ---- segments

    def set_segments(self, clip: int, owner: str, count: int, done: Sequence[int]) -> None:
        """How many there are, and which of them the journal has."""
        self._update(clip, owner, "segments = ?", count)
        with self._change():
            self._db.execute("DELETE FROM segments WHERE clip = ? AND number >= ?", (clip, count))
            self._db.executemany(
                "INSERT OR IGNORE INTO segments (clip, number) VALUES (?, ?)",
                [(clip, number) for number in range(count)],
            )
            self._db.execute(
                "UPDATE segments SET state = 'waiting' WHERE clip = ? AND state != 'waiting'"
                " AND number NOT IN (SELECT value FROM json_each(?))",
                (clip, json.dumps(list(done))),
            )
            self._db.execute(
                "UPDATE segments SET state = 'done' WHERE clip = ?"
                " AND number IN (SELECT value FROM json_each(?))",
                (clip, json.dumps(list(done))),
            )

    def segments_begun(self, clip: int, numbers: Sequence[int]) -> None:
        with self._change():
            self._db.executemany(
                "UPDATE segments SET state = 'running', started = ? WHERE clip = ? AND number = ?",
                [(time.time(), clip, number) for number in numbers],
            )

    def segment_tried(self, clip: int, number: int, worker: str | None = None) -> None:
        """A worker is making this one now."""
        with self._change():
            self._db.execute(
                "UPDATE segments SET tries = tries + 1, worker = coalesce(?, worker)"
                " WHERE clip = ? AND number = ?",
                (worker, clip, number),
            )

    def segment_done(
        self, clip: int, number: int, worker: str, seconds: float, frames: int, faces: int
    ) -> None:
        with self._change():
            self._db.execute(
                "UPDATE segments SET state = 'done', error = NULL, worker = ?, work_s = ?,"
                " ended = ?, frames = ?, faces = ? WHERE clip = ? AND number = ?",
                (worker, seconds, time.time(), frames, faces, clip, number),
            )

    def segments_back(self, clip: int, numbers: Sequence[int], error: str) -> None:
        """What a worker left undone waits again."""
        with self._change():
            self._db.executemany(
                "UPDATE segments SET state = 'waiting', error = ? WHERE clip = ? AND number = ?"
                " AND state = 'running'",
                [(error, clip, number) for number in numbers],
            )

    # ---- looking

    def clips(self) -> list[ClipRow]:
        return list(self._rows())

    def clip(self, id: int) -> ClipRow:
        return next(self._rows("WHERE clips.id = ?", id))

    def segments_of(self, clip: int) -> list[SegmentRow]:
        rows = self._db.execute(
            "SELECT number, state, tries, error, worker, ended, work_s, frames, faces FROM segments"
            " WHERE clip = ? ORDER BY number",
            (clip,),
        )
        return [SegmentRow(**row) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many clips are in each state."""
        rows = self._db.execute("SELECT state, count(*) AS n FROM clips GROUP BY state")
        found = {row["state"]: int(row["n"]) for row in rows}
        return {state: found.get(state, 0) for state in STATES}

    def note(self, name: str) -> str | None:
        """A word about the batch as a whole."""
        row = self._db.execute("SELECT value FROM batch WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row["value"])

    def set_note(self, name: str, value: str) -> None:
        with self._change():
            self._db.execute("INSERT OR REPLACE INTO batch VALUES (?, ?)", (name, value))

    def _rows(self, where: str = "", *values: Any) -> Iterator[ClipRow]:
        rows = self._db.execute(
            "SELECT id, source, output, refs, settings, state, step, tries, begun, error, cancel,"
            " started, ended, work_s, frames, faces, segments, sidecar, warnings,"
            " (SELECT count(*) FROM segments WHERE clip = clips.id AND segments.state = 'done')"
            f" AS segments_done FROM clips {where} ORDER BY id",
            values,
        )
        for row in rows:
            facts = dict(row)
            facts["begun"], facts["cancel"] = bool(facts["begun"]), bool(facts["cancel"])
            facts["warnings"] = tuple(json.loads(facts["warnings"]))
            yield ClipRow(**facts)

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def owner_here() -> str:
    """This process, so that another on this machine can tell whether it still lives."""
    return f"{socket.gethostname()}:{os.getpid()}:{_birth(os.getpid())}"


def _may_live(owner: str | None) -> bool:
    if owner is None:
        return False
    host, pid, birth = owner.rsplit(":", 2)
    return host != socket.gethostname() or _birth(int(pid)) == birth


def _birth(pid: int) -> str:
    """When a process began, as far as the system tells; empty where there is none."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if after_name[0] == "Z" else after_name[19]
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "?"


def _is(row: ClipRow, names: Sequence[str]) -> bool:
    """Whether one of the names means this clip: its source, its output, or the end of either."""
    paths = (row.source, row.output)
    return any(p == name or p.endswith(f"/{name.lstrip('/')}") for p in paths for name in names)


def _refusal(path: Path, reason: str | None) -> OutputError:
    return OutputError(
        f"The state of the batch, {path}, cannot be used ({(reason or 'unreadable').lower()}): "
        "make room, or choose another place with --state."
    )
