"""A folder of portraits in the layout of the real data, drawn here: ovals with eyes."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE = 96
FIELDS = (
    "shard", "file", "person", "split", "source", "strict", "native_px", "size_px",
    "landmarks_xy", "source_quad_xy", "inner_real",
)  # fmt: skip


def portrait(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    base = np.stack([x, y, 1 - x], -1) * rng.uniform(40, 120, 3) + rng.uniform(20, 120, 3)
    image = Image.fromarray(base.astype(np.uint8))
    draw = ImageDraw.Draw(image)
    skin = tuple(int(v) for v in rng.uniform((120, 80, 60), (240, 200, 180)))
    draw.ellipse((24, 14, 72, 84), fill=skin)
    for left in (36, 54):
        draw.ellipse((left, 40, left + 7, 46), fill=(20, 20, 30))
    draw.line((40, 66, 58, 66 + int(rng.integers(-3, 4))), fill=(120, 30, 30), width=3)
    return image


def write_photos(folder: Path, people: tuple[int, ...] = (3, 2, 1, 1)) -> Path:
    """`people[i]` photographs of person i, and one person of the split dev."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    with zipfile.ZipFile(folder / "faces-0.zip", "w") as archive:
        for person, count in enumerate((*people, 1)):
            for number in range(count):
                seed = 100 * person + number
                split = "train" if person < len(people) else "dev"
                store = io.BytesIO()
                portrait(seed).save(store, "WEBP", lossless=True)
                name = f"{split}/P{person}_house_{seed:04d}.webp"
                archive.writestr(name, store.getvalue())
                corners = f"0 0 {SIDE} 0 {SIDE} {SIDE} 0 {SIDE}"
                source = "pif" if person == 3 else "house"
                native = 512 if number == 0 else 128
                row = ("faces-0.zip", name, f"P{person}", split, source, str(person % 2), native)
                rows.append((*row, SIDE, "", corners, "1.000"))
    with (folder / "faces.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows(rows)
    return folder
