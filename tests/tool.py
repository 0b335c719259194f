"""Running vidref as a user does: in this process where that is enough, as a real one otherwise."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Done:
    """What a run in this process left."""

    exit_code: int
    stdout: str
    stderr: str


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
    *arguments: str | Path, stdin: bytes | None = None, timeout_s: float = 120
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a real process."""
    return subprocess.run(
        command(*arguments),
        input=stdin if stdin is not None else b"",
        capture_output=True,
        env=environment(),
        timeout=timeout_s,
    )


def is_one_sentence(stderr: bytes | str) -> bool:
    """One non-empty line, no traceback."""
    text = stderr.decode() if isinstance(stderr, bytes) else stderr
    lines = [line for line in text.splitlines() if line.strip()]
    return len(lines) == 1 and "Traceback" not in text


def leftovers(folder: Path, *known: Path | str) -> list[str]:
    """What lies in `folder` beyond the files that should."""
    names = {Path(k).name for k in known}
    return sorted(p.name for p in folder.iterdir() if p.name not in names)
