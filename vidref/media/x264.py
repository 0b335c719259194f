"""What x264 is told beside FFmpeg's own options."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidref.media.probe import Picture

CPU = Path("/proc/cpuinfo")


def x264_params(picture: Picture) -> list[str]:
    field = picture.first_field if picture.interlaced else None
    return [*([f"{field}=1"] if field else []), *repeatable()]


@cache
def repeatable() -> tuple[str, ...]:
    """What makes it write the same bits every time.

    Its AVX-512 code reads memory that nothing was written to where a picture is no whole number of
    128 px wide. Up to AVX2 it is as fast (21 ms a frame of 720p).
    """
    avx512 = CPU.exists() and "avx512f" in CPU.read_text()
    return ("asm=avx2",) if avx512 else ()


def repeatable_options() -> dict[str, str]:
    """The same as options of FFmpeg's."""
    told = repeatable()
    return {"x264-params": ":".join(told)} if told else {}
