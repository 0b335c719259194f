"""Numbers that tell a face's real detail from noise, blocks and blur.

All are taken in the aligned square, in bands an octave apart relative to the face, so a small face
and an enlarged one lack the same bands. Detail sits in few places and in several bands at once;
noise is everywhere and in one band; blocks lie on the codec's grid; blur by motion takes away one
direction only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement, to_frame

SIDE_PX = 256
CELL_PX = 8
SHARES = (10, 30, 50, 70, 90, 97)
FLOOR = 0.02
GRID_PX = 8
GRID_REACH_PX = 112
STEEPEST = 12
"""Steps larger than this are contours of the face and not edges of blocks."""
NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
"""Blind to what is straight or evenly curved: what it leaves is noise or fine texture."""

Grey = NDArray[np.float32]


def describe(rgb: NDArray[np.uint8], placement: Placement) -> NDArray[np.float32]:
    """The numbers of one face, always as many: see the module."""
    patch, corner = surroundings(rgb, placement)
    grey = cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY)
    face = square(grey, placement, corner, SIDE_PX).astype(np.float32)
    numbers = _bands(face)
    numbers += _directions(face)
    numbers += _noise(grey, placement, corner)
    numbers += _blocks(grey, placement, corner)
    numbers.append(float(np.log(placement.size_px)))
    return np.array(numbers, np.float32)


def surroundings(
    rgb: NDArray[np.uint8], placement: Placement
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The upright part of a picture that holds the square, and its corner (x, y)."""
    reach = placement.size_px * 0.75 + 2
    height, width = rgb.shape[:2]
    x, y = placement.centre_xy
    left, right = (int(np.clip(x + side * reach, 0, width)) for side in (-1, 1))
    top, bottom = (int(np.clip(y + side * reach, 0, height)) for side in (-1, 1))
    left, top = min(left, width - 1), min(top, height - 1)
    part = rgb[top : max(bottom, top + 1), left : max(right, left + 1)]
    return np.ascontiguousarray(part), (left, top)


def square(
    patch: NDArray[Any], placement: Placement, corner: tuple[int, int], side_px: int
) -> NDArray[Any]:
    """The aligned square from a part of the picture, averaged first where it is reduced."""
    fewer = round(placement.size_px / side_px)
    across = np.ones(2)
    if fewer > 1:
        size = [max(1, length // fewer) for length in patch.shape[1::-1]]
        across = np.array([a / b for a, b in zip(size, patch.shape[1::-1], strict=True)])
        patch = cv2.resize(patch, size, interpolation=cv2.INTER_AREA)
    matrix = to_frame(placement, side_px)
    matrix[:, 2] = (matrix[:, 2] - corner + 0.5) * across - 0.5
    matrix[:, :2] *= across[:, None]
    return np.asarray(
        cv2.warpAffine(
            patch,
            matrix,
            (side_px, side_px),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def face_oval(side: int) -> NDArray[np.bool_]:
    """The face within the aligned square."""
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / side
    return np.asarray(((x - 0.5) / 0.40) ** 2 + ((y - 0.52) / 0.46) ** 2 < 1)


OVAL = face_oval(SIDE_PX // CELL_PX)
RANKS = [int(OVAL.sum() * share / 100) for share in SHARES]


def _bands(face: Grey) -> list[float]:
    """Energy of five octaves in cells of the face, by shares of cells; how the octaves agree."""
    numbers: list[float] = []
    cells: list[Grey] = []
    finest: list[Grey] = []
    level = face
    for index in range(5):
        smooth = cv2.GaussianBlur(level, (7, 7) if index else (5, 5), 1.5 if index else 0.8)
        band = cv2.subtract(level, smooth)
        energy = cv2.resize(cv2.multiply(band, band), OVAL.shape, interpolation=cv2.INTER_AREA)
        logs = np.log(energy[OVAL] + FLOOR)
        cells.append(logs)
        logs_in_order = np.sort(logs)
        numbers += logs_in_order[RANKS].tolist()
        if index < 2:
            finest.append(band)
        if index == 0:
            level = smooth
        else:
            level = cv2.resize(smooth, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    numbers += [_correlation(a, b) for a, b in pairwise(cells)]
    shared = float(cv2.multiply(finest[0], finest[1]).mean())
    power = float(cv2.multiply(finest[0], finest[0]).mean() * (finest[1] * finest[1]).mean())
    numbers.append(shared / float(np.sqrt(power + 1e-6)))
    return numbers


def _directions(face: Grey) -> list[float]:
    """Mean step along the four directions, least to greatest, two pixels apart."""
    inner = face[20:-6, 30:-30]
    steps = (
        (inner[1:-1, 2:], inner[1:-1, :-2]),
        (inner[2:, 1:-1], inner[:-2, 1:-1]),
        (inner[2:, 2:], inner[:-2, :-2]),
        (inner[2:, :-2], inner[:-2, 2:]),
    )
    return sorted(float(np.log(cv2.absdiff(a, b).mean() + FLOOR)) for a, b in steps)


def _noise(grey: NDArray[np.uint8], placement: Placement, corner: tuple[int, int]) -> list[float]:
    """What is left of the middle of the face at its own size, at half and at a quarter."""
    part = _middle(grey, placement, corner, GRID_REACH_PX)[0].astype(np.float32)
    numbers: list[float] = []
    for _ in range(3):
        if min(part.shape) < 8:
            numbers.append(numbers[-1] if numbers else 0.0)
            continue
        left = np.sort(np.abs(cv2.filter2D(part, -1, NOISE)[2:-2:3, 2:-2:3]), axis=None)
        numbers.append(float(np.log(left[int(0.4 * len(left))] + FLOOR)))
        part = cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return numbers


def _blocks(grey: NDArray[np.uint8], placement: Placement, corner: tuple[int, int]) -> list[float]:
    """How much steps stand out on the frame's grid of eight, and on the best such grid."""
    part, (left, top) = _middle(grey, placement, corner, GRID_REACH_PX)
    on_frame, best = [], []
    for axis, start in ((1, left), (0, top)):
        turned = part if axis else np.ascontiguousarray(part.T)
        if turned.shape[1] <= 3 * GRID_PX:
            on_frame.append(0.0)
            best.append(0.0)
            continue
        steps = np.minimum(cv2.absdiff(turned[:, 1:], turned[:, :-1]), STEEPEST)
        profile = steps.mean(0)
        stands_out = profile[1:-1] - (profile[:-2] + profile[2:]) / 2
        phase = (np.arange(len(stands_out)) + start + 2) % GRID_PX
        by_phase = np.bincount(phase, stands_out, GRID_PX) / np.bincount(phase, minlength=GRID_PX)
        usual = float(profile.mean()) + 0.3
        on_frame.append(float(by_phase[0]) / usual)
        best.append(float(by_phase.max()) / usual)
    return [float(np.mean(on_frame)), float(np.mean(best))]


def _middle(
    grey: NDArray[np.uint8], placement: Placement, corner: tuple[int, int], most_px: int
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The upright middle of the face at its own size, at most `most_px` to each side."""
    reach = min(most_px, max(8.0, 0.42 * placement.size_px))
    x, y = placement.centre_xy[0] - corner[0], placement.centre_xy[1] - corner[1]
    height, width = grey.shape
    left, top = (int(np.clip(v - reach, 0, None)) for v in (x, y))
    left, top = min(left, max(0, width - 8)), min(top, max(0, height - 8))
    right, bottom = max(left + 8, int(x + reach)), max(top + 8, int(y + reach))
    return grey[top:bottom, left:right], (corner[0] + left, corner[1] + top)


def _correlation(one: Grey, other: Grey) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-6))
