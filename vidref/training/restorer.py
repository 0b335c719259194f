"""Training the restorer: one loop for both configurations.

    vidref train restorer --config vidref/configs/train-restorer.yaml --out runs/name

The folder of a run holds log.csv, state.safetensors (exact resume), sheets/ and bundle/ (the
averaged weights, ready for `vidref restore --model`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vidref.errors import ModelError, SettingsError
from vidref.model.bundle import fill, is_own, save_bundle
from vidref.model.config import RestorerConfig
from vidref.model.context import Reference
from vidref.model.denoiser import channels_last
from vidref.model.diffusion import add_noise, alpha_bars, to_x0, x0_weight
from vidref.model.recogniser import Recogniser
from vidref.training import losses
from vidref.training.batches import Batch, BatchMaker, generators
from vidref.training.beginning import begun
from vidref.training.discriminator import PatchDiscriminator, discriminator_loss
from vidref.training.machine import Machine
from vidref.training.perceptual import PerceptualEncoder
from vidref.training.photos import load_photos
from vidref.training.prefetch import Prefetch
from vidref.training.restorer_config import TrainingConfig
from vidref.training.run_log import Log
from vidref.training.schedule import learning_rate, share_done
from vidref.training.sheets import save_sheet
from vidref.training.state import (
    Progress,
    fill_optimiser,
    load_state,
    optimiser_tensors,
    save_state,
)
from vidref.training.trained import Trained

if TYPE_CHECKING:
    from vidref.training.quick_batches import QuickBatchMaker


@dataclass
class Outcome:
    """What a run ended with."""

    progress: Progress
    folder: Path
    last_loss: float


class RestorerTraining:
    """The state of one run between its first and its last step."""

    def __init__(self, config: TrainingConfig, folder: Path) -> None:
        self.config, self.folder = config, folder
        run = config.run
        self.machine = Machine(run.precision)
        device = self.machine.device
        torch.manual_seed(run.seed)
        # the encoder and the judge of the loss must not be rounded to tf32's ten bits by default
        torch.set_float32_matmul_precision("high" if run.precision == "bf16" else "highest")
        torch.backends.cudnn.benchmark = device.type == "cuda"
        self.recogniser = self._recogniser(config, device)
        self.restorer_config = self._with_recogniser(config.restorer)
        self.network = begun(self.restorer_config, config.start_from)
        self.network.to(device)
        channels_last(self.network.denoiser)
        self.trained = Trained(self.network)
        weights = [w for w in self.trained.parameters() if w.requires_grad]
        decay = [w for w in weights if w.ndim > 1]
        plain = [w for w in weights if w.ndim <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": decay, "weight_decay": run.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=run.learning_rate,
            betas=(0.9, 0.99),
            fused=True,
        )
        self.module = self.machine.prepare(self.trained)
        if run.compile:
            self.module = torch.compile(self.module)  # type: ignore[assignment]
        self.average = {k: v.detach().clone() for k, v in self.network.own_weights().items()}
        self.encoder: PerceptualEncoder | None = None
        if config.losses.encoder_features:
            if config.perceptual_encoder is None:
                raise SettingsError(
                    "losses.encoder_features needs perceptual_encoder: a path to it."
                )
            self.encoder = PerceptualEncoder(config.perceptual_encoder).to(device)
        self.critic: PatchDiscriminator | None = None
        self.critic_optimiser: torch.optim.Optimizer | None = None
        if config.losses.adversarial:
            self.critic = PatchDiscriminator().to(device)
            self.critic_module = self.machine.prepare(self.critic)
            self.critic_optimiser = torch.optim.AdamW(
                self.critic.parameters(), lr=run.learning_rate, betas=(0.5, 0.9)
            )
        self.bars = alpha_bars(self.restorer_config.diffusion).to(device)
        self.progress = Progress()
        self.cache: dict[int, list[Tensor]] = {}
        self._resume()
        photos = load_photos(
            config.data.folder, run.size, strict=config.data.strict, limit=config.data.limit
        )
        if device.type == "cuda":
            object.__setattr__(photos, "pixels", photos.pixels.to(device))
        self.maker: BatchMaker | QuickBatchMaker
        if config.data.quick:
            from vidref.training.quick_batches import QuickBatchMaker

            self.maker = QuickBatchMaker(photos, config, self.recogniser, self.machine.rank)
        else:
            self.maker = BatchMaker(photos, config, device, self.recogniser, self.machine.rank)
        self.batches = Prefetch(self.maker)

    @staticmethod
    def _recogniser(config: TrainingConfig, device: torch.device) -> Recogniser | None:
        needs = config.losses.identity or config.losses.recogniser_features
        if config.recogniser is None:
            if needs or config.restorer.context.identity:
                raise SettingsError(
                    "recogniser is not set: name an ArcFace-format ONNX file, or leave out the "
                    "identity token (restorer.context.identity) and the identity losses."
                )
            return None
        return Recogniser(config.recogniser, config.recogniser_crop).to(device)

    def _with_recogniser(self, config: RestorerConfig) -> RestorerConfig:
        """The configuration with the identity token's recogniser written down."""
        identity = config.context.identity
        if identity is None or self.recogniser is None:
            return config
        known = identity.model_copy(
            update={
                "dimension": self.recogniser.dimension,
                "recogniser_sha256": self.recogniser.sha256,
            }
        )
        context = config.context.model_copy(update={"identity": known})
        return config.model_copy(update={"context": context})

    def _parts(self) -> dict[str, dict[str, Tensor]]:
        parts = {
            "weights": self.network.own_weights(),
            "average": self.average,
            "optimiser": optimiser_tensors(self.optimiser),
        }
        if self.critic is not None and self.critic_optimiser is not None:
            parts["critic"] = dict(self.critic.state_dict())
            parts["critic_optimiser"] = optimiser_tensors(self.critic_optimiser)
        return parts

    def _resume(self) -> None:
        saved = load_state(self.folder)
        if saved is None:
            return
        parts, self.progress = saved
        fill(self.network, parts["weights"], str(self.folder))
        device = self.machine.device
        self.average = {key: value.to(device) for key, value in parts["average"].items()}
        fill_optimiser(self.optimiser, parts["optimiser"])
        if self.critic is not None and self.critic_optimiser is not None and "critic" in parts:
            self.critic.load_state_dict(parts["critic"])
            fill_optimiser(self.critic_optimiser, parts["critic_optimiser"])

    def share_done(self) -> float:
        return share_done(self.config.run, self.progress)

    def learning_rate(self) -> float:
        return learning_rate(self.config.run, self.progress)

    def step(self) -> dict[str, Tensor]:
        """One optimiser step; the losses' means, left on the device so that nothing waits."""
        run = self.config.run
        rate = self.learning_rate()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        shown: list[tuple[Tensor, Batch]] = []
        for part in range(run.accumulate):
            batch = self.batches.get(self.progress.step * run.accumulate + part)
            last = part == run.accumulate - 1
            with self.machine.sharing(self.module, last):
                if self.progress.step < run.aligning:
                    terms, estimate = self._aligning(batch), batch.degraded
                else:
                    terms, estimate = self._losses(batch, part)
                (terms["loss"] / run.accumulate).backward()  # type: ignore[no-untyped-call]
            shown.append((estimate, batch))
            for name, value in terms.items():
                sums[name] = (
                    sums.get(name, torch.zeros_like(value)) + value.detach() / run.accumulate
                )
        weights = [w for group in self.optimiser.param_groups for w in group["params"]]
        sums["gradient"] = nn.utils.clip_grad_norm_(weights, run.clip)
        self.optimiser.step()
        if self._adversarial_now():
            sums["critic"] = self._train_critic(shown)
        self._update_average()
        self.progress.step += 1
        return sums

    def numbers(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """The losses' means over all processes; a loss that is no number ends the run."""
        values = {name: float(self.machine.mean(value)) for name, value in terms.items()}
        if not math.isfinite(values["loss"]):
            raise ModelError(
                f"{self.folder}: the loss is {values['loss']} at step {self.progress.step}: "
                "lower run.learning_rate and delete the state, or resume the last one saved."
            )
        return values

    def _adversarial_now(self) -> bool:
        return (
            self.critic is not None
            and self.progress.step >= self.config.run.aligning
            and self.progress.step >= self.config.losses.adversarial_after
        )

    def _losses(self, batch: Batch, part: int) -> tuple[dict[str, Tensor], Tensor]:
        """The weighted loss, its parts, and the detached estimate."""
        config, kind = self.config, self.restorer_config.diffusion.prediction
        run = config.run
        draws, noise_generator = generators(
            run.seed + 1,
            self.progress.step * run.accumulate + part,
            self.machine.rank,
            self.machine.device,
        )
        count, device = len(batch.target), self.machine.device
        raw = self._raw(batch)
        with self.machine.precision():
            with torch.no_grad():
                z_0 = self.network.codec.encode(batch.target).float()
                z_lq = self.network.codec.encode(batch.degraded).float()
            noise = torch.randn(z_0.shape, generator=noise_generator, device=device)
            # one stratified draw per picture: every batch sees all noise levels
            strata = (torch.arange(count) + torch.rand(count, generator=draws)) / count
            t = (strata[torch.randperm(count, generator=draws)] * len(self.bars)).long().to(device)
            first = torch.rand(count, generator=draws) < config.noise.first
            own = ~first & (torch.rand(count, generator=draws) < config.noise.own)
            t[first.to(device)] = len(self.bars) - 1
            bars = self.bars[t]
            no_crop = (torch.rand(count, generator=draws) < config.drop_degraded).to(device)
            no_context = (torch.rand(count, generator=draws) < config.drop_context).to(device)
            beneath = self._own_estimate(
                own.to(device), z_0, noise, z_lq, raw, batch, no_crop, no_context
            )
            z_t = add_noise(beneath, noise, bars)
            prediction, in_place = self.module(
                z_t, z_lq, t, raw, batch.counts, no_crop, no_context, batch.references
            )
            z_hat = to_x0(kind, prediction.float(), z_t, bars)
            pixel = self.restorer_config.codec.kind == "pixel-shuffle"
            wanted = config.losses
            needs_pixels = pixel or any(
                (
                    wanted.identity,
                    wanted.recogniser_features,
                    wanted.encoder_features,
                    wanted.adversarial,
                )
            )
            estimate = self.network.codec.decode(z_hat).float() if needs_pixels else batch.target
            terms: dict[str, Tensor] = {}
            if pixel:
                error = losses.reconstruction(estimate, batch.target, batch.real, batch.detail)
                if wanted.edges:
                    rough = losses.edges(estimate, batch.target, batch.real, batch.detail)
                    terms["edges"] = rough.mean()
                if wanted.structure:
                    unlike = losses.unlike_structure(
                        estimate, batch.target, batch.real, batch.detail
                    )
                    terms["structure"] = unlike.mean()
            else:
                difference = losses.at_own_resolution(z_hat - z_0, batch.detail)
                error = difference.square().mean((1, 2, 3))
            terms["reconstruction"] = (error * x0_weight(kind, bars)).mean()
        total = wanted.reconstruction * terms["reconstruction"]
        for name in ("edges", "structure"):
            if name in terms:
                total = total + getattr(wanted, name) * terms[name]
        if in_place is not None and wanted.alignment:
            apart = losses.misplaced(in_place, batch.target, batch.belongs, batch.same_person())
            terms["alignment"] = apart
            total = total + wanted.alignment * apart
        # mirrored pixels are the target's own wherever a network looks at the whole picture
        whole = batch.target + (estimate - batch.target) * batch.real
        trust = losses.trust(bars, wanted.trust_floor, no_crop)
        for name, value in self._whole_face(whole, batch, draws).items():
            judged = trust[:: wanted.judged_every] if len(value) < len(trust) else trust
            terms[name] = (judged * value).mean()
            total = total + getattr(wanted, name) * terms[name]
        if self._adversarial_now():
            assert self.critic is not None
            with self.machine.precision():
                scores = self.critic(whole, batch.degraded).float().mean((1, 2, 3))
            terms["adversarial"] = (-scores * trust).mean()
            total = total + wanted.adversarial * terms["adversarial"]
        terms["loss"] = total
        return terms, whole.detach()

    def _aligning(self, batch: Batch) -> dict[str, Tensor]:
        """The loss of the aligner alone, at a tenth of the cost of a whole step."""
        with self.machine.precision():
            z_lq = self.network.codec.encode(batch.degraded).float()
            found = self.network.bring(z_lq, batch.references)
        apart = losses.misplaced(found, batch.target, batch.belongs, batch.same_person())
        return {"alignment": apart, "loss": self.config.losses.alignment * apart}

    @torch.no_grad()
    def _own_estimate(
        self,
        own: Tensor,
        z_0: Tensor,
        noise: Tensor,
        z_lq: Tensor,
        raw: list[Tensor],
        batch: Batch,
        no_crop: Tensor,
        no_context: Tensor,
    ) -> Tensor:
        """The truth's latents, or where `own` (B,) says so what the first step would have made."""
        rows = own.nonzero()[:, 0] if self.config.noise.own else own.new_zeros(0, dtype=torch.long)
        if len(rows) == 0:
            return z_0
        t = torch.full_like(rows, len(self.bars) - 1)
        told = [value.reshape(len(own), -1, *value.shape[1:])[rows].flatten(0, 1) for value in raw]
        found, _ = self.trained(
            noise[rows],
            z_lq[rows],
            t,
            told,
            batch.counts[rows],
            no_crop[rows],
            no_context[rows],
            batch.references[rows],
        )
        kind, bars = self.restorer_config.diffusion.prediction, self.bars[t]
        return z_0.index_copy(0, rows, to_x0(kind, found.float(), noise[rows], bars))

    def _whole_face(self, whole: Tensor, batch: Batch, draws: torch.Generator) -> dict[str, Tensor]:
        """The losses that look at the face as a picture, per picture (B,)."""
        wanted, found = self.config.losses, {}
        if wanted.identity and self.recogniser is not None and batch.embeddings is not None:
            some = slice(None, None, wanted.judged_every)
            with torch.no_grad():
                truth = self.recogniser(batch.target[some])
            share = torch.where(batch.wrong, 0.0, wanted.hard_share).to(whole)
            found["identity"] = losses.hard_example_identity(
                self.recogniser(whole[some]),
                truth,
                batch.embeddings[some],
                batch.counts[some],
                share[some],
            )
        if wanted.recogniser_features and self.recogniser is not None:
            found["recogniser_features"] = losses.recogniser_features(
                self.recogniser, whole, batch.target
            )
        if self.encoder is not None:
            # 140 GFLOP for a whole 512 px face, seven times the restorer: a window of it is enough
            window = losses.random_window(whole.shape[-1], draws)
            with self.machine.precision():
                found["encoder_features"] = losses.encoder_features(
                    self.encoder, whole[window], batch.target[window], batch.detail
                )
        return found

    def _train_critic(self, shown: list[tuple[Tensor, Batch]]) -> Tensor:
        """One step of the discriminator on the same batches."""
        assert self.critic_optimiser is not None
        self.critic_optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.machine.device)
        for estimate, batch in shown:
            with self.machine.precision():
                true = self.critic_module(batch.target, batch.degraded).float()
                false = self.critic_module(estimate, batch.degraded).float()
            sharp = (batch.detail >= 0.85).float()
            loss = discriminator_loss(true, false, sharp) / len(shown)
            loss.backward()  # type: ignore[no-untyped-call]
            total = total + loss.detach()
        self.critic_optimiser.step()
        return total

    def _raw(self, batch: Batch) -> list[Tensor]:
        """The frozen features of all references, (B * R, ...) for each provider."""
        embeddings = None if batch.embeddings is None else batch.embeddings.flatten(0, 1)
        flat = Reference(batch.references.flatten(0, 1), embeddings)
        if self.config.data.augment_references:
            return self.network.context.raw(flat)
        photos = batch.photos.flatten().tolist()
        for row, photo in enumerate(photos):
            if photo not in self.cache:
                one = Reference(
                    flat.image[row : row + 1],
                    None if embeddings is None else embeddings[row : row + 1],
                )
                self.cache[photo] = self.network.context.raw(one)
        providers = range(len(self.network.context.providers))
        return [torch.cat([self.cache[photo][i] for photo in photos]) for i in providers]

    @torch.no_grad()
    def _update_average(self) -> None:
        """Averaged weights, which sampling uses; the average is short at the beginning."""
        step = self.progress.step
        decay = min(self.config.run.ema, (1 + step) / (10 + step))
        for key, value in self.network.own_weights().items():
            if value.is_floating_point():
                self.average[key].lerp_(value, 1 - decay)
            else:
                self.average[key].copy_(value)

    def save(self) -> None:
        """State and bundle; written by one process."""
        if not self.machine.leads:
            return
        save_state(self.folder, self._parts(), self.progress)
        save_bundle(self.folder / "bundle", self.restorer_config, self.average, self.card())

    def card(self) -> str:
        """The card of an unfinished model: what it is and what made it."""
        config = self.config
        return (
            f"# {self.restorer_config.name}\n\n"
            f"Licence: {self.restorer_config.licence}\n\nUse: {self.restorer_config.use}\n\n"
            f"Averaged weights after {self.progress.step} steps of batch "
            f"{config.run.batch * config.run.accumulate} at {config.run.size} px "
            f"({self.progress.seconds:.0f} s). Not measured yet.\n\n"
            f"## Configuration of the run\n\n```json\n{config.model_dump_json(indent=2)}\n```\n"
        )

    def sheet(self) -> None:
        """A picture of what the averaged weights make of a fixed batch."""
        if not self.machine.leads:
            return
        save_sheet(
            self.folder / "sheets" / f"{self.progress.step:07d}.png",
            self.network,
            {key: value.clone() for key, value in self.average.items()},
            self.maker.make(10**9),
        )


