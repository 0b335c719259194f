"""Fits the part of the quality score that is learned, from split train alone.

    python -m tests.benchmarks.quality_fit [--people 120] [--numbers FILE]

makes vidref/faces/sharpness.npz. People become frames of clips and these are harmed by known
amounts (`worn.py`); three small networks learn from `detail.describe` what softness, noise and
coding have left, and their mean is kept as one. Every fifth person is held out and ranked at the
end. `--numbers` keeps what was measured (it takes some ten minutes of one core) for a second fit.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tests.benchmarks.harm import Portrait, portraits
from tests.benchmarks.quality import DATA
from tests.benchmarks.worn import Worn, coded_family, family, noisy_family, smeared_family
from vidref.faces.detail import describe
from vidref.faces.geometry import placement_of
from vidref.faces.quality import NETWORK, fitted_parts
from vidref.faces.regions import region_of

NETWORKS = 3
HIDDEN = 32
STEPS = 2700
FAMILIES_A_STEP = 40
PAIRS_A_FAMILY = 30
JITTER = 0.1
"""Noise on the numbers, in their own spread, so that no single one is trusted."""
IN_ORDER, ACROSS, PARTS = 6.0, 2.0, 0.9
"""Weights of: more of a kind is worse; less left is worse, whatever did it; each part's share."""
CLEARLY = 0.03
"""A difference in what is left that any two pictures of a family must be ranked by."""
UNRANKED = ("frame", "soft", "mixed")


@dataclass(frozen=True)
class Data:
    """One row a picture; pictures of a family share its number."""

    person: NDArray[np.str_]
    family: NDArray[np.int64]
    kind: NDArray[np.str_]
    level: NDArray[np.int64]
    left: NDArray[np.float32]
    """All that is left, and what softness, noise and coding each left of it (n, 4)."""
    numbers: NDArray[np.float32]


