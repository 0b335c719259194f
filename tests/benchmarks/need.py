"""How much of a restoration a face needs, by how much of its detail is left.

    python -m tests.benchmarks.need ../shared/data [--write] [--people 20] [--model runs/x/bundle]

Portraits of the training split are degraded by known amounts (the published protocol, light to
severe, and video's own damage), shown in a frame at several sizes, measured as pass 1 measures
them, and restored: by turns with a photo of the person, with another one that is mildly damaged,
and with none. For every share of the restoration: what the outside judge and PSNR gain on the
input, and the curve that follows. Whenever the bundled restorer changes, give `--write`: it puts
the curve into `vidref/pipeline/need.json` (one to three minutes; a test fails until then).
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from scipy.optimize import isotonic_regression

from tests.benchmarks.known_faces import (
    CROP_PX,
    WHOLE_PX,
    Evidence,
    as_batch,
    as_bytes,
    inner,
    pairs,
)
from vidref.evaluation.judges import Judges
from vidref.evaluation.metrics import psnr
from vidref.faces.geometry import Placement, take_crop
from vidref.faces.quality import NETWORK as quality_network
from vidref.faces.quality import detail_left
from vidref.model.restorer import Face, PersonContext, Restorer, Sampling
from vidref.pipeline.need import Need, write_need
from vidref.pipeline.rebuild import as_picture, as_tensor
from vidref.settings import Settings
from vidref.training.degradation import MODERATE, SEVERE, WORN, degrade_batch, draw
from vidref.training.video_damage import damage_video

SIZES = (120, 180, 270, 400, 512)
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
KINDS = ("worn", "video", "moderate", "worn", "video", "severe")
PLACES = tuple(round(0.3 + 0.05 * k, 2) for k in range(12))
NEAR = 0.06
"""Deviation of the window of details that are taken together."""
INNER = (slice(82, 481), slice(56, 456))
SURE = 1.5
"""Standard errors that are taken off a mean gain before it is believed: a still does not know what
steadying in time gives a clip for nothing (at 1.0 two of eight clips lost likeness)."""
LEAST = 0.05
"""A smaller share is none at all, and what lacks less is all."""


@dataclass(frozen=True)
class Row:
    """One face: what was left of it, and what each share of its restoration gains."""

    kind: str
    size_px: int
    detail: float
    identity: float
    gains: np.ndarray
    """(shares, 2): identity to the truth and PSNR, above the input's."""


@dataclass(frozen=True)
class Poor:
    """A degraded face as pass 1 and pass 2 see it."""

    kind: str
    size_px: int
    detail: float
    crop: np.ndarray
    truth: np.ndarray
    known: PersonContext


def poor_faces(data: Path, people: int, evidence: Evidence) -> Iterator[Poor]:
    draws = torch.Generator().manual_seed(3)
    for number, (whole, other) in enumerate(pairs(data, people, seed=11)):
        picture = as_batch(whole)
        for turn, kind in enumerate(KINDS):
            if kind == "video":
                damaged = damage_video(picture, draws, draws, encode=True)
            else:
                ranges = {"worn": WORN, "moderate": MODERATE, "severe": SEVERE}[kind]
                damaged = degrade_batch(picture, draw(ranges, 1, CROP_PX, draws), draws)
            size = SIZES[(number + turn) % len(SIZES)]
            side = round(size * WHOLE_PX / CROP_PX)
            frame = cv2.resize(as_bytes(damaged), (side, side), interpolation=cv2.INTER_AREA)
            place = Placement(((side - 1) / 2, (side - 1) / 2), size, 0.0)
            left, crop = detail_left(frame, place), take_crop(frame, place)
            known = evidence.context(number + turn, other)
            yield Poor(kind, size, left, crop, inner(whole), known)


def measured(faces: Sequence[Poor], restorer: Restorer, judge: Any) -> Iterator[Row]:
    sampling = Sampling(steps=Settings.load().model.steps, grain=0.0)
    for first in range(0, len(faces), restorer.batch):
        group = faces[first : first + restorer.batch]
        given = [Face(as_tensor(face.crop), "somebody", face.known) for face in group]
        restored = [as_picture(tensor) * 255 for tensor in restorer.restore(given, sampling)]
        for face, picture in zip(group, restored, strict=True):
            true = judge.embed(face.truth)
            values = []
            for share in SHARES:
                mixed = face.crop + np.float32(share) * (picture - face.crop)
                mixed = np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)
                alike = float(judge.embed(mixed) @ true)
                values.append((alike, psnr(mixed[INNER], face.truth[INNER])))
            table = np.array(values)
            gains = table - table[0]
            yield Row(face.kind, face.size_px, face.detail, float(table[0, 0]), gains)


