"""Portraits made into frames of clips, and these harmed: what the score is fitted to.

A frame of a real clip was softened by its lens and its size, often cleaned of noise and sharpened,
and then coded; only after that comes what a user's footage suffered. Portraits harmed directly
teach a score nothing of that (tests/benchmarks/results/quality.md).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import av
import cv2
import numpy as np

from tests.benchmarks import harm
from tests.benchmarks.harm import Image, Points, Portrait
from tests.benchmarks.truth import Truth
from vidref.faces.geometry import placement_of

PRESETS = ("veryfast", "faster", "medium")
KINDS = {
    "blur": 0.15, "noise": 0.22, "jpeg": 0.22, "h264": 0.13,
    "motion": 0.12, "size": 0.08, "enlarged": 0.08,
}  # fmt: skip
"""What a frame is harmed by, and how often: coding and noise are the hardest to rank."""
KINDS_A_FRAME = 4
CODING = ("jpeg", "h264")


@dataclass(frozen=True)
class Left:
    """What is left of the face, and what of it blur and size, noise, and coding each left."""

    all: float
    softness: float = np.nan
    noise: float = np.nan
    coding: float = np.nan


@dataclass(frozen=True)
class Worn:
    """One picture of a frame's family: `level` counts up with the harm of a kind."""

    kind: str
    level: int
    rgb: Image
    points: Points
    left: Left


def family(portrait: Portrait, is_sharp: bool, rng: np.random.Generator) -> Iterator[Worn]:
    """A frame, then the same harmed in several ways and degrees."""
    truth = Truth(portrait.rgb, portrait.points)
    rgb, points, before = portrait.rgb, portrait.points, Left(1.0, 1.0, 1.0, 1.0)
    if not is_sharp:
        rgb, points, before = _frame(portrait, truth, rng)
    yield Worn("frame", 0, rgb, points, before)
    soft = before
    for kind, level, picture, places in _harmed(rgb, points, rng):
        left = truth.left(picture, places)
        if kind == "noise on soft":
            known = _after(soft, "noise", left)
        elif kind == "mixed":
            known = Left(left)
        else:
            known = _after(before, kind, left)
        if kind == "soft":
            soft = known
        yield Worn(kind, level, picture, places, known)


def noisy_family(portrait: Portrait, rng: np.random.Generator) -> Iterator[Worn]:
    """A frame, then the same with noise that was coded after: blotches that pass for detail."""
    truth = Truth(portrait.rgb, portrait.points)
    rgb, points, before = _frame(portrait, truth, rng)
    yield Worn("frame", 0, rgb, points, before)
    yield from _coded_noise("noise then coding", rgb, points, before, truth, rng)
    deviation = float(np.exp(rng.uniform(np.log(1), np.log(10))))
    soft = cv2.GaussianBlur(rgb, (0, 0), deviation * placement_of(points).size_px / 512)
    after = _after(before, "soft", truth.left(soft, points))
    yield Worn("soft", 0, soft, points, after)
    yield from _coded_noise("noise then coding on soft", soft, points, after, truth, rng)
    for _ in range(4):
        picture, places = _any_order(rgb, points, rng)
        yield Worn("mixed", 0, picture, places, Left(truth.left(picture, places)))


def coded_family(portrait: Portrait, rng: np.random.Generator) -> Iterator[Worn]:
    """A frame, then the same coded up to the worst that a codec can do, sharp and soft."""
    truth = Truth(portrait.rgb, portrait.points)
    rgb, points, before = _frame(portrait, truth, rng)
    yield Worn("frame", 0, rgb, points, before)
    yield from _coarser("jpeg", rgb, points, before, truth, rng)
    for level, crf in enumerate(_spread(30, 52, 4, rng), 1):
        coded, _ = harm.h264(rgb, points, int(crf), rng)
        yield Worn("h264", level, coded, points, _after(before, "h264", truth.left(coded, points)))
    yield from _coded_noise("noise then coding", rgb, points, before, truth, rng)
    deviation = float(np.exp(rng.uniform(np.log(1), np.log(10))))
    soft = cv2.GaussianBlur(rgb, (0, 0), deviation * placement_of(points).size_px / 512)
    after = _after(before, "soft", truth.left(soft, points))
    yield Worn("soft", 0, soft, points, after)
    yield from _coarser("jpeg on soft", soft, points, after, truth, rng)


