"""Portraits of the training split with another photograph of the same person beside each.

For whatever is fitted on degraded faces whose truth is known, as a restorer meets them in use: of
each three faces one has a user's photo as reference, one a better frame of its own clip (another
portrait, mildly damaged), one none.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vidref import weights
from vidref.model.portraits import Portraits
from vidref.model.restorer import PersonContext, Restorer
from vidref.pipeline.rebuild import as_tensor
from vidref.training.degradation import WORN, degrade_batch, draw

WHOLE_PX, CROP_PX = 614, 512
LEAST_PX, OTHER_PX = 440, 250
SAME_PICTURE = 0.9
"""Correlation of two pictures in grey from which they are scans of one."""


def pairs(data: Path, people: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A sharp, whole portrait and another of the same person, each with its margin."""
    with (data / "faces.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    rows = [r for r in rows if float(r["inner_real"]) >= 0.95 and int(r["native_px"]) >= OTHER_PX]
    rows.sort(key=lambda row: (row["person"], -int(row["native_px"]), row["file"]))
    together = [list(group) for _, group in groupby(rows, key=lambda row: row["person"])]
    several = [g for g in together if len(g) > 1 and int(g[0]["native_px"]) >= LEAST_PX]
    found = 0
    for number in np.random.default_rng(seed).permutation(len(several)):
        first, *others = (_read(data, row) for row in several[number])
        other = next((one for one in others if not _same_picture(first, one)), None)
        if other is None:
            continue
        yield first, other
        found += 1
        if found == people:
            return


def inner(whole: np.ndarray) -> np.ndarray:
    """The aligned square of a portrait with its margin."""
    margin = (WHOLE_PX - CROP_PX) // 2
    return np.ascontiguousarray(whole[margin:-margin, margin:-margin])


def as_batch(picture: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255


def as_bytes(batch: torch.Tensor) -> np.ndarray:
    """The first of a batch as (H, W, 3) uint8."""
    return np.rint(batch[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


class Evidence:
    """What a restorer is told of a person, one case after the other."""

    def __init__(self, restorer: Restorer, draws: torch.Generator) -> None:
        self._restorer, self._draws = restorer, draws
        self._portraits = Portraits.for_model(
            restorer.name,
            restorer.recogniser_sha256,
            restorer.mirrored_embeddings,
            sorted(weights.FACE_PACK.glob("*.onnx")),
        )

    def context(self, case: int, other: np.ndarray) -> PersonContext:
        """By turns from a photo, from a better frame of the clip, and from nothing."""
        if case % 3 == 2:
            return self._restorer.remember([])
        picture = inner(other)
        if case % 3 == 1:
            damage = draw(WORN, 1, CROP_PX, self._draws)
            picture = as_bytes(degrade_batch(as_batch(picture), damage, self._draws))
        return self.of(picture)

    def of(self, picture: np.ndarray) -> PersonContext:
        """From one aligned square."""
        return self._restorer.remember([self._portraits.reference(as_tensor(picture)[None])])


def _read(data: Path, row: dict[str, str]) -> np.ndarray:
    with zipfile.ZipFile(data / row["shard"]) as shard:
        image = Image.open(io.BytesIO(shard.read(row["file"]))).convert("RGB")
    return np.asarray(image.resize((WHOLE_PX, WHOLE_PX), Image.Resampling.BICUBIC))


def _same_picture(one: np.ndarray, other: np.ndarray) -> bool:
    small = [
        np.asarray(Image.fromarray(p).convert("L").resize((64, 64)), np.float32).ravel()
        for p in (one, other)
    ]
    return float(np.corrcoef(*small)[0, 1]) > SAME_PICTURE
