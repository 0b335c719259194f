"""Trains the refiner on the detector's pictures and labels, one window at a time.

A tenth of the scenes is held out to be measured on, the same as in the detector's training; the dev
split is never read. What ships is the average of the weights at the end: nothing is
chosen, but the level of the score is set on the held-out scenes (`refiner_settle`).
"""

from __future__ import annotations

import copy
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from vidref.faces.pack import load_pack
from vidref.training.detector_labels import DetectorData, Picture, detector_data
from vidref.training.detector_train import (
    HELD_OUT,
    HELD_OUT_FILE,
    as_input,
    fold_of,
    without_fold,
)
from vidref.training.face_run import (
    Averaged,
    Clock,
    RunFolder,
    half_is_quicker,
    learning_rate_factor,
    training_device,
)
from vidref.training.refiner_data import (
    BUT_LURES,
    FACE,
    LURES,
    UNSURE,
    Targets,
    Turned,
    WindowStream,
    find_lures,
    made_turned,
)
from vidref.training.refiner_network import RefinerNetwork
from vidref.training.refiner_settle import settle_score
from vidref.training.refiner_start import start_network
from vidref.training.refiner_stock import Batches, Part, StockedStream

MEASURED_BATCHES, MEASURED_COUNT = 8, 128
START_VIEWS = 256
SMALL_PX = 128
"""Pictures of faces up to this size are too coarse to be turned."""


@dataclass(frozen=True)
class RefinerRecipe:
    """Everything a run is determined by, beside the data; read from train-refiner.yaml."""

    minutes: float
    steps: int
    seed: int
    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int]
    portraits: int
    small_faces: int
    turned_faces: int
    batch: int
    learning_rate: float
    weight_decay: float
    box_weight: float
    point_weight: float
    average_decay: float
    stocked: int
    workers: int
    measure_every_minutes: float


def train_refiner(
    recipe: RefinerRecipe,
    data: Path,
    out: Path,
    resume: bool,
    lures_of: str = "bundled",
    start_from: str | None = None,
    fold: tuple[int, int] | None = None,
    stock: Path | None = None,
) -> Path:
    """Runs until the recipe's limits; returns the folder: its `best.safetensors` is the result.

    `stock` keeps windows for all folds (`refiner_stock`).
    """
    torch.manual_seed(recipe.seed)
    device = training_device()
    folder = RunFolder(out)
    kept = out.parent / "refiner-labels.json"
    everything = detector_data(data, recipe.portraits, recipe.small_faces, recipe.seed, kept)
    held, learned = list[Picture](), list[Picture]()
    scenes = everything.scenes
    for picture in scenes if fold is None else without_fold(scenes, fold, folder.path):
        (held if fold_of("held" + picture.name, HELD_OUT) == 0 else learned).append(picture)
    (folder.path / HELD_OUT_FILE).write_text("\n".join(p.name for p in held) + "\n")
    pack = load_pack(lures_of)
    lures = find_lures(pack, learned)
    stream: Batches
    if stock is not None and fold is not None:
        parts = stocked_parts(recipe, everything, fold, stock)
        fresh = WindowStream(DetectorData(learned, everything.faces), lures, recipe.seed, [], LURES)
        stream = StockedStream(parts, fresh if lures else None, recipe.seed)
    else:
        made = turned_portraits(recipe, everything.faces)
        stream = WindowStream(DetectorData(learned, everything.faces), lures, recipe.seed, made)
    unseen = WindowStream(
        DetectorData(held, everything.faces[:1]), find_lures(pack, held), recipe.seed
    )
    measured = [unseen.batch(n, MEASURED_COUNT, None) for n in range(MEASURED_BATCHES)]

    network = RefinerNetwork(recipe.widths, recipe.blocks)
    if start_from is not None:
        views, _ = stream.batch(recipe.steps, START_VIEWS, None)
        start_network(network, start_from, views)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = Averaged(network, recipe.average_decay)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    clock = Clock(recipe.minutes, recipe.steps)
    modules = {"network": network, "averaged": averaged.network}
    notes = {"measured": 0.0}
    if resume and folder.state_file.exists():
        notes = folder.load_state(clock, modules, optimiser)
        averaged.restored(clock.step)
    else:
        _write_sheet(stream, folder)
    workers = ThreadPoolExecutor(recipe.workers) if recipe.workers else None
    ahead = ThreadPoolExecutor(1)
    upcoming = ahead.submit(stream.batch, clock.step, recipe.batch, workers)
    half = half_is_quicker(device)
    clock.start()
    while clock.progress < 1:
        images, targets = upcoming.result()
        upcoming = ahead.submit(stream.batch, clock.step + 1, recipe.batch, workers)
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_factor(clock.progress)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            scores, boxes, points = network(as_input(images, device))
        score, box, point = refiner_losses((scores.float(), boxes.float(), points), targets)
        loss = score + recipe.box_weight * box + recipe.point_weight * point
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        averaged.update(network)
        clock.tick()

        if clock.step % 50 == 0:
            folder.log(
                step=clock.step,
                minutes=clock.seconds / 60,
                scores=score.item(),
                boxes=box.item(),
                points=point.item(),
            )
        due = clock.seconds / 60 - notes["measured"] >= recipe.measure_every_minutes
        if due or clock.progress >= 1:
            notes["measured"] = clock.seconds / 60
            folder.log(step=clock.step, **measure(averaged.network, measured, device))
            save_network(averaged.network, folder.path / "best.safetensors", recipe)
            folder.save_state(clock, modules, optimiser, notes)
    ahead.shutdown(cancel_futures=True)
    if workers is not None:
        workers.shutdown()
    settled = copy.deepcopy(averaged.network)
    assert isinstance(settled, RefinerNetwork)
    moved = settle_score(settled, pack, held, recipe.seed, device)
    folder.log(step=clock.step, score_moved_by=moved)
    save_network(settled, folder.path / "best.safetensors", recipe)
    return folder.path


