"""Does the expected error of `--uncertainty` predict the true one?

    python -m tests.benchmarks.support ../shared/data [--people 12] [--fit]

The three numbers of `vidref/pipeline/support.py` are fitted on degraded portraits of the training
split (`--fit` prints them anew: do that when the bundled restorer changes); the table is of the 25
people of faces-dev, whose faces neither the restorer nor the fit has seen. Faces are restored with
references and without, as in use.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from tests.benchmarks.known_faces import CROP_PX, Evidence, inner, pairs
from vidref.evaluation.face_cases import read_cases, read_picture
from vidref.evaluation.faces import to_tensor
from vidref.model.restorer import Face, PersonContext, Restorer, Sampling
from vidref.pipeline import support
from vidref.pipeline.rebuild import as_picture
from vidref.settings import Settings
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


@dataclass(frozen=True)
class Case:
    """A degraded face, its truth, and what the restorer is told of the person."""

    kind: str
    truth: np.ndarray
    degraded: np.ndarray
    known: PersonContext


def measured(restorer: Restorer, case: Case) -> Row:
    given = support.variations(to_tensor(case.degraded, restorer.crop_px))
    faces = [Face(tensor, f"p{number}", case.known) for number, tensor in enumerate(given)]
    restored = restorer.restore(faces, Sampling(steps=Settings.load().model.steps, grain=0.0))
    base, *others = support.undone([as_picture(tensor) * 255 for tensor in restored])
    error = support.by_block(np.abs(base.clip(0, 255) - case.truth).mean(2))
    return Row(case.kind, support.detail(base), support.difference(base, others), error)


def dev_faces(data: Path, restorer: Restorer) -> Iterator[Case]:
    """The 25 people, each with the first reference, and with none."""
    told = Evidence(restorer, torch.Generator().manual_seed(7))
    for number, case in enumerate(read_cases(data / "faces-dev")):
        truth, known = read_picture(case.truth), told.of(read_picture(case.references[0]))
        for kind, turn in zip(KINDS, (number, number + 1), strict=True):
            context = known if turn % 2 else restorer.remember([])
            yield Case(kind, truth, read_picture(case.degraded[kind]), context)


def train_faces(data: Path, people: int, restorer: Restorer) -> Iterator[Case]:
    """Sharp, whole portraits of the training split, degraded by the protocol."""
    rng, draws = np.random.default_rng(7), torch.Generator().manual_seed(7)
    told = Evidence(restorer, torch.Generator().manual_seed(7))
    for number, (whole, other) in enumerate(pairs(data, people, seed=7)):
        truth = inner(whole)
        for turn, kind in enumerate(KINDS):
            damage = draw(NAMED[kind], 1, CROP_PX, draws)
            degraded = degrade_image(truth[..., ::-1].copy(), damage, rng)[..., ::-1].copy()
            yield Case(kind, truth, degraded, told.context(number + turn, other))


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
    parser.add_argument("--model", default="bundled")
    wanted = parser.parse_args()
    restorer = Restorer.load(wanted.model)
    if wanted.fit:
        faces = train_faces(wanted.data, wanted.people, restorer)
        train = [measured(restorer, case) for case in faces]
        numbers = fit(train).round(3)
        print("fitted (intercept, of detail, of difference):", numbers, flush=True)
        print("\ntraining split, with the numbers in force\n")
        print(table(train))
    dev = [measured(restorer, case) for case in dev_faces(wanted.data, restorer)]
    print(f"\nfaces-dev, restorer {restorer.sha256[:12]}\n")
    print(table(dev))


if __name__ == "__main__":
    main()
