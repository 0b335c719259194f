"""Which of an encoder's pixel formats holds the source's samples, all of them if possible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import av.codec

if TYPE_CHECKING:
    from vidref.media.families import Family
    from vidref.media.probe import Picture

# yuvj420p and its like are yuv420p that says "full range" in its name.
RANGE_IN_NAME = {f"yuvj{k}p": f"yuv{k}p" for k in ("411", "420", "422", "440", "444")}


def choose_pixel_format(
    family: Family, picture: Picture, exact: bool
) -> tuple[str | None, str | None]:
    """The encoder's format for these samples, and a sentence if it cannot hold them all."""
    formats = encoder_formats(family.encoder)
    source = picture.pix_fmt
    if not formats or source in formats:
        return source, None
    alias = RANGE_IN_NAME.get(source)
    if alias in formats:
        return alias, None
    if exact:
        return _wider(source, formats), None
    best = _wider(source, formats) or nearest_format(formats, source)
    if _holds_all(source, best):
        return best, None
    return best, f"{source} is stored as {best}, the nearest that {family.codec} can hold here."


def encoder_formats(encoder: str) -> list[str]:
    """The pixel formats an encoder takes; empty when it takes them all."""
    listed: Any = av.codec.Codec(encoder, "w").video_formats
    return [video_format.name for video_format in listed or []]


def nearest_format(formats: list[str], source: str) -> str:
    """The format that loses the least of `source`, by FFmpeg's own reckoning."""
    has_alpha = any(c.is_alpha for c in av.VideoFormat(source, 64, 64).components)
    best: Any = av.codec.codec.find_best_pix_fmt_of_list(formats, source, has_alpha)[0]
    return str(best.name)


def _wider(source: str, formats: list[str]) -> str | None:
    fitting = [name for name in formats if _holds_all(source, name)]
    return min(fitting, key=lambda n: av.VideoFormat(n, 64, 64).bits_per_pixel, default=None)


def _holds_all(source: str, target: str) -> bool:
    """Whether every sample of `source` survives in `target`, with no change of colour model."""
    a, b = av.VideoFormat(source, 64, 64), av.VideoFormat(target, 64, 64)
    if a.has_palette or b.has_palette or a.is_rgb != b.is_rgb:
        return False
    if len(a.components) != len(b.components) or "f" in (source[-3:-2], target[-3:-2]):
        return False
    same_depth = a.components[0].bits == b.components[0].bits
    same_grid = (a.chroma_width(64), a.chroma_height(64)) == (
        b.chroma_width(64),
        b.chroma_height(64),
    )
    return same_depth and same_grid
