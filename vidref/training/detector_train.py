"""Trains the detector on the teacher's cleaned labels, on pictures composed afresh each time.

A fold leaves one in n scenes out of training altogether, for the five-fold measurement;
checkpoints are chosen on a tenth of the remaining scenes, held out too. The dev split is never
read.
"""

from __future__ import annotations

import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from vidref.faces.boxes import match, suppress
from vidref.training.detector_data import SampleStream
from vidref.training.detector_labels import (
    FACES_AFTER_ALL,
    NOT_FACES,
    UNLABELLED,
    DetectorData,
    Labels,
    Picture,
    detector_data,
)
from vidref.training.detector_loss import Cells, Predictions, detector_loss
from vidref.training.detector_network import DetectorNetwork
from vidref.training.face_run import (
    Averaged,
    Clock,
    RunFolder,
    learning_rate_factor,
    training_device,
)

MEASURED_PX = 640
HELD_OUT = 10
FOLD_FILE, HELD_OUT_FILE = "fold.txt", "held-out.txt"
"""Scenes that no training step saw, for `vidref evaluate face-pack --scenes`; checkpoints are
chosen by the second."""


@dataclass(frozen=True)
class DetectorRecipe:
    """Everything a run is determined by, beside the data; read from train-detector.yaml."""

    minutes: float
    steps: int
    seed: int
    widths: tuple[int, int, int, int, int]
    neck: int
    portraits: int
    small_faces: int
    canvas_px: int
    batch: int
    large_canvas_px: int
    large_batch: int
    large_every: int
    learning_rate: float
    weight_decay: float
    box_weight: float
    point_weight: float
    average_decay: float
    workers: int
    measure_every_minutes: float


def fold_of(name: str, folds: int) -> int:
    """Which fold a scene belongs to: by its name alone, so that it can be told anywhere."""
    return zlib.crc32(name.encode()) % folds


def without_fold(scenes: list[Picture], fold: tuple[int, int], out: Path) -> list[Picture]:
    """The scenes that are not in a fold (its number, of how many); those that are go into a list.

    The list says where the teacher is known to be wrong, for who measures on these scenes.
    """
    left_out = [p.name for p in scenes if fold_of(p.name, fold[1]) == fold[0]]
    missed = UNLABELLED | FACES_AFTER_ALL
    lines = [
        f"{name} no-face" if name in NOT_FACES else f"{name} missed" if name in missed else name
        for name in left_out
    ]
    (out / FOLD_FILE).write_text("\n".join(lines) + "\n")
    return [p for p in scenes if p.name not in set(left_out)]


