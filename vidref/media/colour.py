"""YUV <-> RGB in the file's own matrix, range and bit depth, and only where it is asked for.

Two facts to know before editing:
- a frame is read and written by region, so a frame without a face never leaves its own planes;
- writing adds the *difference* between the new and the old RGB to the planes, so where the two
  agree, or the mask is zero, no sample can move, whatever the chroma grid or the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
WHITE = 65535
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
    """The region as HxWx3 RGB over 0..65535, of 8-bit sources too.

    RGB of 8 bits would be off by a third of a level, anew in every frame, and what is written back
    as a change would carry that along.
    """
    layout = layout_of(frame.format.name)
    box = (box or Box(0, 0, frame.width, frame.height)).clipped(frame.width, frame.height)
    grid = box.on_chroma_grid(layout, frame.width, frame.height)
    rgb = _decode(_cut(channels(frame, layout), grid, layout), layout, colour, frame, grid)
    rgb = rgb[box.top - grid.top :, box.left - grid.left :]
    return rgb[: box.bottom - box.top, : box.right - box.left]


def write_rgb(
    frame: av.video.frame.VideoFrame,
    colour: Colour,
    box: Box,
    rgb: np.ndarray[Any, np.dtype[Any]],
    mask: np.ndarray[Any, np.dtype[np.float32]],
    before: np.ndarray[Any, np.dtype[Any]] | None = None,
) -> None:
    """Blend `rgb` into the frame's planes under `mask` (0..1); nothing moves where it is 0.

    `before` is what `read_rgb` says of the box, from whoever has just asked.
    """
    import cv2

    layout = layout_of(frame.format.name)
    inside = box.clipped(frame.width, frame.height)
    rows = slice(inside.top - box.top, inside.bottom - box.top)
    columns = slice(inside.left - box.left, inside.right - box.left)
    old = read_rgb(frame, colour, inside) if before is None else before[rows, columns]
    change = cv2.addWeighted(rgb[rows, columns], 1 / WHITE, old, -1 / WHITE, 0, dtype=cv2.CV_32F)
    frame.make_writable()
    grid = inside.on_chroma_grid(layout, frame.width, frame.height)
    around = (
        inside.top - grid.top,
        grid.bottom - inside.bottom,
        inside.left - grid.left,
        grid.right - inside.right,
    )
    views = _cut(channels(frame, layout), grid, layout)
    deltas = _encode_change(change, mask[rows, columns], around, layout, colour, frame)
    for view, delta in zip(views, deltas, strict=True):
        _add(view, delta, layout)


def check_convertible(pix_fmt: str, colour: Colour) -> None:
    """Refuse frames that `read_rgb` could not read, before there are any."""
    layout = layout_of(pix_fmt)
    if not (layout.is_rgb or layout.is_grey):
        matrix_of(colour, HD_HEIGHT)


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


@cache
def _yuv_to_rgb(kr: float, kb: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    inverse = np.linalg.inv(_rgb_to_yuv(kr, kb).astype(np.float64))
    inverse[:, 0] = 1  # exactly, so that grey has three equal channels to the bit
    return inverse


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
) -> np.ndarray[Any, np.dtype[Any]]:
    # OpenCV, because it keeps to the caches: numpy's passes over float pictures take twice
    # the time for reading and four times it for writing.
    import cv2

    black, span, chroma_span = _scales(layout, colour, frame.format.name)
    samples = [_samples(view, layout) for view in cut]
    # Offsets go first, so that grey has a chroma of exactly 0.
    if layout.is_grey:
        whole = cv2.subtract(cv2.merge(samples * 3), (black,) * 4, dtype=cv2.CV_32F)
        return np.asarray(cv2.multiply(whole, (WHITE / span,) * 4, dtype=cv2.CV_16U))
    if layout.is_rgb:
        whole = cv2.merge(samples)
        if span == WHITE:
            return np.asarray(whole)
        return np.asarray(cv2.multiply(whole, (WHITE / span,) * 4, dtype=cv2.CV_16U))
    middle = float(1 << (layout.bits - 1))
    shape = (grid.bottom - grid.top, grid.right - grid.left)
    luma, *chroma = (
        np.subtract(plane, np.float32(zero), dtype=np.float32)
        for plane, zero in zip(samples, (black, middle, middle), strict=True)
    )
    yuv = cv2.merge([luma, *(_spread(plane, layout, shape) for plane in chroma)])
    matrix = _yuv_to_rgb(*matrix_of(colour, frame.height)) * WHITE / (span, *[chroma_span] * 2)
    rgb = cv2.transform(yuv, matrix.astype(np.float32))
    return np.asarray(cv2.addWeighted(rgb, 1, rgb, 0, 0, dtype=cv2.CV_16U))  # rounds, and cuts off


def _samples(view: Samples, layout: Layout) -> Samples:
    """The samples' own numbers, side by side and in this machine's order of bytes."""
    plain = np.ascontiguousarray(view, layout.dtype.newbyteorder("="))
    return plain >> layout.shift if layout.shift else plain


def _spread(chroma: Samples, layout: Layout, shape: tuple[int, int]) -> Samples:
    import cv2

    across, down = (1 << shift for shift in layout.chroma_shift)
    size = (chroma.shape[1] * across, chroma.shape[0] * down)
    full = np.asarray(cv2.resize(chroma, size, interpolation=cv2.INTER_NEAREST))
    return full[: shape[0], : shape[1]]


def _encode_change(
    change: np.ndarray[Any, np.dtype[Any]],
    mask: np.ndarray[Any, np.dtype[np.float32]],
    around: tuple[int, int, int, int],
    layout: Layout,
    colour: Colour,
    frame: av.video.frame.VideoFrame,
) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """The change of every channel under the mask, in sample units, on that channel's own grid.

    `around`: how much larger the grid is than the change (top, bottom, left, right).
    """
    import cv2

    _, span, chroma_span = _scales(layout, colour, frame.format.name)

    def planes(matrix: np.ndarray[Any, Any], count: int) -> list[Any]:
        mixed = [cv2.transform(change, row[None].astype(np.float32)) for row in matrix[:count]]
        masked = [cv2.multiply(plane, mask, dst=plane) for plane in mixed]
        if not any(around):
            return masked
        return [cv2.copyMakeBorder(plane, *around, cv2.BORDER_CONSTANT) for plane in masked]

    if layout.is_rgb:
        return planes(np.eye(3) * span, 3)
    scale = np.array([span, chroma_span, chroma_span])
    if layout.is_grey and colour.matrix not in LUMA_WEIGHTS:
        colour = replace(colour, matrix=UNSPECIFIED)  # a grey PNG says RGB
    matrix = _rgb_to_yuv(*matrix_of(colour, frame.height)) * scale[:, None]
    if layout.is_grey:
        return planes(matrix, 1)
    luma, *chroma = planes(matrix, 3)
    return [luma, *(_gather(plane, layout) for plane in chroma)]


def _gather(
    full: np.ndarray[Any, np.dtype[np.float32]], layout: Layout
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Mean over each chroma sample's pixels; a cut block at the picture's edge repeats its last."""
    import cv2

    across, down = (1 << shift for shift in layout.chroma_shift)
    high, wide = full.shape
    padded = cv2.copyMakeBorder(full, 0, -high % down, 0, -wide % across, cv2.BORDER_REPLICATE)
    size = (padded.shape[1] // across, padded.shape[0] // down)
    return np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.float32)


def _add(view: Samples, delta: np.ndarray[Any, np.dtype[np.float32]], layout: Layout) -> None:
    import cv2

    depth = cv2.CV_8U if layout.dtype.itemsize == 1 else cv2.CV_16U
    new = np.asarray(cv2.add(_samples(view, layout), delta, dtype=depth))
    most = (1 << layout.bits) - 1
    if most < np.iinfo(new.dtype).max:
        np.minimum(new, most, out=new)
    view[...] = new << layout.shift if layout.shift else new