def turns(people: int) -> Iterator[tuple[Portrait, Iterator[Worn]]]:
    """Two families a person, every second person's first beginning with the portrait itself; then
    one of coded noise for half of all, of coarse coding for a third, of smeared noise for the rest.
    """
    faces = list(portraits(DATA, "train", people, seed=1))
    rng = np.random.default_rng(100)
    for turn in range(2):
        for index, portrait in enumerate(faces):
            yield portrait, family(portrait, turn == 0 and index % 2 == 0, rng)
    rng = np.random.default_rng(200)
    for portrait in faces[: people // 2]:
        yield portrait, noisy_family(portrait, rng)
    rng = np.random.default_rng(300)
    for portrait in faces[people // 2 : people * 5 // 6]:
        yield portrait, coded_family(portrait, rng)
    rng = np.random.default_rng(400)
    for portrait in faces[people * 5 // 6 :]:
        yield portrait, smeared_family(portrait, rng)


def make(people: int) -> Data:
    """Families of pictures of the first people of split train."""
    rows: list[tuple[Any, ...]] = []
    for number, (portrait, pictures) in enumerate(turns(people)):
        for worn in pictures:
            left = worn.left
            rows.append(
                (
                    portrait.person,
                    number,
                    worn.kind,
                    worn.level,
                    (left.all, left.softness, left.noise, left.coding),
                    describe(region_of(worn.rgb, placement_of(worn.points))),
                )
            )
        if number % 20 == 19:
            print(f"{len(rows)} pictures", flush=True)
    person, families, kind, level, left_of, numbers = zip(*rows, strict=True)
    return Data(
        np.array(person), np.array(families), np.array(kind), np.array(level),
        np.array(left_of, np.float32), np.stack(numbers),
    )  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Its rows, and pairs (better, worse) as places among them."""

    rows: NDArray[np.int64]
    in_order: NDArray[np.int64]
    across: NDArray[np.int64]


def families(data: Data, chosen: NDArray[np.bool_]) -> list[Family]:
    return [
        _family(data, np.flatnonzero(data.family == number))
        for number in np.unique(data.family[chosen])
    ]


def ladders(data: Data, rows: NDArray[np.int64]) -> Iterator[tuple[str, list[int]]]:
    """Each kind of harm of a family, from none to most, as places among its rows."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        kinds[str(data.kind[row])].append(place)
    for kind, places in kinds.items():
        if kind not in UNRANKED:
            start = kinds["soft" if kind.endswith("on soft") else "frame"][0]
            yield kind, [start, *sorted(places, key=lambda place: data.level[rows[place]])]


def _family(data: Data, rows: NDArray[np.int64]) -> Family:
    in_order = [
        (better, worse)
        for _, ladder in ladders(data, rows)
        for k, better in enumerate(ladder)
        for worse in ladder[k + 1 :]
    ]
    left = data.left[rows, 0]
    across = np.argwhere(left[:, None] > left + CLEARLY)
    return Family(rows, np.array(in_order), across)


def fit(data: Data, chosen: NDArray[np.bool_], seed: int) -> dict[str, NDArray[np.float32]]:
    """One network, as arrays."""
    import torch
    from torch.nn.functional import logsigmoid

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    mean = data.numbers[chosen].mean(0)
    spread = data.numbers[chosen].std(0) + 1e-3
    inputs = torch.tensor((data.numbers - mean) / spread)
    left = torch.tensor(data.left)
    wanted = torch.logit(left[:, 0].clamp(0.02, 0.985))
    everyone = families(data, chosen)
    network = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], HIDDEN), torch.nn.Tanh(), torch.nn.Linear(HIDDEN, 3)
    )
    first, last = network[0], network[2]
    last.bias.data[:] = 1.5
    optimiser = torch.optim.AdamW(network.parameters(), lr=5e-3, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        drawn = [everyone[k] for k in rng.integers(0, len(everyone), FAMILIES_A_STEP)]
        rows = torch.tensor(np.concatenate([each.rows for each in drawn]))
        parts = logsigmoid(network(inputs[rows] + JITTER * torch.randn(len(rows), inputs.shape[1])))
        whole = parts.sum(1)
        value = whole - torch.log(-torch.expm1(whole.clamp(max=-1e-4)))
        loss = ((value.clamp(-4, 4.2) - wanted[rows]) ** 2).mean()
        known = torch.isfinite(left[rows, 1])
        shares = torch.log(left[rows][known][:, 1:].clamp(0.05, 0.999))
        loss = loss + PARTS * ((parts[known] - shares) ** 2).mean()
        for name, weight in (("in_order", IN_ORDER), ("across", ACROSS)):
            better, worse = torch.tensor(_pairs(drawn, name, rng)).T
            gap = (wanted[rows][better] - wanted[rows][worse]).clamp(min=0)
            margin = (0.05 + 0.6 * gap).clamp(max=0.5)
            loss = loss + weight * torch.relu(margin - (value[better] - value[worse])).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return {
        "mean": mean,
        "spread": spread,
        "w1": first.weight.detach().numpy().T,
        "b1": first.bias.detach().numpy(),
        "w2": last.weight.detach().numpy().T,
        "b2": last.bias.detach().numpy(),
    }


def _pairs(drawn: list[Family], name: str, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pairs of each family as places among the rows of all."""
    found, before = [], 0
    for each in drawn:
        pairs = getattr(each, name)
        if len(pairs):
            found.append(before + pairs[rng.integers(0, len(pairs), PAIRS_A_FAMILY)])
        before += len(each.rows)
    return np.concatenate(found)


def mean_of(networks: list[dict[str, NDArray[np.float32]]]) -> dict[str, NDArray[np.float32]]:
    """Networks side by side as one, whose answers are the mean of theirs."""
    return {
        "mean": networks[0]["mean"],
        "spread": networks[0]["spread"],
        "w1": np.concatenate([each["w1"] for each in networks], axis=1),
        "b1": np.concatenate([each["b1"] for each in networks]),
        "w2": np.concatenate([each["w2"] for each in networks]) / len(networks),
        "b2": np.mean([each["b2"] for each in networks], axis=0),
    }


def report(data: Data, chosen: NDArray[np.bool_]) -> str:
    """How the people who were held out are ranked, family by family."""
    score = fitted_parts(data.numbers).prod(1)
    ranks: dict[str, list[float]] = defaultdict(list)
    for number in np.unique(data.family[chosen]):
        rows = np.flatnonzero(data.family == number)
        ranks["all kinds, by what is left"].append(_rank(score[rows], data.left[rows, 0]))
        for kind, places in ladders(data, rows):
            ranks[kind].append(_rank(score[rows[places]], -np.arange(len(places))))
    lines = ["| harm | families | mean rank correlation | the worst tenth |", "|---|--:|--:|--:|"]
    lines += [
        f"| {kind} | {len(values)} | {np.mean(values):.3f} | {np.quantile(values, 0.1):.3f} |"
        for kind, values in sorted(ranks.items())
    ]
    return "\n".join(lines)


def _rank(one: NDArray[Any], other: NDArray[Any]) -> float:
    return float(spearmanr(one, other).statistic)


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=120)
    parser.add_argument("--numbers", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.numbers and options.numbers.exists():
        with np.load(options.numbers, allow_pickle=False) as file:
            data = Data(**file)
    else:
        data = make(options.people)
        if options.numbers:
            np.savez(options.numbers, **vars(data))
    people = np.unique(data.person)
    held = np.isin(data.person, people[::5])
    np.savez(NETWORK, **mean_of([fit(data, ~held, seed) for seed in range(NETWORKS)]))
    fitted_on, ranked = len(people) - len(people[::5]), len(people[::5])
    print(f"{(~held).sum()} pictures of {fitted_on} people: {NETWORK}")
    print(f"The other {ranked} people, {held.sum()} pictures:\n\n{report(data, held)}")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
