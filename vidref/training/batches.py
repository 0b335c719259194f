"""Batches for the restorer, made on the device: cut, looked at, damaged, embedded.

Every draw comes from generators seeded by (seed, step, rank): a batch does not depend on history.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from vidref.model.recogniser import Recogniser
from vidref.training.degradation import NAMED, WORN, degrade_batch, draw
from vidref.training.moving_damage import film_batch
from vidref.training.pairs import Pairing
from vidref.training.photos import Photos
from vidref.training.restorer_config import TrainingConfig
from vidref.training.video_damage import damage_video, look
from vidref.training.views import FIXED, homographies, jitter, sample_views, spreads


@dataclass(frozen=True)
class Batch:
    """Pictures in [-1, 1]. R is the largest number of references that any target here has."""

    target: Tensor
    degraded: Tensor
    real: Tensor
    """(B, 1, S, S): 1 where the target's pixels come from the photograph."""
    detail: Tensor
    """(B,): the target's own resolution as a share of S."""
    references: Tensor
    """(B, R, 3, S, S)."""
    photos: Tensor
    """(B, R): which photograph each reference is."""
    embeddings: Tensor | None
    """(B, R, D)."""
    counts: Tensor
    """(B,): how many of the R references a target has."""
    wrong: Tensor
    """(B,): its references show somebody else."""
    belongs: Tensor
    """(B, R, 3, 3): from a place of the target's square, [-1, 1], to the reference's."""

    def same_person(self) -> Tensor:
        """(B, R): where there is a reference, and of the right person."""
        slots = torch.arange(self.references.shape[1], device=self.counts.device)
        return (slots[None] < self.counts[:, None]) & ~self.wrong[:, None]


def generators(
    seed: int, step: int, rank: int, device: torch.device
) -> tuple[torch.Generator, ...]:
    """Two independent generators, on the CPU and on the device, for one step of one process."""
    made: list[torch.Generator] = []
    for where in (torch.device("cpu"), device):
        digest = hashlib.sha256(f"{seed} {step} {rank} {len(made)}".encode()).digest()
        number = int.from_bytes(digest[:8], "big") >> 1
        made.append(torch.Generator(where).manual_seed(number))
    return tuple(made)


class BatchMaker:
    """Makes the batch of any step."""

    def __init__(
        self,
        photos: Photos,
        config: TrainingConfig,
        device: torch.device,
        recogniser: Recogniser | None,
        rank: int = 0,
    ) -> None:
        self.photos, self.config, self.device = photos, config, device
        self.recogniser, self.rank = recogniser, rank
        data = config.data
        self.spreads = spreads(in_place=config.restorer.aligner is not None)
        self.pairing = Pairing(photos, data.references, data.several_share, data.wrong_share)

    @torch.no_grad()
    def make(self, step: int) -> Batch:
        """The batch of a step."""
        config, size = self.config, self.config.run.size
        draws, noise = generators(config.run.seed, step, self.rank, self.device)
        choice = self.pairing.choose(config.run.batch, draws)
        count = len(choice.targets)
        vary = config.data.vary
        flip = (torch.rand(count, generator=draws) < 0.5) & config.data.flip
        usual = self.spreads.target
        maps = homographies(usual if vary else FIXED, flip, draws)
        target, real = sample_views(self.photos, choice.targets, maps, size)
        if vary:
            target = jitter(target, usual.colour, draws)
        unit = look(target / 2 + 0.5, draws, config.damage.faded, config.damage.grey)
        degraded = self._damage(unit, draws, noise)
        shown = int(choice.counts.max())
        seen, belongs = [], []
        for j in range(shown):
            which, same_photo = choice.references[:, j], choice.same_photo[:, j]
            views, to_photo = self._references(which, same_photo, flip, draws)
            seen.append(self._worn(views, draws, noise))
            belongs.append(torch.linalg.solve(to_photo, maps))
        references = torch.stack(seen, 1)
        embeddings = None
        if self.recogniser is not None:
            identity = config.restorer.context.identity
            mirrored = identity is None or identity.normalised
            flat = self.recogniser.embed(references.flatten(0, 1), mirrored)
            embeddings = flat.view(count, shown, -1)
        detail = self.photos.detail[choice.targets] * 512 / size
        return Batch(
            target=unit * 2 - 1,
            degraded=degraded * 2 - 1,
            real=real,
            detail=detail.clamp(max=1).to(self.device),
            references=references,
            photos=choice.references[:, :shown],
            embeddings=embeddings,
            counts=choice.counts.to(self.device),
            wrong=choice.wrong_person.to(self.device),
            belongs=torch.stack(belongs, 1).to(self.device),
        )

    def _worn(self, views: Tensor, draws: torch.Generator, noise: torch.Generator) -> Tensor:
        """A share of the references slightly damaged."""
        worn = torch.rand(len(views), generator=draws) < self.config.data.worn_share
        rows = worn.nonzero()[:, 0]
        if len(rows) == 0:
            return views
        drawn = draw(WORN, len(rows), views.shape[-1], draws)
        there = rows.to(views.device)
        unit = views[there].clamp(-1, 1) / 2 + 0.5
        damaged = degrade_batch(unit, drawn, noise, self.config.damage.group)
        return views.index_copy(0, there, damaged * 2 - 1)

    def _references(
        self, index: Tensor, same_photo: Tensor, flip: Tensor, draws: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Views of reference photographs, varied much more where it is the target's own photo.

        And their maps to the photographs. Mirrored where the target is: nobody has a mole on both
        cheeks.
        """
        augment = self.config.data.augment_references
        usual, strong = self.spreads.reference, self.spreads.same_photo
        if not augment:
            usual = strong = FIXED
        maps = torch.where(
            same_photo.view(-1, 1, 1),
            homographies(strong, flip, draws),
            homographies(usual, flip, draws),
        )
        views, _ = sample_views(self.photos, index, maps, self.config.run.size)
        where = same_photo.to(self.device).view(-1, 1, 1, 1)
        varied = (jitter(views, strong.colour, draws), jitter(views, usual.colour, draws))
        return torch.where(where, *varied), maps

    def _damage(self, unit: Tensor, draws: torch.Generator, noise: torch.Generator) -> Tensor:
        """Consecutive shares of the batch, each damaged in its way; targets are in random order."""
        damage = self.config.damage
        shares = {name: float(getattr(damage, name)) for name in (*NAMED, "video", "filmed")}
        bounds = torch.tensor([0.0, *shares.values()]).cumsum(0) / sum(shares.values())
        # a random offset spreads the kinds fairly over the steps where a batch is small
        offset = float(torch.rand(1, generator=draws))
        edges = (bounds * len(unit) + offset).floor().long().clamp(max=len(unit))
        edges[0] = 0
        edges[-1] = len(unit)
        parts = []
        for (name, _), first, last in zip(shares.items(), edges, edges[1:], strict=False):
            part = unit[int(first) : int(last)]
            if len(part) == 0:
                continue
            if name == "filmed":
                parts.append(film_batch(part, draws, noise))
            elif name == "video":
                parts.append(damage_video(part, draws, noise, damage.encode, damage.group))
            else:
                drawn = draw(NAMED[name], len(part), unit.shape[-1], draws)
                parts.append(degrade_batch(part, drawn, noise, damage.group))
        return torch.cat(parts)
