"""The aligned portraits in memory: decoded once, kept as bytes, cut on the device.

A stored photograph is 1.2 x the face square, so that shifts and rotations find real pixels. Where
the photograph ended it was filled by mirroring; `corners` tells where it is real.
"""

from __future__ import annotations

import csv
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vidref.errors import InputError

MARGIN = 1.2
CIRCULAR_SOURCE = "pif"
"""Some of this source's photos are masked to a circle; all of them are trusted only inside it."""


@dataclass(frozen=True)
class Photos:
    """N photographs.

    `corners` (N, 4, 2) are in units of the stored side; `detail` is the share of a 512 px square's
    resolution that the photo really has (1 where it has it all).
    """

    pixels: Tensor
    people: Tensor
    detail: Tensor
    corners: Tensor
    circular: Tensor
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.people)


def read_index(folder: Path) -> list[dict[str, str]]:
    """The rows of `faces.csv`, or of the packed shards' own `index.csv` files."""
    if (folder / "faces.csv").exists():
        with (folder / "faces.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    rows: list[dict[str, str]] = []
    for shard in sorted(folder.glob("photos-*.zip")):
        with zipfile.ZipFile(shard) as archive:
            text = archive.read("index.csv").decode("utf-8")
        rows += [{**row, "shard": shard.name} for row in csv.DictReader(io.StringIO(text))]
    if not rows:
        raise InputError(f"{folder}: neither faces.csv nor photos-*.zip: give the data's folder.")
    return rows


def load_photos(
    folder: Path, size: int, split: str = "train", strict: bool = False, limit: int | None = None
) -> Photos:
    """Decode a split at `size` px per face square; `strict` keeps what is corroborated."""
    rows = [row for row in read_index(folder) if row["split"] == split]
    rows = [row for row in rows if row["strict"] == "1" or not strict][:limit]
    if not rows:
        raise InputError(f"{folder}: no photographs of the split {split}: check faces.csv.")
    stored = round(MARGIN * size)
    archives = {name: (folder / name).read_bytes() for name in {row["shard"] for row in rows}}

    def decode(part: list[dict[str, str]]) -> list[np.ndarray]:
        open_files = {name: zipfile.ZipFile(io.BytesIO(data)) for name, data in archives.items()}
        images = []
        for row in part:
            with Image.open(io.BytesIO(open_files[row["shard"]].read(row["file"]))) as image:
                images.append(at_size(image.convert("RGB"), stored))
        return images

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        parts = pool.map(decode, [rows[first : first + 32] for first in range(0, len(rows), 32)])
        pixels = np.stack([image for part in parts for image in part]).transpose(0, 3, 1, 2)
    numbers = {person: i for i, person in enumerate(dict.fromkeys(row["person"] for row in rows))}
    corners = [[float(x) for x in row["source_quad_xy"].split()] for row in rows]
    sides = np.array([float(row["size_px"]) for row in rows])
    return Photos(
        pixels=torch.from_numpy(np.ascontiguousarray(pixels)),
        people=torch.tensor([numbers[row["person"]] for row in rows]),
        detail=torch.tensor([min(1.0, float(row["native_px"]) / 512) for row in rows]),
        corners=torch.from_numpy(
            np.array(corners).reshape(-1, 4, 2) / sides[:, None, None]
        ).float(),
        circular=torch.tensor([row["source"] == CIRCULAR_SOURCE for row in rows]),
        names=tuple(Path(row["file"]).stem for row in rows),
    )


def at_size(image: Image.Image, size: int) -> np.ndarray:
    """The picture at size x size."""
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(image)
