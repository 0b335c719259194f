"""Does the quality of a view follow what is really left of the face?

    python -m tests.benchmarks.quality fit      split train -> vidref/faces/sharpness.npz
    python -m tests.benchmarks.quality          split dev and clips/clean -> a table

Every picture is harmed by known amounts (`tests/benchmarks/harm.py`). Rank correlation is taken of
the score with the level of harm and with the fidelity that is left, over all people of a kind.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
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


def held_out() -> Iterator[Portrait]:
    """People nothing was fitted to: portraits of split dev, and a frame of each sharp clip."""
    yield from portraits(DATA, "dev", 20, seed=2)
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


def table() -> str:
    rng = np.random.default_rng(3)
    rows: list[tuple[str, str, int, float, float]] = []
    outranked, compared = 0, 0
    spent = []
    people = list(held_out())
    for portrait in people:
        for harmed in every_harm(portrait, rng):
            started = time.perf_counter()
            score = measure(harmed.rgb, harmed.points).score
            spent.append(time.perf_counter() - started)
            rows.append((portrait.person, harmed.kind, harmed.level, harmed.fidelity, score))
        clean = []
        for amount in (0, 1.5, 3, 6, 12):
            soft = blur(portrait.rgb, portrait.points, amount, rng)[0]
            clean.append(measure(soft, portrait.points).score)
            for deviation in (5, 10, 20, 40):
                noisy = noise(soft, portrait.points, deviation, rng)[0]
                score = measure(noisy, portrait.points).score
                # Neither its own noiseless self nor anything sharper may be outranked.
                outranked += sum(score > other for other in clean)
                compared += len(clean)
    kinds = np.array([row[1] for row in rows])
    levels = np.array([row[2] for row in rows])
    left, scores = (np.array([row[k] for row in rows]) for k in (3, 4))
    who = np.array([row[0] for row in rows])
    lines = [
        "| harm | with the level, all people | the worst person | with the fidelity left |",
        "|---|---|---|---|",
    ]
    for kind in LEVELS:
        mine = kinds == kind
        alone = min(
            spearmanr(scores[mine & (who == name)], -levels[mine & (who == name)]).statistic
            for name in set(who)
        )
        lines.append(
            f"| {kind} | {spearmanr(scores[mine], -levels[mine]).statistic:.3f} | {alone:.3f} "
            f"| {spearmanr(scores[mine], left[mine]).statistic:.3f} |"
        )
    drawn = kinds == "mixed"
    lines.append(f"| mixed | | | {spearmanr(scores[drawn], left[drawn]).statistic:.3f} |")
    lines.append(f"| all together | | | {spearmanr(scores, left).statistic:.3f} |")
    lines += [
        "",
        f"{len(rows)} pictures of {len(people)} people. A noisy picture outranked its noiseless "
        f"self or a sharper one in {outranked} of {compared} comparisons. One measure took "
        f"{np.median(spent) * 1000:.1f} ms (median, {cv2.getNumThreads()} thread).",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    if sys.argv[1:] == ["fit"]:
        fit()
    else:
        print(table())
