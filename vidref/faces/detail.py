"""Numbers that tell a face's real detail from noise, from a codec's marks, and from blur.

Detail is taken in the aligned square, in bands an octave apart relative to the face, so a small
face and an enlarged one lack the same bands. Detail sits in few places and in several bands at
once; noise is everywhere and in one band; blur by motion takes away one direction only; colour
fades before light does when a codec saves. What a codec leaves on its grid is in `coding`.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces import coding
from vidref.faces.regions import Region

SIDE_PX = 256
CELL_PX = 8
SHARES = (10, 30, 50, 70, 90, 97)
FLOOR = 0.02
NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
"""Blind to what is straight or evenly curved: what it leaves is noise or fine texture."""
NOISE_REACH_PX = 112
MOST_NOISE = 12.0
"""What is left beyond this is a contour of the face."""

Grey = NDArray[np.float32]


def describe(region: Region) -> NDArray[np.float32]:
    """The numbers of one face, always as many: see the module."""
    face = region.square(SIDE_PX).astype(np.float32)
    numbers = _bands(face)
    numbers += _directions(face)
    numbers += _noise(region.middle(NOISE_REACH_PX)[0].astype(np.float32))
    numbers += coding.marks(region)
    numbers += _colour(region.small)
    numbers.append(float(np.log(region.placement.size_px)))
    return np.array(numbers, np.float32)


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


def _noise(part: Grey) -> list[float]:
    """What is left of the face at its own size, at half and at a quarter; how it is spread, and
    what neighbours share of it: nothing in white noise, much in what was enlarged or coded."""
    if min(part.shape) < 8:
        return [0.0] * 7
    left = cv2.filter2D(part, -1, NOISE)
    numbers = [_quantile(left, share) for share in (0.15, 0.4, 0.75)]
    bounded = np.clip(left, -MOST_NOISE, MOST_NOISE)
    power = float((bounded * bounded).mean()) + 1e-3
    numbers.append(float((bounded[:, 2:] * bounded[:, :-2]).mean()) / power)
    numbers.append(float((bounded[2:] * bounded[:-2]).mean()) / power)
    for _ in range(2):
        part = cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        if min(part.shape) < 8:
            numbers.append(numbers[-1])
        else:
            numbers.append(_quantile(cv2.filter2D(part, -1, NOISE), 0.4))
    return numbers


def _quantile(left: Grey, share: float) -> float:
    inner = np.abs(left[2:-2:3, 2:-2:3]).ravel()
    rank = int(share * len(inner))
    return float(np.log(np.partition(inner, rank)[rank] + FLOOR))


def _colour(small: NDArray[np.uint8]) -> list[float]:
    """Energy of three octaves of colour, in the plainer and in the livelier cells of the face."""
    level = cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb)[..., 1:].astype(np.float32)
    numbers: list[float] = []
    for _ in range(3):
        smooth = cv2.GaussianBlur(level, (5, 5), 0.9)
        band = cv2.subtract(level, smooth)
        energy = cv2.resize((band * band).sum(2), (16, 16), interpolation=cv2.INTER_AREA)
        logs = np.sort(np.log(energy[2:15, 3:13] + FLOOR), axis=None)
        numbers += [float(logs[int(share * len(logs))]) for share in (0.3, 0.8)]
        level = cv2.resize(smooth, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return numbers


def _correlation(one: Grey, other: Grey) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-6))
