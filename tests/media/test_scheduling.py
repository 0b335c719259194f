"""An encoder that would make itself a real-time process does not make vidref one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.clips import write_clip

WATCHED = """
import os, sys, vidref
if hasattr(os, "sched_setscheduler"):
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
seen = set()
def look(progress):
    for task in os.listdir("/proc/self/task"):
        try:
            seen.add(os.sched_getscheduler(int(task)))
        except OSError:
            pass
vidref.restore(sys.argv[1], sys.argv[2], faces="none", codec="av1", on_progress=look)
look(None)
print(sorted(seen))
"""


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="Linux alone has them")
def test_no_thread_is_real_time_while_svt_av1_encodes_or_after_it(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", frames=6)
    command = [sys.executable, "-c", WATCHED, str(source), str(tmp_path / "out.mkv")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == str([os.SCHED_OTHER])
