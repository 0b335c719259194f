"""Running vidref as a user does: in this process where that is enough, as a real one otherwise."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
PASS = ("restore", "--faces", "none")
"""A restore that looks for no faces: everything but them is what these tests are about."""


@dataclass(frozen=True)
class Done:
    """What a run left: `stdout` as text in this process, `piped` as bytes from another."""

    exit_code: int
    stdout: str
    stderr: str
    piped: bytes = b""


def vidref(*arguments: str | Path) -> Done:
    """Run a command in this process, through the entry point; whatever escapes it is raised."""
    from vidref.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["vidref", *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return Done(code, out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
    return Done(0, out.getvalue(), err.getvalue())


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "vidref", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    """The caller's, with vidref importable from any working directory."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}


def process(
    *arguments: str | Path,
    stdin: bytes = b"",
    stdout: IO[bytes] | int = subprocess.PIPE,
    before: Sequence[str] = (),
    limit_bytes: int | None = None,
    timeout_s: float = 120,
) -> Done:
    """Run a command as a real process, after the words `before`, writing no file over the limit."""

    def limited() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    done = subprocess.run(
        [*before, *command(*arguments)],
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        preexec_fn=limited,
        timeout=timeout_s,
    )
    return Done(done.returncode, "", done.stderr.decode(), done.stdout or b"")


def is_one_sentence(stderr: str) -> bool:
    """One non-empty line, no traceback."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    return len(lines) == 1 and "Traceback" not in stderr


def leftovers(folder: Path, *known: Path | str) -> list[str]:
    """What lies in `folder` beyond the files that should."""
    names = {Path(k).name for k in known}
    return sorted(p.name for p in folder.iterdir() if p.name not in names)