def train_restorer(
    config: TrainingConfig,
    folder: Path,
    time_limit: float | None = None,
    report: Callable[[str], None] = print,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Train, or continue, the run in `folder` until its end or for `time_limit` seconds.

    `clock` counts the seconds of the limit and of the budget.
    """
    began = clock()
    folder.mkdir(parents=True, exist_ok=True)
    training = RestorerTraining(config, folder)
    run, progress = config.run, training.progress
    before = progress.seconds
    report(
        f"{training.machine.device}: {len(training.maker.photos)} photographs, "
        f"step {progress.step}, "
        f"{sum(v.numel() for k, v in training.average.items() if is_own(k)) / 1e6:.2f} M weights"
    )
    values: dict[str, float] = {"loss": math.nan}
    counted, loaded = progress.step, clock()
    terms: dict[str, Tensor] = {}
    log = Log(folder / "log.csv", training.machine.leads)
    while training.share_done() < 1:
        ran = clock() - began
        if time_limit is not None and ran > time_limit:
            break
        terms = training.step()
        progress.seconds = before + clock() - began
        if progress.step % run.log_every == 0:
            values = training.numbers(terms)
            pictures = (progress.step - counted) * run.batch * run.accumulate
            speed = pictures / (clock() - loaded)
            log.write(progress, training.learning_rate(), speed, values)
            report(log.line(progress, speed, values))
        if progress.step % run.save_every == 0:
            training.numbers(terms)
            training.save()
        if progress.step % run.sheet_every == 0:
            training.sheet()
    if terms:
        values = training.numbers(terms)
    training.save()
    training.sheet()
    return Outcome(progress, folder, values["loss"])
