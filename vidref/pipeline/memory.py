"""Pictures that are done with leave the process: without it its memory creeps up with a clip.

glibc learns from the first large block that is freed to take all later ones from its heaps, one a
thread, which pictures of several sizes then break into pieces that nothing fits. Measured on pass 1
at 720p: 337 MiB at most in 100 frames, 353 in 2,000; with this 329, 331, and 340 in 6,000.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MOST_HEAPS = -1, -3, -8
"""Of glibc's malloc.h."""
LARGE_BYTES = 2**20
"""Blocks from this size on are pages of their own, given back as soon as they are freed."""
KEPT_BYTES = 2**22
"""Free memory at the end of a heap up to this size is kept: asking for it anew costs time."""
LEARNT_LARGE_BYTES, LEARNT_KEPT_BYTES = 2**25, 2**26
"""What glibc ends up with by itself. Pass 2 needs it: its pictures are many, and the pages of every
one would be made anew (measured, 95 ms of CPU a face instead of 55)."""


@contextmanager
def large_blocks_given_back() -> Iterator[bool]:
    """For as long as it lasts; False where memory is managed otherwise (no glibc)."""
    mallopt = _glibc("mallopt")
    if mallopt is None:
        yield False
        return
    try:
        yield _set(mallopt, LARGE_BYTES, KEPT_BYTES)
    finally:
        _set(mallopt, LEARNT_LARGE_BYTES, LEARNT_KEPT_BYTES)


def one_heap() -> bool:
    """Threads that begin from now on share a heap; False without glibc.

    For pass 2, before its stages begin. A picture is made in one thread and freed in another, and
    each of their heaps kept its own holes. Measured at 720p with a model that computes nothing, one
    face of 455 px, the most within 50 frames each: 951, 970, 968, 979, 984 and 992 MiB with a heap
    a thread; 928, 978, 964, 957, 962 and 948 with one.
    """
    mallopt = _glibc("mallopt")
    return mallopt is not None and bool(mallopt(MOST_HEAPS, 1))


def give_back_free() -> bool:
    """What lies free between the blocks of all heaps leaves the process, once; False without glibc.

    For pass 2, now and then. Measured at 720p with a model that computes nothing, one face of 455
    px: 986 MiB at most in 600 frames, 1,044 in 2,000; with this every 16 frames 921 in 600.
    """
    trim = _glibc("malloc_trim")
    if trim is None:
        return False
    trim(0)
    return True


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def _set(mallopt: Callable[[int, int], int], large: int, kept: int) -> bool:
    return all((mallopt(MMAP_THRESHOLD, large), mallopt(TRIM_THRESHOLD, kept)))