def turned_portraits(recipe: RefinerRecipe, faces: list[Picture]) -> list[Turned]:
    """Heads made to turn: of the portraits, since smaller pictures are too coarse."""
    portraits = [picture for picture in faces if picture.image.shape[0] > SMALL_PX]
    return made_turned(portraits, recipe.turned_faces, recipe.seed)


def stocked_parts(
    recipe: RefinerRecipe, everything: DetectorData, fold: tuple[int, int], stock: Path
) -> list[Part]:
    """What is in stock for a fold: all parts but its own; those that are not there are made."""
    left_out, folds = fold
    count = recipe.stocked // folds
    labels = zlib.crc32(b"".join(p.labels.landmarks.tobytes() for p in everything.scenes))
    sizes = f"{recipe.portraits} {recipe.small_faces} {recipe.turned_faces}"
    about = f"{count} windows of {folds} folds, seed {recipe.seed}, {sizes}, labels {labels}"
    made = cache(lambda: turned_portraits(recipe, everything.faces))

    def windows_of(part: int) -> WindowStream:
        scenes = [
            picture
            for picture in everything.scenes
            if fold_of(picture.name, folds) == part
            and fold_of("held" + picture.name, HELD_OUT) != 0
        ]
        data = DetectorData(scenes, everything.faces)
        return WindowStream(data, [], recipe.seed + 1 + part, made(), BUT_LURES)

    return [
        Part.kept(stock / f"{part}-of-{folds}", partial(windows_of, part), count, about)
        for part in range(folds)
        if part != left_out
    ]


def refiner_losses(
    found: tuple[Tensor, Tensor, Tensor], targets: Targets
) -> tuple[Tensor, Tensor, Tensor]:
    """Of the scores, the boxes and the points; the latter two in shares of the face's size."""
    scores, boxes, points = found
    face = torch.from_numpy(targets.face).to(scores.device)
    known, real = face != UNSURE, face == FACE
    score = functional.binary_cross_entropy_with_logits(scores[known], face[known])
    if not real.any():
        return score, scores.sum() * 0, scores.sum() * 0
    true_boxes = torch.from_numpy(targets.boxes).to(scores.device)[real]
    true_points = torch.from_numpy(targets.points).to(scores.device)[real]
    size = true_boxes[:, 2:].exp().amax(1)
    off = boxes[real] - true_boxes
    box = torch.cat([off[:, :2] / size[:, None], off[:, 2:]], 1).abs().mean()
    point = ((points[real] - true_points).norm(dim=-1) / size[:, None]).mean()
    return score, box, point


@torch.no_grad()
def measure(
    network: torch.nn.Module,
    batches: list[tuple[np.ndarray, Targets]],
    device: torch.device,
) -> dict[str, float]:
    """On windows of held-out scenes: faces kept at 19 right of 20, and the points' error."""
    scores, real, errors = [], [], []
    for images, targets in batches:
        found = network(as_input(images, device))
        known = targets.face != UNSURE
        scores.append(found[0].cpu().numpy()[known])
        real.append(targets.face[known] == FACE)
        faces = targets.face == FACE
        true = targets.points[faces]
        off = np.linalg.norm(found[2].cpu().numpy()[faces] - true, axis=-1).mean(-1)
        eyes = np.linalg.norm(true[:, 1] - true[:, 0], axis=-1)
        # The eyes of a head seen from the side are close together; its mouth is not.
        errors.append(off / np.maximum(eyes, 0.1))
    order = np.argsort(-np.concatenate(scores))
    hits = np.concatenate(real)[order].cumsum()
    precise = hits / np.arange(1, len(hits) + 1) >= 0.95
    kept = hits[precise].max() / hits[-1] if precise.any() else 0.0
    return {
        "held_out_kept": float(kept),
        "held_out_points": float(np.concatenate(errors).mean()),
        "held_out_points_median": float(np.median(np.concatenate(errors))),
    }


def save_network(network: torch.nn.Module, path: Path, recipe: RefinerRecipe) -> None:
    state = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    shape = f"refiner {list(recipe.widths)} {list(recipe.blocks)}"
    save_file(state, path, metadata={"shape": shape})


def _write_sheet(stream: Batches, folder: RunFolder) -> None:
    """The first windows with their labels, so that a person can see what is learned."""
    images, targets = stream.batch(0, 60, None)
    tiles = []
    for image, face, points in zip(images, targets.face, targets.points, strict=True):
        tile = np.asarray(cv2.resize(image, None, fx=2, fy=2), np.uint8)
        colour = {1.0: (0, 255, 0), 0.0: (255, 0, 0)}.get(float(face), (255, 255, 0))
        cv2.rectangle(tile, (0, 0), (tile.shape[1] - 1, tile.shape[0] - 1), colour, 2)
        if face == FACE:
            for x, y in (points + 0.5) * tile.shape[0]:
                cv2.circle(tile, (int(x), int(y)), 2, (255, 255, 0), -1)
        tiles.append(tile)
    rows = [np.hstack(tiles[i : i + 10]) for i in range(0, 60, 10)]
    cv2.imwrite(str(folder.path / "samples.png"), np.vstack(rows)[..., ::-1])