def near(rows: Sequence[Row], detail: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Means of the gains around a detail, their standard errors, and how many faces speak."""
    details = np.array([row.detail for row in rows])
    weight = np.exp(-(((details - detail) / NEAR) ** 2) / 2)
    gains = np.stack([row.gains for row in rows])
    count = weight.sum() ** 2 / max((weight**2).sum(), 1e-9)
    mean = np.tensordot(weight, gains, 1) / weight.sum()
    spread = np.tensordot(weight, (gains - mean) ** 2, 1) / weight.sum()
    return mean, np.sqrt(spread / max(count, 1)), float(count)


def best_share(rows: Sequence[Row], detail: float) -> float:
    """The share that surely gains most likeness, of those that cost no PSNR."""
    mean, error, _ = near(rows, detail)
    fine = np.linspace(0, 1, 41)
    sure = mean[:, 0] - SURE * error[:, 0]
    # Gains are smooth in the share: a parabola through none, held by all that was measured.
    powers = np.array(SHARES)[:, None] ** np.array([1, 2])
    alike = fine[:, None] ** np.array([1, 2]) @ np.linalg.lstsq(powers, sure)[0]
    clear = fine[:, None] ** np.array([1, 2]) @ np.linalg.lstsq(powers, mean[:, 1])[0]
    alike[clear < 0] = -np.inf
    return float(fine[np.argmax(alike)])


def curve(rows: Sequence[Row]) -> list[tuple[float, float]]:
    """(detail, share), never rising: the better a face, the less it needs."""
    shares = [best_share(rows, detail) for detail in PLACES]
    falling = isotonic_regression(shares, increasing=False).x
    falling = np.where(falling < LEAST, 0, np.where(falling > 1 - LEAST, 1, falling))
    return [(detail, round(float(share), 3)) for detail, share in zip(PLACES, falling, strict=True)]


def table(rows: Sequence[Row], need: Sequence[tuple[float, float]]) -> str:
    lines = [
        "| detail | faces | input's identity | gained, all shown | gained by need | PSNR gained, "
        "all shown | PSNR gained by need |",
        "|---|---|---|---|---|---|---|",
    ]
    edges = (0.0, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 1.0)
    for low, high in [*pairwise(edges), (0.0, 1.0)]:
        mine = [row for row in rows if low <= row.detail < high]
        if not mine:
            continue
        shown = [np.interp(row.detail, *zip(*need, strict=True)) for row in mine]
        by_need = [
            [np.interp(share, SHARES, row.gains[:, k]) for k in (0, 1)]
            for row, share in zip(mine, shown, strict=True)
        ]
        whole = np.mean([row.gains[-1] for row in mine], 0)
        part = np.mean(by_need, 0)
        alike = np.mean([row.identity for row in mine])
        lines.append(
            f"| {low:g} to {high:g} | {len(mine)} | {alike:.3f} | {whole[0]:+.4f} | {part[0]:+.4f} "
            f"| {whole[1]:+.3f} | {part[1]:+.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--write", action="store_true", help="Make it the one in force.")
    wanted = parser.parse_args()
    restorer = Restorer.load(wanted.model)
    judge = Judges.find(wanted.data / "teachers").identity
    evidence = Evidence(restorer, torch.Generator().manual_seed(5))
    faces = list(poor_faces(wanted.data, wanted.people, evidence))
    rows = list(measured(faces, restorer, judge))
    need = curve(rows)
    half = len(rows) // 2
    halves = curve(rows[:half]), curve(rows[half:])
    print(f"{len(rows)} faces of {wanted.people} people, restorer {restorer.sha256[:12]}\n")
    print(table(rows, need))
    print("\nEach half of the people by the other half's curve:\n")
    print(table(rows[half:], halves[0]) + "\n")
    print(table(rows[:half], halves[1]))
    print("\nThe curve: " + ", ".join(f"{detail:g}: {share:g}" for detail, share in need))
    if wanted.write:
        quality = hashlib.sha256(quality_network.read_bytes()).hexdigest()
        write_need(Need(restorer.sha256, quality, *map(tuple, zip(*need, strict=True))))


if __name__ == "__main__":
    main()