def smeared_family(portrait: Portrait, rng: np.random.Generator) -> Iterator[Worn]:
    """A frame, then the same with noise that was smeared after: streaks that pass for hair."""
    truth = Truth(portrait.rgb, portrait.points)
    rgb, points, before = _frame(portrait, truth, rng)
    yield Worn("frame", 0, rgb, points, before)
    unit = placement_of(points).size_px / 512
    smears: dict[str, Callable[[Image], Image]] = {}
    length, deviation = max(1.5, rng.uniform(3, 30) * unit), max(0.3, rng.uniform(0.6, 6) * unit)
    smears["motion"] = lambda image: harm.motion(image, points, length, rng)[0]
    smears["blur"] = lambda image: harm.blur(image, points, deviation, rng)[0]
    for name, smear in smears.items():
        for level, share in enumerate(_spread(0, 1, 5, rng), 1):
            picture = smear(noise(rgb, 3 + 32 * share, rng))
            left = Left(truth.left(picture, points))
            yield Worn(f"noise then {name}", level, picture, points, left)
    for _ in range(5):
        coded, _ = harm.h264(rgb, points, int(rng.integers(30, 48)), rng)
        picture = smears["motion"](noise(coded, rng.uniform(8, 35), rng))
        yield Worn("mixed", 0, picture, points, Left(truth.left(picture, points)))


def _coarser(
    kind: str, rgb: Image, points: Points, before: Left, truth: Truth, rng: np.random.Generator
) -> Iterator[Worn]:
    """JPEG, as many steps among its coarsest qualities as among all others."""
    finest_first = reversed(_spread(np.log(4), np.log(95), 6, rng))
    for level, quality in enumerate(finest_first, 1):
        coded, _ = harm.jpeg(rgb, points, float(np.exp(quality)), rng)
        left = truth.left(coded, points)
        yield Worn(kind, level, coded, points, _after(before, "jpeg", left))


def _coded_noise(
    kind: str, rgb: Image, points: Points, before: Left, truth: Truth, rng: np.random.Generator
) -> Iterator[Worn]:
    """More and more noise, coded by one hand."""
    is_jpeg, strength = rng.random() < 0.35, rng.random()
    for level, share in enumerate(_spread(0, 1, 4, rng), 1):
        noisy = noise(rgb, 2 + 30 * share * share, rng)
        if is_jpeg:
            coded, _ = harm.jpeg(noisy, points, 92 - 75 * strength, rng)
        else:
            coded, _ = harm.h264(noisy, points, int(20 + 22 * strength), rng)
        after_noise, left = truth.left(noisy, points), truth.left(coded, points)
        taken = min(1.0, max(after_noise, left) / max(before.all, 0.01))
        coding = min(1.0, left / max(after_noise, 0.01))
        known = Left(left, before.softness, before.noise * taken, before.coding * coding)
        yield Worn(kind, level, coded, points, known)


def _any_order(rgb: Image, points: Points, rng: np.random.Generator) -> tuple[Image, Points]:
    """Two to four of all harms, in any order."""
    unit = placement_of(points).size_px / 512
    harms: tuple[Apply, ...] = (
        lambda a, b, _, r: harm.smaller(a, b, 512 * float(np.exp(r.uniform(-1.5, -0.1))), r),
        lambda a, b, _, r: harm.blur(a, b, max(0.3, r.uniform(0.4, 4) * unit), r),
        lambda a, b, _, r: (noise(a, r.uniform(2, 25), r), b),
        lambda a, b, _, r: (cv2.bilateralFilter(a, 5, r.uniform(10, 40), 2), b),
        lambda a, b, _, r: (_sharpened(a, r), b),
        lambda a, b, _, r: harm.jpeg(a, b, r.uniform(12, 92), r),
        lambda a, b, _, r: harm.h264(a, b, int(r.integers(20, 43)), r),
    )
    for number in rng.choice(len(harms), rng.integers(2, 5), replace=False):
        rgb, points = harms[number](rgb, points, 0.0, rng)
    return rgb, points


