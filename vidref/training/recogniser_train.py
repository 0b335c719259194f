"""Trains the recogniser from identities alone; no other network has a say in it.

Checkpoints are chosen on people held out of the train split, by true accepts at one false accept
in a thousand, clean and degraded; the dev split and the judge network are never seen here.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as functional
from safetensors.torch import load_file, save_file

from vidref.training.face_run import (
    Averaged,
    Clock,
    RunFolder,
    learning_rate_factor,
    training_device,
)
from vidref.training.recogniser_data import PairSampler, People, hold_out, inner, read_people
from vidref.training.recogniser_loss import PeopleProxies, agreement
from vidref.training.recogniser_measure import HeldOut, as_input, embed
from vidref.training.recogniser_network import RecogniserNetwork
from vidref.training.recogniser_start import exported_file, fill_from_export
from vidref.training.recogniser_whitening import whiten


@dataclass(frozen=True)
class RecogniserRecipe:
    """Everything a run is determined by, beside the data; read from train-recogniser.yaml."""

    minutes: float
    steps: int
    seed: int
    widths: tuple[int, int, int]
    blocks: tuple[int, int, int]
    embedding_size: int
    people_per_batch: int
    several_weight: float
    learning_rate: float
    proxy_learning_rate: float
    weight_decay: float
    scale: float
    margin: float
    temperature: float
    agreement_weight: float
    pairs_only_until: float
    held_out_people: int
    average_decay: float
    workers: int
    measure_every_minutes: float


def train_recogniser(
    recipe: RecogniserRecipe, data: Path, out: Path, resume: bool, start_from: str | None = None
) -> Path:
    """Runs until the recipe's limits; returns the folder: its `best.safetensors` is the result.

    `start_from` names an exported recogniser to go on from, `bundled` or a file. It knows faces
    already, so the margin softmax begins at once.
    """
    start = None if start_from is None else exported_file(start_from)
    pairs_only_until = 0.0 if start else recipe.pairs_only_until
    torch.manual_seed(recipe.seed)
    device = training_device()
    everyone = read_people(data, "train")
    people, held = hold_out(everyone, recipe.held_out_people, recipe.seed)
    held_out = HeldOut.of(held, recipe.seed)
    sampler = PairSampler(people, recipe.people_per_batch, recipe.several_weight, recipe.seed)

    network = RecogniserNetwork(recipe.widths, recipe.blocks, recipe.embedding_size)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start:
        fill_from_export(network, start, sampler.batch(0, None)[0])
    proxies = PeopleProxies(len(people), recipe.embedding_size, recipe.scale).to(device)
    averaged = Averaged(network, recipe.average_decay)
    optimiser = torch.optim.AdamW(
        [
            {
                "params": [p for p in network.parameters() if p.requires_grad],
                "weight_decay": recipe.weight_decay,
            },
            {"params": list(proxies.parameters()), "weight_decay": 0.0},
        ]
    )
    clock = Clock(recipe.minutes, recipe.steps)
    folder = RunFolder(out)
    modules = {"network": network, "proxies": proxies, "averaged": averaged.network}
    notes = {"best": 0.0, "imprinted": 0.0, "measured": 0.0}
    if resume and folder.state_file.exists():
        notes = folder.load_state(clock, modules, optimiser)
        averaged.restored(clock.step)
    else:
        _write_sheet(sampler, folder)
        if start:
            clean, degraded = held_out.accepts(averaged.network, device)
            folder.log(step=0, held_out=clean, held_out_moderate=degraded)
            notes["best"] = clean + degraded
            save_network(averaged.network, folder.path / "best.safetensors", recipe)

    pool = ThreadPoolExecutor(recipe.workers) if recipe.workers else None
    ahead = ThreadPoolExecutor(1)
    upcoming = ahead.submit(sampler.batch, clock.step, pool)
    clock.start()
    while clock.progress < 1:
        faces, owners = upcoming.result()
        upcoming = ahead.submit(sampler.batch, clock.step + 1, pool)
        if not notes["imprinted"] and clock.progress >= pairs_only_until:
            _imprint(proxies, network, people, device)
            notes["imprinted"] = 1.0
        factor = learning_rate_factor(clock.progress)
        optimiser.param_groups[0]["lr"] = recipe.learning_rate * factor
        optimiser.param_groups[1]["lr"] = recipe.proxy_learning_rate * factor

        targets = torch.from_numpy(owners).to(device)
        with half_precision(device):
            embeddings = network(as_input(faces, device))
        embeddings = embeddings.float()
        alike = agreement(embeddings, targets, recipe.temperature)
        loss = alike
        identified = torch.zeros(())
        if notes["imprinted"]:
            since = (clock.progress - pairs_only_until) / (1 - pairs_only_until)
            identified = proxies(embeddings, targets, recipe.margin * min(1.0, since / 0.3))
            loss = identified + recipe.agreement_weight * alike
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        averaged.update(network)
        clock.tick()

        if clock.step % 20 == 0:
            folder.log(
                step=clock.step,
                minutes=clock.seconds / 60,
                agreement=alike.item(),
                people=identified.item(),
            )
        due = clock.seconds / 60 - notes["measured"] >= recipe.measure_every_minutes
        if due or clock.progress >= 1:
            notes["measured"] = clock.seconds / 60
            clean, degraded = held_out.accepts(averaged.network, device)
            folder.log(step=clock.step, held_out=clean, held_out_moderate=degraded)
            if clean + degraded >= notes["best"]:
                notes["best"] = clean + degraded
                save_network(averaged.network, folder.path / "best.safetensors", recipe)
            folder.save_state(clock, modules, optimiser, notes)
    ahead.shutdown(cancel_futures=True)
    _finish(folder, recipe, people, held_out, device)
    if pool is not None:
        pool.shutdown()
    return folder.path


def _finish(
    folder: RunFolder,
    recipe: RecogniserRecipe,
    people: People,
    held_out: HeldOut,
    device: torch.device,
) -> None:
    """Whitens the chosen checkpoint."""
    path = folder.path / "best.safetensors"
    network = RecogniserNetwork(recipe.widths, recipe.blocks, recipe.embedding_size)
    network.load_state_dict(load_file(path))
    network = network.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    ridge = whiten(network, people, held_out, recipe.seed, device)
    clean, degraded = held_out.accepts(network, device)
    folder.log(whitened=ridge, held_out=clean, held_out_moderate=degraded)
    save_network(network, path, recipe)


def half_precision(device: torch.device) -> torch.autocast:
    """bf16 where the processor computes in it; a CPU that must imitate it is many times slower."""
    able = device.type != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=able)


def save_network(network: torch.nn.Module, path: Path, recipe: RecogniserRecipe) -> None:
    shape = f"{list(recipe.widths)} {list(recipe.blocks)} {recipe.embedding_size}"
    state = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    save_file(state, path, metadata={"shape": shape})


@torch.no_grad()
def _imprint(
    proxies: PeopleProxies,
    network: torch.nn.Module,
    people: People,
    device: torch.device,
) -> None:
    """Sets every person's proxy to the mean embedding of that person's photographs."""
    network.eval()
    order = [i for photos in people.photos for i in photos]
    owners = torch.tensor([p for p, photos in enumerate(people.photos) for _ in photos])
    with half_precision(device):
        embeddings = embed(network, np.stack([inner(people.faces[i]) for i in order]), device)
    means = torch.zeros_like(proxies.directions.data, device="cpu")
    means.index_add_(0, owners, embeddings)
    proxies.directions.data.copy_(functional.normalize(means, dim=1))
    network.train()


def _write_sheet(sampler: PairSampler, folder: RunFolder) -> None:
    """The first batch as a picture, so that a person can see what is being learned from."""
    faces, _ = sampler.batch(0, None)
    half = len(faces) // 2
    across = min(6, half)
    pairs = [np.hstack([faces[i], faces[i + half]]) for i in range(half - half % across)]
    rows = [np.hstack(pairs[i : i + across]) for i in range(0, len(pairs), across)]
    cv2.imwrite(str(folder.path / "samples.png"), np.vstack(rows)[..., ::-1])
