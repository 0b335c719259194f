"""Memory that pictures took is given back, whatever small things were kept between them."""

from __future__ import annotations

import subprocess
import sys

import pytest

BETWEEN = """
import numpy as np
from vidref.pipeline.memory import give_back_free

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20

bytearray(30 * 2**20)  # the first large block that is freed is the one glibc learns from
before = resident()
pictures = [np.ones(2**20, np.uint8) for _ in range(60)]
del pictures[::2]
held = resident() - before
if not give_back_free():
    raise SystemExit(3)
print(held, resident() - before)
"""


HEAPS = """
import ctypes, re, tempfile, threading
import numpy as np
from vidref.pipeline.memory import one_heap

def heaps():
    glibc = ctypes.CDLL(None)
    glibc.fopen.restype = ctypes.c_void_p
    with tempfile.NamedTemporaryFile() as told:
        file = ctypes.c_void_p(glibc.fopen(told.name.encode(), b"w"))
        glibc.malloc_info(0, file)
        glibc.fclose(file)
        return len(re.findall(rb"<heap nr=", told.read()))

before = heaps()
if not one_heap():
    raise SystemExit(3)
held = []
threads = [threading.Thread(target=lambda: held.append(np.ones(2**18))) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(heaps() - before)
"""


APART = """
import numpy as np
from vidref.pipeline.memory import large_apart

def resident():
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * 4096 / 2**20

if not large_apart():
    raise SystemExit(3)
for _ in range(3):
    # free, they would teach malloc to take such blocks from the heap
    np.ones(2 * 2**20)
pairs = [(np.ones(2 * 2**20), np.ones(20_000)) for _ in range(4)]
large, between = map(list, zip(*pairs))
del pairs
held = resident()
del large
print(held - resident())
"""


def said_by(program: str) -> str:
    """What it prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if done.returncode == 3:
        pytest.skip("memory is managed by another library than glibc here")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_large_block_leaves_the_process_when_it_is_free() -> None:
    assert float(said_by(APART)) > 60


def test_threads_that_make_pictures_share_a_heap() -> None:
    assert int(said_by(HEAPS)) == 0


def test_what_lies_free_between_kept_pictures_can_be_given_back() -> None:
    held, left = map(float, said_by(BETWEEN).split())
    assert held > 50 and left < 35