def frame_of(portrait: Portrait, rng: np.random.Generator) -> Portrait:
    """The portrait as a clip shows it, to be harmed further."""
    rgb, points, _ = _frame(portrait, Truth(portrait.rgb, portrait.points), rng)
    return Portrait(portrait.person, rgb, points)


def _after(before: Left, kind: str, left: float) -> Left:
    """What is left once one more harm has come: it takes from its own part."""
    share = min(1.0, left / max(before.all, 0.01))
    softness, noise, coding = before.softness, before.noise, before.coding
    if kind == "noise":
        noise *= share
    elif kind in CODING:
        coding *= share
    else:
        softness *= share
    return Left(left, softness, noise, coding)


def _frame(
    portrait: Portrait, truth: Truth, rng: np.random.Generator
) -> tuple[Image, Points, Left]:
    """The portrait as a clip shows it."""
    # The codec's grid lies anywhere on the face.
    down, across = rng.integers(0, 16, 2)
    rgb = np.ascontiguousarray(portrait.rgb[down:, across:])
    points = portrait.points - [across, down]
    side = float(np.exp(rng.uniform(np.log(130), np.log(560))))
    rgb, points = _resized(rgb, points, side / placement_of(points).size_px)
    if rng.random() < 0.65:
        rgb = cv2.GaussianBlur(rgb, (0, 0), max(0.2, rng.uniform(0, 3.0) * side / 512))
    after_softness = after_noise = truth.left(rgb, points)
    if rng.random() < 0.4:
        rgb = noise(rgb, rng.uniform(0.5, 7), rng)
        if rng.random() < 0.5:
            rgb = cv2.bilateralFilter(rgb, 5, rng.uniform(10, 30), 2)
        after_noise = truth.left(rgb, points)
    if rng.random() < 0.35:
        rgb = _sharpened(rgb, rng)
        after_noise = truth.left(rgb, points)
    for _ in range(1 + int(rng.random() < 0.25)):
        rgb = _coded(rgb, rng)
    left = after_coding = truth.left(rgb, points)
    if rng.random() < 0.5:
        rgb, points = _resized(rgb, points, 512 / side)
        left = truth.left(rgb, points)
    elif rng.random() < 0.2:
        rgb, points = _resized(rgb, points, rng.uniform(0.6, 1.6))
        left = truth.left(rgb, points)
    return rgb, points, Left(
        left,
        after_softness,
        min(1.0, after_noise / max(after_softness, 0.01)),
        min(1.0, after_coding / max(after_noise, 0.01)),
    )  # fmt: skip


def noise(rgb: Image, deviation: float, rng: np.random.Generator) -> Image:
    """Of each colour by itself, of light alone, or of light and a little coarser than a pixel."""
    if deviation <= 0:
        return rgb
    draw = rng.random()
    if draw < 0.5:
        added = rng.standard_normal(rgb.shape, dtype=np.float32)
    else:
        added = rng.standard_normal(rgb.shape[:2], dtype=np.float32)
        if draw > 0.8:
            added = cv2.GaussianBlur(added, (0, 0), rng.uniform(0.4, 0.8))
            added /= added.std()
        added = added[..., None]
    return np.clip(rgb + deviation * added + 0.5, 0, 255).astype(np.uint8)


def _sharpened(rgb: Image, rng: np.random.Generator) -> Image:
    amount = rng.uniform(0.3, 1.2)
    smooth = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.8, 1.8))
    return np.clip(rgb + amount * (rgb.astype(np.float32) - smooth) + 0.5, 0, 255).astype(np.uint8)


