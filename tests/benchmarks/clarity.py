"""How much of each band of detail a restorer leaves out: what `clarity` in its file is for.

    python -m tests.benchmarks.clarity ../shared/data [--model runs/x/bundle]
    python -m tests.benchmarks.clarity ../shared/data --model runs/x/bundle --write OUT 0.4 0.3 0.1

Portraits of the training split, degraded as the protocols and coded clips do, are restored without
clarity. Least squares say what share of each band, added, brings them nearest to the truth, each
face counting the same and a little held back; that and even shares are then tried the whole way:
identity by the outside judge, PSNR and HaarPSI. `--write` makes a bundle of the same weights with
the shares that were chosen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from tests.benchmarks.known_faces import CROP_PX, Evidence, as_batch, as_bytes, inner, pairs
from vidref.evaluation import metrics
from vidref.evaluation.faces import to_picture
from vidref.evaluation.judges import Judge
from vidref.evaluation.tables import Row, markdown
from vidref.model.bundle import load_network, save_bundle
from vidref.model.clarity import bands
from vidref.model.config import BANDS_PX
from vidref.model.found import CARD, find_bundle
from vidref.model.restorer import Face, Restorer, Sampling
from vidref.model.separable import resized
from vidref.pipeline.rebuild import as_tensor
from vidref.training.degradation import MODERATE, SEVERE, degrade_batch, draw
from vidref.training.moving_damage import film_batch

KINDS = ("moderate", "filmed", "moderate", "severe")
INNER = (..., slice(41, 241), slice(28, 228))
"""The face in its square of 256 pixels."""
EVEN = (0.1, 0.2, 0.3, 0.4)
HELD_BACK = 0.05
"""Share of the bands' mean power by which least squares are held back."""


@dataclass(frozen=True)
class Case:
    """A degraded face and its truth."""

    kind: str
    face: Face
    truth: np.ndarray


def cases(data: Path, people: int, evidence: Evidence) -> Iterator[Case]:
    draws = torch.Generator().manual_seed(8)
    for number, (whole, other) in enumerate(pairs(data, people, seed=21)):
        truth = inner(whole)
        for turn, kind in enumerate(KINDS):
            if kind == "filmed":
                poor = film_batch(as_batch(truth), draws, draws)
            else:
                damage = draw(MODERATE if kind == "moderate" else SEVERE, 1, CROP_PX, draws)
                poor = degrade_batch(as_batch(truth), damage, draws)
            known = evidence.context(number + turn, other)
            yield Case(kind, Face(as_tensor(as_bytes(poor)), "somebody", known), truth)


def restored(restorer: Restorer, faces: Sequence[Case], shares: Sequence[float]) -> torch.Tensor:
    restorer.config = restorer.config.model_copy(update={"clarity": tuple(shares)})
    return restorer.restore([case.face for case in faces], Sampling(steps=1, grain=0.0))


def least_squares(made: torch.Tensor, faces: Sequence[Case]) -> list[float]:
    """The shares that bring the faces nearest to the truth."""
    count = len(BANDS_PX)
    products, wanted = np.zeros((count, count)), np.zeros(count)
    for picture, case in zip(made, faces, strict=True):
        truth = as_tensor(case.truth)[None]
        small = resized(picture[None], 256)
        missing = (resized(truth, 256) - small)[INNER].flatten().double()
        parts = torch.stack([band[INNER].flatten() for band in bands(small)]).double()
        products += (parts @ parts.T / missing.square().sum()).numpy()
        wanted += (parts @ missing / missing.square().sum()).numpy()
    products += HELD_BACK * np.trace(products) / count * np.eye(count)
    return [round(float(share), 2) for share in np.linalg.solve(products, wanted)]


def measured(made: torch.Tensor, faces: Sequence[Case], judge: Judge) -> Iterator[Row]:
    """One row a kind of damage."""
    for kind in dict.fromkeys(KINDS):
        found = []
        for picture, case in zip(made, faces, strict=True):
            if case.kind == kind:
                face = to_picture(picture)
                alike = float(judge.embed(face) @ judge.embed(case.truth))
                sharp = metrics.psnr(face, case.truth), metrics.haarpsi(face, case.truth)
                found.append((alike, *sharp))
        identity, psnr, haarpsi = np.mean(found, 0)
        yield {"damage": kind, "identity": identity, "psnr": psnr, "haarpsi": haarpsi}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--write", nargs=1 + len(BANDS_PX), metavar=("OUT", *["SHARE"] * 3))
    wanted = parser.parse_args()
    if wanted.write:
        network, card = load_network(wanted.model), find_bundle(wanted.model) / CARD
        shares = {"clarity": tuple(map(float, wanted.write[1:]))}
        config = network.config.model_copy(update=shares)
        folder, weights = Path(wanted.write[0]), network.own_weights()
        save_bundle(folder, config, weights, card.read_text(encoding="utf-8"))
        return
    restorer = Restorer.load(wanted.model)
    judge = Judge.load(wanted.data / "teachers")
    evidence = Evidence(restorer, torch.Generator().manual_seed(5))
    faces = list(cases(wanted.data, wanted.people, evidence))
    plain = restored(restorer, faces, ())
    best = least_squares(plain, faces)
    rows: list[Row] = [{"added": "nothing", **row} for row in measured(plain, faces, judge)]
    for shares in [best, *([even] * len(BANDS_PX) for even in EVEN)]:
        made = restored(restorer, faces, shares)
        named = {"added": " ".join(f"{share:g}" for share in shares)}
        rows += [{**named, **row} for row in measured(made, faces, judge)]
    print(
        f"{len(faces)} faces of {wanted.people} people, restorer {restorer.sha256[:12]}; ", end=""
    )
    print(f"least squares: {best}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
