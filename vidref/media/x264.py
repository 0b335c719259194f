"""What x264 is told beside FFmpeg's own options."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidref.media.probe import Picture

CPU = Path("/proc/cpuinfo")


def x264_params(picture: Picture) -> list[str]:
    params = []
    if picture.interlaced and picture.first_field:
        params.append(f"{picture.first_field}=1")
    if _has_avx512():
        # Its AVX-512 code reads memory that nothing was written to where a picture is no whole
        # number of 128 px wide: other bits in every run. Up to AVX2 it is as fast (21 ms a frame
        # of 720p) and always the same.
        params.append("asm=avx2")
    return params


@cache
def _has_avx512() -> bool:
    return CPU.exists() and "avx512f" in CPU.read_text()
