"""Does the expected error of `--uncertainty` predict the true one?

    python -m tests.benchmarks.support ../shared/data [--people 12] [--fit]

The three numbers of `vidref/pipeline/support.py` are fitted on degraded portraits of the training
split (`--fit` prints them anew: do that when the bundled restorer changes); the table is of the 25
people of faces-dev, whose faces neither the restorer nor the fit has seen.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.stats import spearmanr

from vidref.evaluation.face_cases import read_cases, read_picture
from vidref.evaluation.faces import to_tensor
from vidref.model.restorer import Face, PersonContext, Restorer, Sampling
from vidref.pipeline import support
from vidref.pipeline.rebuild import as_picture
from vidref.training.degradation import NAMED, degrade_image, draw

KINDS = ("moderate", "severe")


@dataclass(frozen=True)
class Row:
    """One degraded face: what was measured without the truth, and with it."""

    kind: str
    detail: np.ndarray
    difference: float
    error: np.ndarray

    @property
    def expected(self) -> np.ndarray:
        return support.expected_error(self.detail, self.difference)


def measured(restorer: Restorer, truth: np.ndarray, degraded: np.ndarray, kind: str) -> Row:
    nothing: PersonContext = restorer.remember([])
    given = support.variations(to_tensor(degraded, restorer.crop_px))
    faces = [Face(tensor, f"p{number}", nothing) for number, tensor in enumerate(given)]
    restored = restorer.restore(faces, Sampling(steps=1))
    base, *others = support.undone([as_picture(tensor) * 255 for tensor in restored])
    error = support.by_block(np.abs(base.clip(0, 255) - truth).mean(2))
    return Row(kind, support.detail(base), support.difference(base, others), error)


def dev_faces(data: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for case in read_cases(data / "faces-dev"):
        truth = read_picture(case.truth)
        for kind in KINDS:
            yield kind, truth, read_picture(case.degraded[kind])


def train_faces(data: Path, people: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Sharp, whole portraits of the training split, degraded by the protocol."""
    with (data / "faces.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    rows = [r for r in rows if float(r["inner_real"]) == 1 and int(r["native_px"]) >= 440]
    rng, generator = np.random.default_rng(7), torch.Generator().manual_seed(7)
    for number in rng.permutation(len(rows))[:people]:
        row = rows[number]
        with zipfile.ZipFile(data / row["shard"]) as shard:
            image = Image.open(io.BytesIO(shard.read(row["file"]))).convert("RGB")
        whole = np.asarray(image.resize((614, 614), Image.Resampling.BICUBIC))
        truth = np.ascontiguousarray(whole[51:563, 51:563])
        for kind in KINDS:
            damage = draw(NAMED[kind], 1, 512, generator)
            degraded = degrade_image(truth[..., ::-1].copy(), damage, rng)
            yield kind, truth, degraded[..., ::-1].copy()


def fit(rows: list[Row]) -> np.ndarray:
    """(intercept, of detail, of difference) of the logarithms, by least squares."""
    columns, wanted = [], []
    for row in rows:
        detail = np.log(row.detail + support.FLOOR).ravel()
        whole = np.full(detail.size, np.log(row.difference + support.FLOOR))
        columns.append(np.stack([np.ones(detail.size), detail, whole], 1))
        wanted.append(np.log(row.error + support.FLOOR).ravel())
    return np.linalg.lstsq(np.concatenate(columns), np.concatenate(wanted), rcond=None)[0]


def table(rows: list[Row]) -> str:
    lines = [
        "| input | faces | rho per face | rho all blocks | rho inside the face | rho detail alone "
        "| mean error | expected | truly below 10 | told supported | off by | rho of the figure |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in (*KINDS, "both"):
        mine = [row for row in rows if kind in (row.kind, "both")]
        inside = support.face_blocks()
        pairs = [(row.expected.ravel(), row.error.ravel()) for row in mine]
        per_face = np.mean([spearmanr(*pair)[0] for pair in pairs])
        blocks = spearmanr(*(np.concatenate(part) for part in zip(*pairs, strict=True)))[0]
        face = np.mean([spearmanr(row.expected[inside], row.error[inside])[0] for row in mine])
        plain = [(row.detail.ravel(), row.error.ravel()) for row in mine]
        alone = spearmanr(*(np.concatenate(part) for part in zip(*plain, strict=True)))[0]
        told = np.array([support.supported_share(row.expected) for row in mine])
        true = np.array([(row.error[inside] < support.VISIBLE).mean() for row in mine])
        figures = [
            per_face,
            blocks,
            face,
            alone,
            np.mean([row.error.mean() for row in mine]),
            np.mean([row.expected.mean() for row in mine]),
            true.mean(),
            told.mean(),
            np.abs(told - true).mean(),
            spearmanr(told, true)[0],
        ]
        lines.append(f"| {kind} | {len(mine)} | " + " | ".join(f"{f:.2f}" for f in figures) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--fit", action="store_true")
    wanted = parser.parse_args()
    restorer = Restorer.load()
    if wanted.fit:
        faces = train_faces(wanted.data, wanted.people)
        train = [measured(restorer, truth, bad, kind) for kind, truth, bad in faces]
        print("fitted (intercept, of detail, of difference):", fit(train).round(3))
        print("\ntraining split, with the numbers in force\n")
        print(table(train))
    dev = [measured(restorer, truth, bad, kind) for kind, truth, bad in dev_faces(wanted.data)]
    print(f"\nfaces-dev, restorer {restorer.sha256[:12]}\n")
    print(table(dev))


if __name__ == "__main__":
    main()
