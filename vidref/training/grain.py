"""Training the grain: how strong the truth's finest detail is, where, from what a restorer sees.

    vidref train grain --out runs/grain

The loss is the likelihood of the truth's own detail under noise of the strength that is said; what
it is least at is the mean strength, so what is said is right on average. It takes minutes, so a run
is not resumed: the faces it learns from, which cost as much, are kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.errors import SettingsError
from vidref.model.bundle import load_network, save_bundle
from vidref.model.denoiser import channels_last
from vidref.model.found import CARD, find_bundle
from vidref.model.grain import CELL, Grain, detail, strengths
from vidref.model.restorer import Restorer
from vidref.training.grain_cases import Cases, Seen, kept_cases
from vidref.training.grain_config import GrainRun, GrainTraining
from vidref.training.run_log import Log
from vidref.training.schedule import learning_rate, share_done
from vidref.training.state import Progress


def train_grain(
    recipe: GrainTraining, model: str, folder: Path, kept: Path, report: Callable[[str], None]
) -> Path:
    """Train from nothing; the bundle of the restorer with this grain in it."""
    if (folder / "bundle").exists():
        raise SettingsError(f"{folder}: there is a finished run already; give another --out.")
    run = recipe.run
    cases = kept_cases(kept, recipe, Restorer.load(model), report)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(run.seed)
    network = Grain(recipe.grain)
    channels_last(network)
    start_at_the_mean(network, cases, run)
    optimiser = torch.optim.AdamW(network.parameters(), lr=run.learning_rate, weight_decay=0.0)
    average = {key: value.detach().clone() for key, value in network.state_dict().items()}
    progress, log, total = Progress(), Log(folder / "log.csv", active=True), 0.0
    begun = time.monotonic()
    while share_done(run, progress) < 1:
        optimiser.param_groups[0]["lr"] = learning_rate(run, progress)
        seen = cases.draw(run.batch, np.random.default_rng((run.seed, progress.step)))
        loss = unlikely(network, seen)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        keep = min(run.ema, (progress.step + 1) / (progress.step + 20))
        with torch.no_grad():
            for key, value in network.state_dict().items():
                average[key].lerp_(value, 1 - keep)
        total += float(loss.detach()) / run.log_every
        progress.step += 1
        progress.seconds = time.monotonic() - begun
        if progress.step % run.log_every == 0:
            speed = run.batch * progress.step / progress.seconds
            rate, told = optimiser.param_groups[0]["lr"], {"unlikely": total}
            log.write(progress, rate, speed, told)
            report(log.line(progress, speed, told))
            total = 0.0
    return with_grain(recipe, model, average, folder / "bundle")


def start_at_the_mean(network: Grain, cases: Cases, run: GrainRun) -> None:
    """Say of every place what is so on average: the steps are for what differs."""
    seen = cases.draw(16, np.random.default_rng(run.seed))
    usual = strengths(detail(seen.truth)).mean((0, 2, 3)).log()
    with torch.no_grad():
        network.say.weight.mul_(0.1)
        assert network.say.bias is not None
        network.say.bias.copy_(usual)


def unlikely(network: Grain, seen: Seen) -> Tensor:
    """The negative logarithm of the likelihood of the truth's detail, a mean over real cells."""
    said = network(seen.face, seen.crop, seen.photographed, seen.there)
    with torch.no_grad():
        wanted = strengths(detail(seen.truth))
        # a cell beside the photograph's border has detail of the border's own
        real = (functional.avg_pool2d(seen.real, 3 * CELL, CELL, CELL) > 0.999).to(wanted)
    loss = 0.5 * (said + wanted * (-said).exp())
    return torch.as_tensor((loss * real).sum() / (real.sum() * loss.shape[1]).clamp(min=1))


def with_grain(recipe: GrainTraining, model: str, weights: dict[str, Tensor], out: Path) -> Path:
    """The restorer's bundle with these weights."""
    network = load_network(model)
    config = network.config.model_copy(update={"grain": recipe.grain})
    values = {k: v for k, v in network.own_weights().items() if not k.startswith("grain.")}
    values |= {f"grain.{key}": value for key, value in weights.items()}
    save_bundle(out, config, values, (find_bundle(model) / CARD).read_text(encoding="utf-8"))
    return out