def _coded(rgb: Image, rng: np.random.Generator) -> Image:
    """The last of one to five frames that move along a straight line, as x264 codes them."""
    count = int(rng.integers(1, 6))
    step = rng.integers(-3, 4, 2)
    crf, preset = int(rng.integers(16, 33)), PRESETS[int(rng.integers(3))]
    height, width = (length - length % 2 for length in rgb.shape[:2])
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": preset, "threads": "1"}
        for k in range(count):
            shift = (k - count + 1) * step[::-1]
            moved = np.ascontiguousarray(np.roll(rgb[:height, :width], tuple(shift), (0, 1)))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    coded = rgb.copy()
    with av.open(file) as container:
        for frame in container.decode(video=0):
            coded[:height, :width] = frame.to_ndarray(format="rgb24")
    return coded


def _resized(rgb: Image, points: Points, scale: float) -> tuple[Image, Points]:
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(8, round(rgb.shape[1] * scale)), max(8, round(rgb.shape[0] * scale)))
    factor = np.array([size[0] / rgb.shape[1], size[1] / rgb.shape[0]])
    resized = np.asarray(cv2.resize(rgb, size, interpolation=how), np.uint8)
    return resized, (points + 0.5) * factor - 0.5


def _harmed(
    rgb: Image, points: Points, rng: np.random.Generator
) -> Iterator[tuple[str, int, Image, Points]]:
    """Kind, level, picture and points."""
    unit = placement_of(points).size_px / 512
    kinds = rng.choice(list(KINDS), KINDS_A_FRAME, replace=False, p=list(KINDS.values()))
    for kind in map(str, kinds):
        amounts, apply = _ladder(kind, unit, rng)
        for level, amount in enumerate(amounts, 1):
            yield kind, level, *apply(rgb, points, amount, rng)
    deviation = float(np.exp(rng.uniform(np.log(1), np.log(12)))) * unit
    soft = cv2.GaussianBlur(rgb, (0, 0), deviation)
    yield "soft", 0, soft, points
    for level, share in enumerate(_spread(0, 1, 3, rng), 1):
        yield "noise on soft", level, noise(soft, 2 + 32 * share * share, rng), points
    for _ in range(3):
        yield "mixed", 0, *harm.mixed(rgb, points, rng)


Apply = Callable[[Image, Points, float, np.random.Generator], tuple[Image, Points]]


def _ladder(kind: str, unit: float, rng: np.random.Generator) -> tuple[list[float], Apply]:
    """Amounts from least to most, one in each part of the range, and how they are done."""

    def logs(low: float, high: float) -> list[float]:
        return [float(np.exp(value)) for value in _spread(np.log(low), np.log(high), 4, rng)]

    def by_unit(least: float, apply: Apply) -> Apply:
        return lambda rgb, points, amount, rng: apply(rgb, points, max(least, amount * unit), rng)

    match kind:
        case "blur":
            return logs(0.7, 14), by_unit(0.3, harm.blur)
        case "motion":
            return logs(2.5, 34), by_unit(1.5, harm.motion)
        case "noise":
            amounts = [2 + 30 * share * share for share in _spread(0, 1, 5, rng)]
            return amounts, lambda rgb, points, amount, rng: (noise(rgb, amount, rng), points)
        case "jpeg":
            return [-amount for amount in _spread(-96, -5, 5, rng)], harm.jpeg
        case "h264":
            return [float(int(amount)) for amount in _spread(17, 48, 4, rng)], _h264
    amounts = [512 * share for share in reversed(logs(0.1 if kind == "size" else 0.09, 0.9))]
    return amounts, harm.HARMS[kind]


def _h264(
    rgb: Image, points: Points, amount: float, rng: np.random.Generator
) -> tuple[Image, Points]:
    return harm.h264(rgb, points, int(amount), rng)


def _spread(low: float, high: float, count: int, rng: np.random.Generator) -> list[float]:
    edges = np.linspace(low, high, count + 1)
    return [float(rng.uniform(a, b)) for a, b in pairwise(edges)]
