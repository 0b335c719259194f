"""YUV <-> RGB in the file's own matrix, range and bit depth, and only where it is asked for.

Two facts to know before editing:
- a frame is read and written by region, so a frame without a face never leaves its own planes;
- writing adds the *difference* between the new and the old RGB to the planes, so where the two
  agree, or the mask is zero, no sample can move, whatever the chroma grid or the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from vidref.errors import InputError
from vidref.media.planes import Layout, Samples, channels, layout_of

if TYPE_CHECKING:
    import av.video.frame

# H.273 matrix coefficients -> (Kr, Kb).
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
UNSPECIFIED = 2
LIMITED_RANGE, FULL_RANGE = 1, 2  # AVCOL_RANGE_MPEG, AVCOL_RANGE_JPEG
HD_HEIGHT = 720


@dataclass(frozen=True)
class Colour:
    """The colour tags of a picture, as H.273 numbers; 2 (0 for the range) means "not said"."""

    matrix: int = UNSPECIFIED
    range: int = 0
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED

    @staticmethod
    def of_frame(frame: av.video.frame.VideoFrame, fallback: Any = None) -> Colour:
        """The frame's own tags, and the stream's where the frame says nothing."""

        def tag(of_frame: int, name: str, unsaid: int) -> int:
            if int(of_frame) != unsaid or fallback is None:
                return int(of_frame)
            return int(getattr(fallback, name))

        return Colour(
            matrix=tag(frame.colorspace, "colorspace", UNSPECIFIED),
            range=tag(frame.color_range, "color_range", 0),
            primaries=tag(frame.color_primaries, "color_primaries", UNSPECIFIED),
            transfer=tag(frame.color_trc, "color_trc", UNSPECIFIED),
        )


@dataclass(frozen=True)
class Box:
    """A region of the picture in pixels: left and top inside, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int

    def clipped(self, width: int, height: int) -> Box:
        return Box(
            max(0, self.left), max(0, self.top), min(width, self.right), min(height, self.bottom)
        )

    def on_chroma_grid(self, layout: Layout, width: int, height: int) -> Box:
        """The smallest box around this one that cuts no chroma sample in two."""
        across, down = (1 << shift for shift in layout.chroma_shift)
        return Box(
            self.left // across * across,
            self.top // down * down,
            -(-self.right // across) * across,
            -(-self.bottom // down) * down,
        ).clipped(width, height)


def read_rgb(
    frame: av.video.frame.VideoFrame, colour: Colour, box: Box | None = None
) -> np.ndarray[Any, np.dtype[Any]]:
    """The region as HxWx3 RGB: uint8 for 8-bit sources, uint16 over 0..65535 for deeper ones."""
    layout = layout_of(frame.format.name)
    box = (box or Box(0, 0, frame.width, frame.height)).clipped(frame.width, frame.height)
    grid = box.on_chroma_grid(layout, frame.width, frame.height)
    rgb = _decode(_cut(channels(frame, layout), grid, layout), layout, colour, frame, grid)
    rgb = rgb[box.top - grid.top :, box.left - grid.left :]
    rgb = rgb[: box.bottom - box.top, : box.right - box.left]
    top, dtype = (255, np.uint8) if layout.bits <= 8 else (65535, np.uint16)
    out: np.ndarray[Any, np.dtype[Any]] = np.rint(np.clip(rgb, 0, 1) * top).astype(dtype)
    return out


def write_rgb(
    frame: av.video.frame.VideoFrame,
    colour: Colour,
    box: Box,
    rgb: np.ndarray[Any, np.dtype[Any]],
    mask: np.ndarray[Any, np.dtype[np.float32]],
) -> None:
    """Blend `rgb` into the frame's planes under `mask` (0..1); nothing moves where it is 0."""
    layout = layout_of(frame.format.name)
    inside = box.clipped(frame.width, frame.height)
    rows = slice(inside.top - box.top, inside.bottom - box.top)
    columns = slice(inside.left - box.left, inside.right - box.left)
    scale = np.float32(np.iinfo(rgb.dtype).max)
    change = rgb[rows, columns].astype(np.float32) / scale
    change -= read_rgb(frame, colour, inside).astype(np.float32) / (
        255 if layout.bits <= 8 else 65535
    )
    change *= mask[rows, columns, None]
    frame.make_writable()
    grid = inside.on_chroma_grid(layout, frame.width, frame.height)
    padded = np.zeros((grid.bottom - grid.top, grid.right - grid.left, 3), np.float32)
    top, left = inside.top - grid.top, inside.left - grid.left
    padded[top : top + change.shape[0], left : left + change.shape[1]] = change
    views = _cut(channels(frame, layout), grid, layout)
    for view, delta in zip(views, _encode_change(padded, layout, colour, frame), strict=True):
        _add(view, delta, layout)


def matrix_of(colour: Colour, height: int) -> tuple[float, float]:
    """(Kr, Kb) of the picture; an untagged one is BT.709 from 720 lines up and BT.601 below."""
    number = usual_matrix(height) if colour.matrix == UNSPECIFIED else colour.matrix
    if number not in LUMA_WEIGHTS:
        raise InputError(
            f"The picture uses colour matrix {number} (H.273), which vidref cannot convert; "
            "re-encode the clip as BT.709 or BT.2020 first."
        )
    return LUMA_WEIGHTS[number]


def usual_matrix(height: int) -> int:
    """What players assume of a picture that does not say."""
    return 1 if height >= HD_HEIGHT else 6


@cache
def _rgb_to_yuv(kr: float, kb: float) -> np.ndarray[Any, np.dtype[np.float32]]:
    kg = 1 - kr - kb
    blue, red = 2 * (1 - kb), 2 * (1 - kr)
    rows = [
        [kr, kg, kb],
        [-kr / blue, -kg / blue, (1 - kb) / blue],
        [(1 - kr) / red, -kg / red, -kb / red],
    ]
    return np.array(rows, np.float32)


def _scales(layout: Layout, colour: Colour, pix_fmt: str) -> tuple[float, float, float]:
    """Black level, luma span and chroma span in sample units."""
    full = colour.range == FULL_RANGE or pix_fmt.startswith("yuvj") or layout.is_rgb
    if layout.is_grey and colour.range == 0:
        full = True
    if full:
        most = float((1 << layout.bits) - 1)
        return 0.0, most, most
    unit = float(1 << (layout.bits - 8))
    return 16 * unit, 219 * unit, 224 * unit


def _cut(views: list[Samples], grid: Box, layout: Layout) -> list[Samples]:
    across, down = layout.chroma_shift

    def cut(view: Samples, i: int) -> Samples:
        sx, sy = (across, down) if i and not layout.is_rgb else (0, 0)
        rows = slice(grid.top >> sy, -(-grid.bottom >> sy))
        return view[rows, grid.left >> sx : -(-grid.right >> sx)]

    return [cut(view, i) for i, view in enumerate(views)]


def _decode(
    cut: list[Samples],
    layout: Layout,
    colour: Colour,
    frame: av.video.frame.VideoFrame,
    grid: Box,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    black, span, chroma_span = _scales(layout, colour, frame.format.name)
    first = ((cut[0] >> layout.shift).astype(np.float32) - np.float32(black)) / np.float32(span)
    if layout.is_grey:
        return np.repeat(first[..., None], 3, axis=2)
    if layout.is_rgb:
        return np.stack([first, *(c.astype(np.float32) / np.float32(span) for c in cut[1:])], -1)
    middle = np.float32(1 << (layout.bits - 1))
    u, v = (((c >> layout.shift).astype(np.float32) - middle) / chroma_span for c in cut[1:])
    shape = (grid.bottom - grid.top, grid.right - grid.left)
    yuv = np.stack([first, _spread(u, layout, shape), _spread(v, layout, shape)], -1)
    inverse = np.linalg.inv(_rgb_to_yuv(*matrix_of(colour, frame.height))).astype(np.float32)
    rgb: np.ndarray[Any, np.dtype[np.float32]] = yuv @ inverse.T
    return rgb


def _spread(
    chroma: np.ndarray[Any, np.dtype[np.float32]], layout: Layout, shape: tuple[int, int]
) -> np.ndarray[Any, np.dtype[np.float32]]:
    across, down = (1 << shift for shift in layout.chroma_shift)
    full = chroma.repeat(down, axis=0) if down > 1 else chroma
    full = full.repeat(across, axis=1) if across > 1 else full
    return full[: shape[0], : shape[1]]


def _encode_change(
    change: np.ndarray[Any, np.dtype[np.float32]],
    layout: Layout,
    colour: Colour,
    frame: av.video.frame.VideoFrame,
) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """The change of every channel, in sample units, on that channel's own grid."""
    _, span, chroma_span = _scales(layout, colour, frame.format.name)
    if layout.is_rgb:
        return [change[..., i] * np.float32(span) for i in range(3)]
    yuv = change @ _rgb_to_yuv(*matrix_of(colour, frame.height)).T
    luma = yuv[..., 0] * np.float32(span)
    if layout.is_grey:
        return [luma]
    return [luma, *(_gather(yuv[..., i], layout) * np.float32(chroma_span) for i in (1, 2))]


def _gather(
    full: np.ndarray[Any, np.dtype[np.float32]], layout: Layout
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Mean over each chroma sample's pixels; a cut block at the picture's edge repeats its last."""
    across, down = (1 << shift for shift in layout.chroma_shift)
    high, wide = full.shape
    padded = np.pad(full, ((0, -high % down), (0, -wide % across)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // down, down, padded.shape[1] // across, across)
    mean: np.ndarray[Any, np.dtype[np.float32]] = blocks.mean(axis=(1, 3))
    return mean


def _add(view: Samples, delta: np.ndarray[Any, np.dtype[np.float32]], layout: Layout) -> None:
    most = (1 << layout.bits) - 1
    old = (view >> layout.shift).astype(np.float32)
    new = np.clip(np.rint(old + delta), 0, most).astype(view.dtype) << layout.shift
    np.copyto(view, new, where=np.rint(delta) != 0)
