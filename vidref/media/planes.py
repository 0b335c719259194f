"""The samples of a decoded frame as numpy views: one strided array a channel, nothing copied.

Knows how pixel formats lie in memory; knows nothing about what the numbers mean (`colour` does).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vidref.errors import InputError

if TYPE_CHECKING:
    import av.video.frame

Samples = np.ndarray[Any, np.dtype[Any]]

# Formats whose channels have no plain strided view: converted without loss to one that has.
LOSSLESS_EQUIVALENT = {
    "pal8": "rgba",
    "monob": "gray",
    "monow": "gray",
}
# Uncompressed tapes: luma and chroma take turns.
PACKED_YUV = {
    "yuyv422": ((0, 0, 2), (0, 1, 4), (0, 3, 4)),
    "uyvy422": ((0, 1, 2), (0, 0, 4), (0, 2, 4)),
    "yvyu422": ((0, 0, 2), (0, 3, 4), (0, 1, 4)),
}
PACKED_RGB = re.compile(r"([rgba0]{3,4})(?:24|48le|48be|64le|64be)?")


@dataclass(frozen=True)
class Layout:
    """Where the colour channels of a pixel format are: (plane, first sample, step) of each."""

    places: tuple[tuple[int, int, int], ...]
    bits: int
    shift: int
    dtype: np.dtype[Any]
    is_rgb: bool
    chroma_shift: tuple[int, int]

    @property
    def is_grey(self) -> bool:
        return len(self.places) == 1


def layout_of(pix_fmt: str) -> Layout:
    """The layout of an FFmpeg pixel format; an `InputError` names one that we do not read."""
    import av

    video_format = av.VideoFormat(pix_fmt, 64, 64)
    colour = [c for c in video_format.components if not c.is_alpha]
    bits = colour[0].bits
    order = ">" if video_format.is_big_endian else "<"
    dtype = np.dtype(np.uint8 if bits <= 8 else f"{order}u2")
    packed = PACKED_RGB.fullmatch(pix_fmt)
    oddly_packed = video_format.is_rgb and not packed and not pix_fmt.startswith("gbr")
    if pix_fmt in LOSSLESS_EQUIVALENT or bits > 16 or oddly_packed or pix_fmt.startswith("xyz"):
        raise _no_plain_channels(pix_fmt)
    if pix_fmt in PACKED_YUV:
        return Layout(PACKED_YUV[pix_fmt], bits, 0, dtype, False, (1, 0))
    if packed:
        letters = packed[1]
        places = tuple((0, letters.index(channel), len(letters)) for channel in "rgb")
        return Layout(places, bits, 0, dtype, True, (0, 0))
    if pix_fmt.startswith(("nv12", "nv16", "nv24", "p0", "p2", "p4")):
        places = ((0, 0, 1), (1, 0, 2), (1, 1, 2))
        shift = 16 - bits if bits > 8 else 0
        return Layout(places, bits, shift, dtype, False, _chroma_shift(video_format))
    step = 2 if pix_fmt.startswith("ya") else 1
    places = tuple((component.plane, 0, step) for component in colour)
    if len({plane for plane, _, _ in places}) < len(places):
        raise _no_plain_channels(pix_fmt)
    chroma = (0, 0) if video_format.is_rgb or len(places) == 1 else _chroma_shift(video_format)
    return Layout(places, bits, 0, dtype, video_format.is_rgb, chroma)


def _no_plain_channels(pix_fmt: str) -> InputError:
    return InputError(
        f"Frames of pixel format {pix_fmt} have no plain channels; convert them to "
        f"{LOSSLESS_EQUIVALENT.get(pix_fmt, 'rgb48le')} first."
    )


def is_rgb(pix_fmt: str) -> bool:
    import av

    return av.VideoFormat(pix_fmt, 64, 64).is_rgb


def channels(frame: av.video.frame.VideoFrame, layout: Layout) -> list[Samples]:
    """Views of the frame's own samples; write through them only after `make_writable()`."""
    return [
        _plane(frame, plane, layout, step)[:, first::step][:, : _width(frame, channel, layout)]
        for channel, (plane, first, step) in enumerate(layout.places)
    ]


def _plane(frame: av.video.frame.VideoFrame, index: int, layout: Layout, step: int) -> Samples:
    plane: Any = frame.planes[index]
    flat = np.frombuffer(plane, dtype=layout.dtype)
    rows: Samples = flat[: plane.height * (plane.line_size // layout.dtype.itemsize)]
    return rows.reshape(plane.height, -1)


def _width(frame: av.video.frame.VideoFrame, channel: int, layout: Layout) -> int:
    if channel == 0 or layout.is_rgb:
        return frame.width
    return -(-frame.width >> layout.chroma_shift[0])


def _chroma_shift(video_format: av.VideoFormat) -> tuple[int, int]:
    """Base-two logarithms of how much coarser the chroma grid is, across and down."""
    wide, high = video_format.chroma_width(64), video_format.chroma_height(64)
    return (64 // wide).bit_length() - 1, (64 // high).bit_length() - 1
