"""What the grain is learned from: restored faces, with all that the restorer saw of them.

Restoring a face costs more than learning from it, and the restorer does not change meanwhile: so
each face is made once, at the grain's own place in the restorer, and kept as plain arrays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from torch import Tensor

from vidref.errors import SettingsError
from vidref.model.config import GrainConfig
from vidref.model.context import Reference
from vidref.model.grain import Grain
from vidref.model.recogniser import Recogniser
from vidref.model.restorer import Face, Restorer, Sampling
from vidref.model.texture import grey
from vidref.training.batches import Batch, generators
from vidref.training.grain_config import GrainTraining
from vidref.training.photos import load_photos
from vidref.training.quick_batches import QuickBatchMaker

KINDS = {
    "face": np.float16,
    "crop": np.uint8,
    "photographed": np.uint8,
    "truth": np.uint8,
    "real": np.uint8,
}


@dataclass(frozen=True)
class Seen:
    """Grey pictures (B, 1, S, S) in [-1, 1]; `real` is 1 where the truth is a photograph, `there`
    (B,) where the face has photographs."""

    face: Tensor
    crop: Tensor
    photographed: Tensor
    truth: Tensor
    real: Tensor
    there: Tensor


class Recorder(Grain):
    """Stands where the grain will, adds nothing and remembers what it was shown."""

    def __init__(self) -> None:
        super().__init__(GrainConfig())
        self.seen: list[tuple[Tensor, Tensor | None]] = []

    def added(
        self, face: Tensor, crop: Tensor, photographed: Tensor | None, *_: object, **__: object
    ) -> Tensor:
        own = grey(face)
        self.seen.append((own[0, 0], None if photographed is None else photographed[0, 0]))
        return torch.zeros_like(own)


class Cases:
    """The kept faces."""

    def __init__(self, folder: Path) -> None:
        self.arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in KINDS}
        self.there: list[bool] = json.loads((folder / "about.json").read_text())["there"]

    def __len__(self) -> int:
        return len(self.there)

    def draw(self, count: int, draws: np.random.Generator) -> Seen:
        """Random faces."""
        chosen = draws.integers(len(self), size=count)
        pictures = {name: torch.from_numpy(self._picture(name, chosen))[:, None] for name in KINDS}
        return Seen(**pictures, there=torch.tensor([float(self.there[i]) for i in chosen]))

    def _picture(self, name: str, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        values = np.stack([self.arrays[name][index] for index in chosen])
        if name == "face":
            return values.astype(np.float32)
        if name == "real":
            return np.unpackbits(values, axis=2).astype(np.float32)
        return values.astype(np.float32) / 127.5 - 1


def kept_cases(
    folder: Path, recipe: GrainTraining, restorer: Restorer, report: Callable[[str], None]
) -> Cases:
    """The cases in a folder, first made if they are not there."""
    about = folder / "about.json"
    wanted = made_of(recipe, restorer)
    if not about.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        there = make_cases(folder, recipe, restorer, report)
        part = about.with_suffix(".part")
        part.write_text(json.dumps({**wanted, "there": there}), encoding="utf-8")
        part.replace(about)
    known = json.loads(about.read_text(encoding="utf-8"))
    if {name: known.get(name) for name in wanted} != wanted:
        raise SettingsError(
            f"{folder} holds faces of another restorer or recipe: give another --cases."
        )
    return Cases(folder)


def made_of(recipe: GrainTraining, restorer: Restorer) -> dict[str, object]:
    """What says that cases are those of this run."""
    keys = {"data", "damage", "cases", "least_detail", "no_photograph"}
    return {"restorer": restorer.sha256, "recipe": recipe.model_dump(mode="json", include=keys)}


def make_cases(
    folder: Path, recipe: GrainTraining, restorer: Restorer, report: Callable[[str], None]
) -> list[bool]:
    """Restore as many faces as asked for; whether each had a photograph."""
    size, config = restorer.config.size, recipe.for_batches(restorer.config)
    data = recipe.data
    photos = load_photos(data.folder, size, strict=data.strict, limit=data.limit)
    maker = QuickBatchMaker(photos, config, Recogniser(recipe.recogniser, config.recogniser_crop))
    sharp = photos.detail >= recipe.least_detail
    maker.pairing.only(sharp.tolist())
    shapes = {name: (recipe.cases, size, size if name != "real" else size // 8) for name in KINDS}
    arrays: dict[str, NDArray[np.generic]] = {
        name: open_memmap(folder / f"{name}.npy", "w+", kind, shapes[name])
        for name, kind in KINDS.items()
    }
    recorder = Recorder()
    own, restorer.network.grain = restorer.network.grain, recorder
    there: list[bool] = []
    try:
        for step in range(-(-recipe.cases // config.run.batch)):
            batch = maker.make(step)
            faces = _faces(batch, restorer, recipe, step)
            restorer.restore(faces, Sampling(steps=1))
            for row, (face, photographed) in enumerate(recorder.seen[: recipe.cases - len(there)]):
                at = len(there)
                arrays["face"][at] = face.half().numpy()
                arrays["crop"][at] = as_bytes(batch.degraded[row].mean(0))
                arrays["truth"][at] = as_bytes(batch.target[row].mean(0))
                arrays["photographed"][at] = as_bytes(
                    face if photographed is None else photographed
                )
                arrays["real"][at] = np.packbits(batch.real[row, 0].numpy() > 0.5, axis=1)
                there.append(photographed is not None)
            recorder.seen.clear()
            if step % 50 == 49:
                report(f"{len(there)} of {recipe.cases} faces restored")
    finally:
        restorer.network.grain = own
    return there


def _faces(batch: Batch, restorer: Restorer, recipe: GrainTraining, step: int) -> Sequence[Face]:
    """The damaged faces of a batch, some without their photographs."""
    draws, _ = generators(recipe.run.seed + 1, step, 0, torch.device("cpu"))
    faces = []
    for row, crop in enumerate(batch.degraded):
        alone = bool(torch.rand(1, generator=draws) < recipe.no_photograph)
        known = []
        if batch.embeddings is not None and not alone:
            shown = zip(batch.references[row], batch.embeddings[row], strict=True)
            known = [Reference(one[None], who[None]) for one, who in shown]
        faces.append(Face(crop, "somebody", restorer.remember(known[: int(batch.counts[row])])))
    return faces


def as_bytes(picture: Tensor) -> NDArray[np.uint8]:
    levels = ((picture.float() + 1) * 127.5).round().clamp(0, 255)
    return np.asarray(levels.byte().numpy())