def train_detector(
    recipe: DetectorRecipe,
    data: Path,
    out: Path,
    resume: bool,
    fold: tuple[int, int] | None = None,
) -> Path:
    """Runs until the recipe's limits; returns the folder: its `best.safetensors` is the result."""
    torch.manual_seed(recipe.seed)
    device = training_device()
    cache = out.parent / "detector-labels.json"
    folder = RunFolder(out)
    everything = detector_data(data, recipe.portraits, recipe.small_faces, recipe.seed, cache)
    scenes = everything.scenes
    if fold is not None:
        scenes = without_fold(scenes, fold, folder.path)
    held = [p for p in scenes if fold_of("held" + p.name, HELD_OUT) == 0]
    learned = [p for p in scenes if fold_of("held" + p.name, HELD_OUT) != 0]
    (folder.path / HELD_OUT_FILE).write_text("\n".join(p.name for p in held) + "\n")
    stream = SampleStream(DetectorData(learned, everything.faces), recipe.seed)

    network = DetectorNetwork(recipe.widths, recipe.neck)
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = Averaged(network, recipe.average_decay)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    clock = Clock(recipe.minutes, recipe.steps)
    modules = {"network": network, "averaged": averaged.network}
    notes = {"best": 0.0, "measured": 0.0}
    if resume and folder.state_file.exists():
        notes = folder.load_state(clock, modules, optimiser)
        averaged.restored(clock.step)
    else:
        _write_sheet(stream, recipe, folder)
    shapes = {size: Cells.of(size, device) for size in (recipe.canvas_px, recipe.large_canvas_px)}

    def shape_of(step: int) -> tuple[int, int]:
        if step % recipe.large_every == recipe.large_every - 1:
            return recipe.large_canvas_px, recipe.large_batch
        return recipe.canvas_px, recipe.batch

    pool = ThreadPoolExecutor(recipe.workers) if recipe.workers else None
    ahead = ThreadPoolExecutor(1)
    upcoming = ahead.submit(stream.batch, clock.step, *shape_of(clock.step), pool)
    clock.start()
    while clock.progress < 1:
        images, labels = upcoming.result()
        upcoming = ahead.submit(stream.batch, clock.step + 1, *shape_of(clock.step + 1), pool)
        for group in optimiser.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_factor(clock.progress)
        cells = shapes[images.shape[1]]
        with torch.autocast(device.type, dtype=torch.bfloat16):
            maps = network(as_input(images, device))
        losses = detector_loss(Predictions.of(maps, cells), cells, labels)
        loss = (
            losses.scores + recipe.box_weight * losses.boxes + recipe.point_weight * losses.points
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimiser.step()
        averaged.update(network)
        clock.tick()

        if clock.step % 20 == 0:
            folder.log(
                step=clock.step,
                minutes=clock.seconds / 60,
                scores=losses.scores.item(),
                boxes=losses.boxes.item(),
                points=losses.points.item(),
            )
        due = clock.seconds / 60 - notes["measured"] >= recipe.measure_every_minutes
        if due or clock.progress >= 1:
            notes["measured"] = clock.seconds / 60
            recall, error = measure(averaged.network, held, device)
            folder.log(step=clock.step, held_out_recall=recall, held_out_landmarks=error)
            # A landmark error of 0.05 is worth as much as a tenth of the faces.
            if recall - 2 * error >= notes["best"] or notes["best"] == 0:
                notes["best"] = recall - 2 * error
                save_network(averaged.network, folder.path / "best.safetensors", recipe)
            folder.save_state(clock, modules, optimiser, notes)
    ahead.shutdown(cancel_futures=True)
    if pool is not None:
        pool.shutdown()
    return folder.path


def as_input(images: np.ndarray, device: torch.device) -> torch.Tensor:
    """uint8 NHWC RGB to the channels-last batch in [-1, 1] that the network reads."""
    batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
    return batch.float().sub_(127.5).div_(128).contiguous(memory_format=torch.channels_last)


def save_network(network: torch.nn.Module, path: Path, recipe: DetectorRecipe) -> None:
    state = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    save_file(state, path, metadata={"shape": f"{list(recipe.widths)} {recipe.neck}"})


@torch.no_grad()
def measure(
    network: torch.nn.Module, pictures: list[Picture], device: torch.device
) -> tuple[float, float]:
    """Recall of sure faces at precision 0.95, and their landmark error over the eye distance."""
    cells = Cells.of(MEASURED_PX, device)
    scores: list[float] = []
    right: list[bool] = []
    errors: list[float] = []
    faces = 0
    for picture in pictures:
        scale = MEASURED_PX / max(picture.image.shape[:2])
        resized = cv2.resize(picture.image, None, fx=scale, fy=scale)[:MEASURED_PX, :MEASURED_PX]
        canvas = np.zeros((1, MEASURED_PX, MEASURED_PX, 3), np.uint8)
        canvas[0, : resized.shape[0], : resized.shape[1]] = resized
        with torch.autocast(device.type, dtype=torch.bfloat16):
            maps = network(as_input(canvas, device))
        found = Predictions.of(maps, cells)
        likely = found.scores[0].sigmoid() > 0.1
        boxes = found.boxes[0, likely].cpu().numpy() / scale
        points = found.points[0, likely].cpu().numpy() / scale
        chances = found.scores[0, likely].sigmoid().cpu().numpy()
        kept = suppress(boxes, chances, 0.4)
        labels = picture.labels
        faces += int(labels.sure.sum())
        claims = match(boxes[kept], chances[kept], labels.boxes, 0.5)
        for index, claim in zip(kept, claims, strict=True):
            if claim >= 0 and not labels.sure[claim]:
                continue
            scores.append(float(chances[index]))
            right.append(claim >= 0)
            if claim >= 0:
                errors.append(landmark_error(points[index], labels.landmarks[claim]))
    order = np.argsort(-np.array(scores))
    hits = np.array(right)[order].cumsum() if scores else np.zeros(0)
    precise = hits / np.arange(1, len(hits) + 1) >= 0.95
    recall = float(hits[precise].max() / faces) if precise.any() else 0.0
    return recall, float(np.mean(errors)) if errors else 1.0


def landmark_error(found: np.ndarray, true: np.ndarray) -> float:
    """Mean distance of the five points, as a share of the distance between the eyes."""
    eyes = float(np.linalg.norm(true[1] - true[0]))
    return float(np.linalg.norm(found - true, axis=1).mean() / max(eyes, 1.0))


def _write_sheet(stream: SampleStream, recipe: DetectorRecipe, folder: RunFolder) -> None:
    """The first batch with its labels as a picture, so that a person can see what is learned."""
    images, labels = stream.batch(0, recipe.canvas_px, 24, None)
    for image, each in zip(images, labels, strict=True):
        _draw(image, each)
    rows = [np.hstack(list(images[i : i + 6])) for i in range(0, 24, 6)]
    cv2.imwrite(str(folder.path / "samples.png"), np.vstack(rows)[..., ::-1])


def _draw(image: np.ndarray, labels: Labels) -> None:
    for box, points, sure in zip(labels.boxes, labels.landmarks, labels.sure, strict=True):
        left, top, right, bottom = (int(v) for v in box)
        cv2.rectangle(image, (left, top), (right, bottom), (0, 255, 0) if sure else (255, 0, 0), 1)
        for x, y in points:
            cv2.circle(image, (int(x), int(y)), 1, (255, 255, 0), -1)
