"""Pictures that are done with leave the process: without it its memory creeps up with a clip.

glibc keeps a heap for every thread. A picture is made in one thread and freed in another, and
pictures of several sizes break each of these heaps into pieces that nothing fits.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

MOST_HEAPS, OWN_FROM = -8, -3
"""Of glibc's malloc.h."""
LARGE_BYTES = 8 * 2**20


def one_heap() -> bool:
    """Threads that begin from now on share a heap; False without glibc.

    Measured at 720p. Pass 2 with a model that computes nothing, one face of 455 px, the most within
    50 frames each: 951, 970, 968, 979, 984 and 992 MiB with a heap a thread; 928, 978, 964, 957,
    962 and 948 with one.
    """
    mallopt = _glibc("mallopt")
    return mallopt is not None and bool(mallopt(MOST_HEAPS, 1))


def large_apart() -> bool:
    """Large blocks are no part of the heap from now on: free, they are gone; False without glibc.

    Left to itself glibc soon takes whatever a picture is made of from the heap, and calls of the
    model side by side have their 12 MiB there in every order. Measured at 720p, pass 2 with the
    bundled model, two calls: 1,446 MiB in place of 1,523 within 200 frames, for no CPU time (45.3 s
    both); from 4 MiB on 1,411 for 6 % of it, from 2 MiB on 1,357 for a fifth.
    """
    mallopt = _glibc("mallopt")
    return mallopt is not None and bool(mallopt(OWN_FROM, LARGE_BYTES))


def give_back_free() -> bool:
    """What lies free between the blocks of the heap leaves the process, once; False without glibc.

    For now and then. Measured at 720p, one face of 455 px, one heap. Pass 2 with a model that
    computes nothing, within 50 frames each: 974, 1,110, 1,111, 1,099 and 1,101 MiB without it; 934,
    977, 990, 988 and 989 with it every 16 frames, for no CPU time that could be measured. Pass 1,
    1,500 frames: 320 to 341 without it, 308 to 330 with it every 64.
    """
    trim = _glibc("malloc_trim")
    if trim is None:
        return False
    trim(0)
    return True


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
