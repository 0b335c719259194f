"""Who is a reference of whom: other photographs of the person, or another view of the only one.

A batch is a function of (seed, step, rank) alone, so a resumed run sees exactly what an unbroken
one would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidref.training.photos import Photos


@dataclass(frozen=True)
class Choice:
    """Photographs of one batch: targets (B,), references (B, R), how many count, who is wrong."""

    targets: Tensor
    references: Tensor
    counts: Tensor
    same_photo: Tensor
    wrong_person: Tensor


class Pairing:
    """Draws batches of photographs."""

    def __init__(
        self, photos: Photos, references: int, several_share: float, wrong_share: float
    ) -> None:
        self.references, self.wrong_share = references, wrong_share
        self.several_share = several_share
        self.by_person: dict[int, list[int]] = {}
        for i, person in enumerate(photos.people.tolist()):
            self.by_person.setdefault(person, []).append(i)
        self.person_of = photos.people.tolist()
        groups = self.by_person.values()
        self.with_others = [i for group in groups if len(group) > 1 for i in group]
        self.all = list(range(len(photos)))

    def only(self, fit: Sequence[bool]) -> None:
        """Draw targets, and strangers, from these photographs alone."""
        self.all = [i for i in self.all if fit[i]]
        self.with_others = [i for i in self.with_others if fit[i]]

    def choose(self, count: int, generator: torch.Generator) -> Choice:
        """A batch of `count` targets."""

        def pick(options: list[int]) -> int:
            return options[int(torch.randint(len(options), (1,), generator=generator))]

        def happens(share: float) -> bool:
            return bool(torch.rand(1, generator=generator) < share)

        targets, references, counts, same, wrong = [], [], [], [], []
        for _ in range(count):
            several = bool(self.with_others) and happens(self.several_share)
            target = pick(self.with_others if several else self.all)
            others = [i for i in self.by_person[self.person_of[target]] if i != target]
            foreign = len(self.by_person) > 1 and happens(self.wrong_share)
            if foreign:
                stranger = pick(self.all)
                while self.person_of[stranger] == self.person_of[target]:
                    stranger = pick(self.all)
                others = self.by_person[self.person_of[stranger]]
            chosen = [pick(others) if others else target for _ in range(self.references)]
            targets.append(target)
            references.append(chosen)
            counts.append(1 + int(torch.randint(self.references, (1,), generator=generator)))
            same.append([i == target for i in chosen])
            wrong.append(foreign)
        return Choice(
            torch.tensor(targets),
            torch.tensor(references),
            torch.tensor(counts),
            torch.tensor(same),
            torch.tensor(wrong),
        )
