"""Degraded crops and references in, restored crops out: the whole of inference in one short class.

Every call of the network has one fixed shape (`Restorer.batch` faces, `max_references` contexts),
padded where there are fewer, because only then is a face bit-exact in any slot and with any
neighbours: batch 1 against 8 differs by about 1e-6.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vidref.errors import ModelError
from vidref.model.aligner import (
    Known,
    Moved,
    Shown,
    moved,
    shares,
    small,
    suiting,
    together,
)
from vidref.model.bundle import RestorerNetwork, load_network
from vidref.model.clarity import clearer
from vidref.model.context import Reference
from vidref.model.denoiser import channels_last
from vidref.model.fidelity import believe_input
from vidref.model.found import USUAL_BATCH, WEIGHTS, find_bundle, is_small
from vidref.model.guidance import Guidance, guided
from vidref.model.lattice import without_lattice
from vidref.model.noise import person_noise
from vidref.model.sampler import Solver, build_scheduler, sample
from vidref.model.separable import resized
from vidref.model.texture import filled_up, filled_up_finest, grey, in_place
from vidref.weights import recorded_hashes

Combine = Literal["concatenated", "average", "weighted"]
LEAST_SHARE = 0.02
"""A reference of which no place of a face takes more than this is left out of that face."""
LEAST_SHOWN = 0.25
"""Of a face that is shown less than this, grain is not made up for in full."""


@dataclass(frozen=True)
class Sampling:
    """How to sample.

    combine: concatenated puts the tokens of all references into one evaluation; average is the
    paper's plain mean over references; weighted the same mean with the references' weights.
    start: below 1, begin at the noised degraded crop. fidelity: see `fidelity.py`.
    grain: how much of what is measured, see `grain.py`.
    """

    steps: int = 4
    combine: Combine = "concatenated"
    guidance: Guidance = field(default_factory=Guidance)
    start: float = 1.0
    fidelity: float = 0.0
    grain: float = 1.0
    solver: Solver = "ddim"
    seed: int = 2024


@dataclass(frozen=True)
class Pictures:
    """References as a restorer with an aligner sees them: (N, 3, s, s) at the size it works at,
    whole and grey (N, 1, S, S), `small` ones, and what its aligner knows of them."""

    seen: Tensor
    whole: Tensor
    small: Tensor
    known: Known

    def some(self, which: Tensor) -> Pictures:
        """Those of the places `which` alone."""
        known = Known(*(values[which] for values in self.known))
        return Pictures(self.seen[which], self.whole[which], self.small[which], known)


@dataclass(frozen=True)
class PersonContext:
    """Tokens of a person's references (N, L, width), made once, and a positive weight for each.

    `pictures` for restorers that look at them too (aligner.py), else none.
    """

    tokens: Tensor
    weights: tuple[float, ...]
    pictures: Pictures | None = None


class Brought(NamedTuple):
    """References in place of one face, with their weights (1, N): each, whole ones before they are
    moved, and all of them in one picture."""

    found: Moved
    weights: Tensor
    whole: Tensor
    shown: Shown


@dataclass(frozen=True)
class Face:
    """One face to restore: the crop (3, S, S) in [-1, 1], who it is, and what is known of them.

    `share` is how much of what is made will be mixed with the crop: grain makes up for the rest.
    """

    crop: Tensor
    person: str
    context: PersonContext
    share: float = 1.0


class Restorer:
    """A network that is ready to run."""

    uses_references = True

    def __init__(
        self,
        network: RestorerNetwork,
        device: str | torch.device = "cpu",
        batch: int = USUAL_BATCH,
        max_references: int = 5,
        autocast: torch.dtype | None = None,
        sha256: str = "",
    ) -> None:
        self.config = network.config
        self.name, self.sha256 = network.config.name, sha256
        self.crop_px = network.config.size
        identity = network.config.context.identity
        self.recogniser_sha256 = identity.recogniser_sha256 if identity else None
        self.mirrored_embeddings = bool(identity and identity.normalised)
        self.device = torch.device(device)
        self.side_by_side = self.device.type == "cpu" and is_small(network.config)
        self.network = network.eval().requires_grad_(False).to(self.device)
        channels_last(self.network.denoiser)
        if self.network.grain is not None:
            channels_last(self.network.grain)
        self.batch, self.max_references, self.autocast = batch, max_references, autocast

    @classmethod
    def load(
        cls, where: str = "bundled", device: str | torch.device = "cpu", batch: int = USUAL_BATCH
    ) -> Restorer:
        """From "bundled", a folder, or a hub id; half-precision arithmetic on a GPU only."""
        half = torch.bfloat16 if torch.device(device).type == "cuda" else None
        folder = find_bundle(where)
        digest = recorded_hashes(folder).get(folder / WEIGHTS, "")
        return cls(load_network(str(folder)), device, batch, autocast=half, sha256=digest)

    @torch.inference_mode()
    def remember(
        self, references: Sequence[Reference], weights: Sequence[float] | None = None
    ) -> PersonContext:
        """The context of a person: call once per person and keep it. No references are fine.

        Of more references than fit, those of the greatest weight are kept.
        """
        if weights is not None and (
            len(weights) != len(references) or min(weights, default=1) <= 0
        ):
            raise ModelError(
                "Each reference needs one weight above zero: drop a reference instead."
            )
        told = [1.0] * len(references) if weights is None else [float(weight) for weight in weights]
        best = sorted(range(len(references)), key=lambda i: -told[i])[: self.max_references]
        kept = [references[i] for i in sorted(best)]
        width = self.config.context.width
        empty = torch.zeros(0, self.config.context.tokens, width, device=self.device)
        tokens = torch.cat([empty, *(self._tokens(reference) for reference in kept)])
        pictures = self._pictures(kept) if kept else None
        return PersonContext(tokens, tuple(told[i] for i in sorted(best)), pictures)

    def _pictures(self, references: Sequence[Reference]) -> Pictures | None:
        """What every face of the person is compared with, made once."""
        if self.network.aligner is None:
            return None
        size = self.config.size
        images = torch.cat([resized(one.image.float(), size) for one in references])
        images = images.to(self.device)
        seen = resized(images, self.config.working_size or size)
        with self._precision():
            known = self.network.aligner.look_at(self.network.codec.encode(seen))
        return Pictures(seen, grey(images).half(), small(seen), known)

    def _tokens(self, reference: Reference) -> Tensor:
        image = reference.image.to(self.device)
        known = None if reference.embedding is None else reference.embedding.to(self.device)
        with self._precision():
            tokens: Tensor = self.network.context(Reference(image, known))
        return tokens.float()

    def _precision(self) -> AbstractContextManager[object]:
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast)

    @torch.inference_mode()
    def restore(self, faces: Sequence[Face], sampling: Sampling | None = None) -> Tensor:
        """Restored crops (B, 3, S, S) in [-1, 1] on the CPU, in the order given."""
        sampling = sampling or Sampling()
        done = [
            self._restore_batch(faces[first : first + self.batch], sampling)
            for first in range(0, len(faces), self.batch)
        ]
        size = self.config.size
        return torch.cat(done) if done else torch.zeros(0, 3, size, size)

    def _restore_batch(self, faces: Sequence[Face], sampling: Sampling) -> Tensor:
        """One call of the fixed shape; the last face fills the empty slots."""
        padded = [*faces, *[faces[-1]] * (self.batch - len(faces))]
        crops = torch.stack([face.crop for face in padded]).float().to(self.device)
        seen = resized(crops, min(crops.shape[-1], self.config.working_size or crops.shape[-1]))
        codec, z_lq = self.network.codec, self.network.codec.encode(seen)
        shape = (z_lq.shape[1], z_lq.shape[2], z_lq.shape[3])
        noise = torch.stack([person_noise(sampling.seed, face.person, shape) for face in padded])
        contexts = [face.context for face in padded]
        if sampling.combine == "concatenated":
            told, parts = (
                [self._concatenated(contexts)],
                [torch.ones(self.batch, device=self.device)],
            )
        else:
            told, parts = self._one_by_one(contexts, plain=sampling.combine == "average")
        nothing = self._null(self.batch, told[0][0].shape[1])
        no_crop = torch.zeros_like(z_lq)
        brought = [
            self._brought(context, seen[row : row + 1], z_lq[row : row + 1], sampling.combine)
            for row, context in enumerate(contexts)
        ]
        shown = self._shown(brought, seen, sampling.combine)

        def predict_at(z_t: Tensor, t: Tensor) -> Tensor:
            times = t.to(self.device).expand(self.batch)

            def predict(with_crop: bool, j: int | None) -> Tensor:
                tokens, mask = nothing if j is None else told[j]
                crop = z_lq if with_crop else no_crop
                picture = None if j is None else shown[j]
                found: Tensor = self.network.denoiser(z_t, crop, times, tokens, mask, picture)
                return found.float()

            return guided(predict, sampling.guidance, parts)

        with self._precision():
            scheduler = build_scheduler(self.config.diffusion, sampling.solver)
            latent = sample(
                predict_at, noise.to(self.device), z_lq, scheduler, sampling.steps, sampling.start
            )
            restored = codec.decode(latent).float()
        if self.config.codec.kind == "pixel-shuffle":
            restored = without_lattice(restored, seen, self.config.codec.factor)
        restored = clearer(restored, self.config.clarity)
        if seen.shape != crops.shape:
            whole = self._at_full_size(restored, seen, crops, brought[: len(faces)])
            restored = self._finished(whole, crops, brought[: len(faces)], faces, sampling)
        return believe_input(restored, crops, sampling.fidelity)[: len(faces)].cpu()

    def _brought(
        self, context: PersonContext, seen: Tensor, z_lq: Tensor, combine: Combine
    ) -> Brought | None:
        """A face's references in place, if it has any.

        Found once a face, for it does not depend on the step of the sampling; and face by face, so
        that neither the neighbours nor their references are in its numbers.
        """
        if context.pictures is None:
            return None
        weights = torch.tensor([context.weights], device=self.device)
        if combine == "average":
            weights = torch.ones_like(weights)
        weights, pictures = weights / weights.max(), context.pictures
        with self._precision():
            shifts, fit = self.network.place(z_lq, pictures.known)
        if combine == "concatenated":
            weights = suiting(weights, pictures.small[None], shifts, small(seen))
            # of many photographs few suit one face, and to move one is what costs
            which = (shares(fit, weights)[0].amax((1, 2)) > LEAST_SHARE).nonzero()[:, 0]
            if len(which) < len(pictures.seen):
                shifts, fit, weights = shifts[:, which], fit[:, which], weights[:, which]
                pictures = pictures.some(which)
        found = Moved(moved(pictures.seen, shifts[0])[None], shifts, fit)
        return Brought(found, weights, pictures.whole.float(), together(found, weights))

    def _shown(
        self, brought: Sequence[Brought | None], seen: Tensor, combine: Combine
    ) -> list[Shown | None]:
        """All references of each face in one picture, or a picture for each reference."""
        rounds = 1 if combine == "concatenated" else self.max_references
        if not any(brought):
            return [None] * rounds
        shown: list[Shown | None] = []
        for j in range(rounds):
            picture, there = torch.zeros_like(seen), torch.zeros(len(seen), device=self.device)
            for row, own in enumerate(brought):
                if own is None or j >= own.weights.shape[1]:
                    continue
                one = own.shown
                if combine != "concatenated":
                    alone = torch.eye(own.weights.shape[1], device=self.device)[j : j + 1]
                    one = together(own.found, alone)
                picture[row], there[row] = one.picture[0], one.there[0]
            shown.append(Shown(picture, there))
        return shown

    def _at_full_size(
        self, restored: Tensor, seen: Tensor, crops: Tensor, brought: Sequence[Brought | None]
    ) -> Tensor:
        """The change at the size the network works at, in the whole crops, with fine detail.

        Face by face, so that the neighbours are not in its numbers.
        """
        whole = crops.clone()
        for row, own in enumerate(brought):
            one = slice(row, row + 1)
            now = restored[one] if own is None else filled_up(restored[one], own.shown)
            whole[one] += resized(now - seen[one], self.config.size)
        return whole

    def _finished(
        self,
        whole: Tensor,
        crops: Tensor,
        brought: Sequence[Brought | None],
        faces: Sequence[Face],
        sampling: Sampling,
    ) -> Tensor:
        """The finest detail: what the photographs in place show, then what is drawn."""
        for row, (own, face) in enumerate(zip(brought, faces, strict=True)):
            one = slice(row, row + 1)
            photographed = None
            if own is not None:
                share = shares(own.found.fit, own.weights)[0]
                photographed = in_place(own.whole, own.found.shifts[0], share)
                whole[one] = filled_up_finest(whole[one], photographed)
            if self.network.grain is not None and sampling.grain:
                drawn = self.network.grain.added(
                    whole[one], crops[one], photographed, sampling.seed, face.person, face.share
                )
                whole[one] += sampling.grain * drawn / max(face.share, LEAST_SHOWN)
        return whole

    def _null(self, batch: int, length: int) -> tuple[Tensor, Tensor]:
        """No reference: the null token alone, padded."""
        tokens = self.network.context.null.float().expand(batch, length, -1)
        mask = torch.zeros(batch, length, device=self.device)
        mask[:, 0] = 1
        return tokens, mask

    def _concatenated(self, contexts: Sequence[PersonContext]) -> tuple[Tensor, Tensor]:
        """All references of each face in one sequence; a weight scales its tokens' attention."""
        count, length = self.max_references, self.config.context.tokens
        tokens, mask = self._null(len(contexts), count * length)
        tokens, mask = tokens.clone(), mask.clone()
        for row, context in enumerate(contexts):
            if context.weights:
                filled = len(context.weights) * length
                tokens[row, :filled] = context.tokens.flatten(0, 1)
                relative = torch.tensor(context.weights) / max(context.weights)
                mask[row, :filled] = relative.repeat_interleave(length)
        return tokens, mask

    def _one_by_one(
        self, contexts: Sequence[PersonContext], plain: bool
    ) -> tuple[list[tuple[Tensor, Tensor]], list[Tensor]]:
        """Reference j of every face, for each j, and its weights; a face without any has null."""
        length = self.config.context.tokens
        rounds = max([1, *(len(context.weights) for context in contexts)])
        told = [
            tuple(part.clone() for part in self._null(len(contexts), length)) for _ in range(rounds)
        ]
        weights = torch.zeros(rounds, len(contexts), device=self.device)
        for row, context in enumerate(contexts):
            if not context.weights:
                weights[0, row] = 1
            for j, weight in enumerate(context.weights):
                told[j][0][row], told[j][1][row] = context.tokens[j], 1
                share = 1 / len(context.weights) if plain else weight / sum(context.weights)
                weights[j, row] = share
        return [(tokens, mask) for tokens, mask in told], list(weights)
