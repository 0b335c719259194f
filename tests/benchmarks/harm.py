"""Pictures harmed by known amounts: what the quality score is fitted to and measured by."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.truth import Truth
from vidref.faces.geometry import placement_of

Image = NDArray[np.uint8]
Points = NDArray[np.float64]
SHARP_PX = 480
LEVELS: dict[str, tuple[float, ...]] = {
    "blur": (0, 0.8, 1.5, 2.5, 4, 6, 9, 13),
    "noise": (0, 3, 6, 10, 15, 22, 32),
    "jpeg": (95, 75, 55, 40, 28, 18, 10, 6),
    "h264": (16, 22, 27, 31, 35, 39, 43, 47),
    "motion": (0, 3, 6, 10, 15, 22, 32),
    "size": (512, 360, 256, 180, 128, 90, 64, 44),
    "enlarged": (512, 360, 256, 180, 128, 90, 64, 44),
}
"""From least to most harm: blur deviation, noise deviation, JPEG quality, H.264 CRF, length of
motion, and size of the face square, shown as it is or enlarged back; in pixels of a 512 px face."""
LENGTHS = ("blur", "motion")
MIXED = 16
SOFT = (2, 5, 10)
"""Blur deviations to which noise is added: a blurred face must not gain by it."""


@dataclass(frozen=True)
class Portrait:
    """A sharp face: the picture and its five points."""

    person: str
    rgb: Image
    points: Points


@dataclass(frozen=True)
class Harmed:
    """A picture made worse: `level` counts up with the harm; the rest is against the sharp one."""

    kind: str
    level: int
    rgb: Image
    points: Points
    left: float
    error: float


def portraits(data: Path, split: str, count: int, seed: int) -> Iterator[Portrait]:
    """Sharp, whole portraits of different people of a split of faces.csv."""
    with (data / "faces.csv").open() as table:
        rows = [
            row
            for row in csv.DictReader(table)
            if row["split"] == split
            and float(row["native_px"]) >= SHARP_PX
            and float(row["inner_real"]) == 1
        ]
    order = np.random.default_rng(seed).permutation(len(rows))
    seen: set[str] = set()
    for row in (rows[k] for k in order):
        if row["person"] in seen or len(seen) == count:
            continue
        seen.add(row["person"])
        with zipfile.ZipFile(data / row["shard"]) as shard:
            packed = np.frombuffer(shard.read(row["file"]), np.uint8)
        rgb = cv2.cvtColor(cv2.imdecode(packed, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        points = np.array(row["landmarks_xy"].split(), float).reshape(5, 2)
        yield Portrait(row["person"], rgb, points)


def every_harm(portrait: Portrait, rng: np.random.Generator) -> Iterator[Harmed]:
    """Each kind at each level, then `MIXED` drawn at random."""
    truth = Truth(portrait.rgb, portrait.points)
    unit = placement_of(portrait.points).size_px / 512

    def harmed(kind: str, level: int, rgb: Image, points: Points) -> Harmed:
        compared = truth.compare(rgb, points)
        return Harmed(kind, level, rgb, points, compared.left, compared.error)

    for kind, levels in LEVELS.items():
        for level, amount in enumerate(levels):
            amount *= unit if kind in LENGTHS else 1
            yield harmed(kind, level, *HARMS[kind](portrait.rgb, portrait.points, amount, rng))
    for start in SOFT:
        deviation = start * rng.uniform(0.7, 1.4) * unit
        soft, points = blur(portrait.rgb, portrait.points, deviation, rng)
        for level, amount in enumerate(LEVELS["noise"]):
            yield harmed(f"noise on blur {start}", level, *noise(soft, points, amount, rng))
    for _ in range(MIXED):
        yield harmed("mixed", -1, *mixed(portrait.rgb, portrait.points, rng))


def blur(rgb: Image, points: Points, amount: float, _: np.random.Generator) -> tuple[Image, Points]:
    return (cv2.GaussianBlur(rgb, (0, 0), amount) if amount > 0 else rgb), points


def noise(
    rgb: Image, points: Points, amount: float, rng: np.random.Generator
) -> tuple[Image, Points]:
    noisy = rgb + rng.normal(0, amount, rgb.shape) + 0.5 if amount > 0 else rgb
    return np.clip(noisy, 0, 255).astype(np.uint8), points


def jpeg(rgb: Image, points: Points, amount: float, _: np.random.Generator) -> tuple[Image, Points]:
    packed = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(amount)])[1]
    return np.ascontiguousarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1]), points


def h264(rgb: Image, points: Points, amount: float, _: np.random.Generator) -> tuple[Image, Points]:
    """The last of three frames in which the picture moves to the right, as x264 codes it."""
    height, width = (length - length % 2 for length in rgb.shape[:2])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(amount), "preset": "veryfast", "threads": "1"}
        for shift in (-2, -1, 0):
            moved = np.ascontiguousarray(np.roll(rgb[:height, :width], shift, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    coded = rgb.copy()
    with av.open(file) as container:
        for frame in container.decode(video=0):
            coded[:height, :width] = frame.to_ndarray(format="rgb24")
    return coded, points


def motion(
    rgb: Image, points: Points, amount: float, rng: np.random.Generator
) -> tuple[Image, Points]:
    """A straight streak in a random direction."""
    angle = rng.uniform(0, np.pi)
    side = int(amount) * 2 + 3
    step = np.array([np.cos(angle), np.sin(angle)]) * amount / 2
    ends = [tuple(int(v) for v in np.round(side // 2 + sign * step)) for sign in (-1, 1)]
    kernel = np.zeros((side, side), np.float32)
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA)
    return cv2.filter2D(rgb, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT), points


def smaller(
    rgb: Image, points: Points, amount: float, _: np.random.Generator
) -> tuple[Image, Points]:
    scale = amount / 512
    if scale == 1:
        return rgb, points
    small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small, (points + 0.5) * scale - 0.5


def enlarged(
    rgb: Image, points: Points, amount: float, rng: np.random.Generator
) -> tuple[Image, Points]:
    small, _ = smaller(rgb, points, amount, rng)
    return cv2.resize(small, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC), points


def mixed(rgb: Image, points: Points, rng: np.random.Generator) -> tuple[Image, Points]:
    """Small, blurred, noisy and coded, each by chance."""
    if rng.random() < 0.8:
        rgb, points = smaller(rgb, points, float(np.exp(rng.uniform(np.log(60), np.log(512)))), rng)
    if rng.random() < 0.6:
        rgb, points = blur(rgb, points, rng.uniform(0.3, 3), rng)
    if rng.random() < 0.6:
        rgb, points = noise(rgb, points, rng.uniform(1, 25), rng)
    draw = rng.random()
    if draw < 0.3:
        return jpeg(rgb, points, rng.uniform(8, 95), rng)
    return h264(rgb, points, int(rng.uniform(18, 44)), rng) if draw < 0.6 else (rgb, points)


Harm = Callable[[Image, Points, float, np.random.Generator], tuple[Image, Points]]
HARMS: dict[str, Harm] = {
    "blur": blur,
    "noise": noise,
    "jpeg": jpeg,
    "h264": h264,
    "motion": motion,
    "size": smaller,
    "enlarged": enlarged,
}
