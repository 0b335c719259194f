"""Does the quality of a view follow what is really left of the face?

    python -m tests.benchmarks.quality fit      split train -> vidref/faces/sharpness.npz
    python -m tests.benchmarks.quality          split dev and clips/clean -> a table

Every picture is harmed by known amounts (`tests/benchmarks/harm.py`). Rank correlation is taken of
the score with the level of harm and with the fidelity that is left, over all people of a kind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tests.benchmarks.harm import LEVELS, Portrait, blur, every_harm, noise, portraits
from vidref.faces.detail import describe
from vidref.faces.geometry import placement_of
from vidref.faces.pack import load_pack
from vidref.faces.quality import NETWORK, measure

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
RESULT = Path(__file__).with_name("results") / "quality.md"
PEOPLE_TO_FIT = 100
HIDDEN = 16
CLIPS = ("S001193", "talk-a", "talk-b", "talk-d", "talk-e")


def fit() -> None:
    """Fits the network that turns `detail.describe` into sharpness, from split train alone."""
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(1)
    numbers, left, pairs = [], [], []
    for portrait in portraits(DATA, "train", PEOPLE_TO_FIT, seed=1):
        before = None
        for harmed in every_harm(portrait, rng):
            numbers.append(describe(harmed.rgb, placement_of(harmed.points)))
            left.append(harmed.fidelity)
            if before is not None and harmed.kind == before.kind != "mixed":
                pairs.append((len(left) - 2, len(left) - 1))
            before = harmed
    x = np.stack(numbers)
    mean, spread = x.mean(0), x.std(0) + 1e-3
    inputs = torch.tensor((x - mean) / spread)
    wanted = torch.logit(torch.tensor(left, dtype=torch.float32).clamp(0.02, 0.99))[:, None]
    better, worse = torch.tensor(pairs).T
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(x.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 1)
    )
    steps = 1500
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        value = network(inputs + 0.05 * torch.randn_like(inputs))
        loss = ((value - wanted) ** 2).mean()
        loss = loss + torch.relu(0.3 - (value[better] - value[worse])).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    first, last = network[0], network[2]
    np.savez(
        NETWORK,
        mean=mean,
        spread=spread,
        w1=first.weight.detach().numpy().T,
        b1=first.bias.detach().numpy(),
        w2=last.weight.detach().numpy().T,
        b2=last.bias.detach().numpy(),
    )
    print(f"{len(x)} pictures of {PEOPLE_TO_FIT} people, loss {loss.item():.3f}: {NETWORK}")


def frames_of_clips() -> Iterator[Portrait]:
    """A frame of each sharp clip."""
    pack = load_pack(threads=1)
    for name in CLIPS:
        with av.open(str(DATA / "clips" / "clean" / f"{name}.mp4")) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index < 20:
                    continue
                rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                found = pack.detect(rgb)
                if found:
                    largest = max(found, key=lambda face: float(np.ptp(face.box_xyxy[::2])))
                    yield to_512(name, rgb, largest.landmarks_xy.astype(np.float64))
                    break


def to_512(name: str, rgb: NDArray[np.uint8], points: NDArray[np.float64]) -> Portrait:
    """Brought to a face square of 512 px, so that the levels mean the same for all."""
    scale = 512 / placement_of(points).size_px
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    larger = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=how)
    return Portrait(name, larger, (points + 0.5) * scale - 0.5)


@dataclass(frozen=True)
class Row:
    """One harmed picture, and what was measured of it."""

    person: str
    kind: str
    level: int
    fidelity: float
    score: float
    sharpness: float


def table() -> str:
    rng = np.random.default_rng(3)
    lines = []
    for title, people in (
        ("Portraits of split dev", list(portraits(DATA, "dev", 20, seed=2))),
        ("Frames of clips/clean, compressed before they were harmed", list(frames_of_clips())),
    ):
        rows = [row for portrait in people for row in measured(portrait, rng)]
        lines += [f"## {title}: {len(people)} people, {len(rows)} pictures", ""]
        lines += [
            "| harm | score and level | the worst person | sharpness and level "
            "| score and fidelity left |",
            "|---|---|---|---|---|",
            *(_line(kind, [row for row in rows if row.kind == kind]) for kind in LEVELS),
            _line("mixed", [row for row in rows if row.kind == "mixed"]),
            _line("all together", rows),
            "",
            noise_line(people, rng),
            "",
        ]
    return "\n".join(lines)


def measured(portrait: Portrait, rng: np.random.Generator) -> Iterator[Row]:
    for harmed in every_harm(portrait, rng):
        quality = measure(harmed.rgb, harmed.points)
        yield Row(
            portrait.person,
            harmed.kind,
            harmed.level,
            harmed.fidelity,
            quality.score,
            quality.sharpness,
        )


def _line(kind: str, rows: list[Row]) -> str:
    left = rank([row.score for row in rows], [row.fidelity for row in rows])
    if kind not in LEVELS:
        return f"| {kind} | | | | {left:.3f} |"
    levels = [-row.level for row in rows]
    alone = min(
        rank(
            [row.score for row in rows if row.person == name],
            [-row.level for row in rows if row.person == name],
        )
        for name in {row.person for row in rows}
    )
    score = rank([row.score for row in rows], levels)
    sharp = rank([row.sharpness for row in rows], levels)
    return f"| {kind} | {score:.3f} | {alone:.3f} | {sharp:.3f} | {left:.3f} |"


def rank(one: list[float], other: list[float]) -> float:
    return float(spearmanr(one, other).statistic)


def noise_line(people: list[Portrait], rng: np.random.Generator) -> str:
    """Neither its own noiseless self nor anything sharper may be outranked by a noisy picture."""
    gained, outranked, compared = 0, 0, 0
    for portrait in people:
        sharper: list[float] = []
        for amount in (0, 1.5, 3, 6, 12):
            soft = blur(portrait.rgb, portrait.points, amount, rng)[0]
            clean = measure(soft, portrait.points).score
            for deviation in (5, 10, 20, 40):
                noisy = noise(soft, portrait.points, deviation, rng)[0]
                score = measure(noisy, portrait.points).score
                gained += score > clean
                outranked += sum(score > other for other in sharper)
                compared += len(sharper)
            sharper.append(clean)
    return (
        f"Noise (deviation 5 to 40) on five degrees of blur: it outranked a sharper picture in "
        f"{outranked} of {compared} comparisons, and its own noiseless self in {gained} of "
        f"{20 * len(people)}."
    )


if __name__ == "__main__":
    cv2.setNumThreads(1)
    if sys.argv[1:] == ["fit"]:
        fit()
    else:
        print(table())
