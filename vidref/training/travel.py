"""Photographs as shards small enough to travel to a machine that nothing else can reach.

The pictures' bytes are copied as they are; a shard is a zip with its own index.csv, and a folder
of shards is read by `photos.load_photos` like the original one. Beside it, a file of any size is
cut into pieces and joined again, for what a machine sends back.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from pathlib import Path

from vidref.errors import InputError
from vidref.training.photos import read_index


def pack_photos(folder: Path, out: Path, limit_bytes: int, split: str = "train") -> list[Path]:
    """Write photos-NN.zip files of at most `limit_bytes`, holding one split."""
    rows = [row for row in read_index(folder) if row["split"] == split]
    out.mkdir(parents=True, exist_ok=True)
    archives = {name: zipfile.ZipFile(folder / name) for name in {row["shard"] for row in rows}}
    shards: list[Path] = []
    kept: list[tuple[dict[str, str], bytes]] = []
    held = 0

    def write() -> None:
        index = io.StringIO()
        writer = csv.DictWriter(index, list(rows[0]))
        writer.writeheader()
        writer.writerows(row for row, _ in kept)
        path = out / f"photos-{len(shards):02d}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as shard:
            shard.writestr("index.csv", index.getvalue())
            for row, data in kept:
                shard.writestr(row["file"], data)
        shards.append(path)

    for row in sorted(rows, key=lambda row: row["person"]):
        data = archives[row["shard"]].read(row["file"])
        # a zip entry costs about 250 bytes, an index line as much again
        cost = len(data) + 600
        if held + cost > limit_bytes and kept:
            write()
            kept, held = [], 0
        kept.append((row, data))
        held += cost
    write()
    for archive in archives.values():
        archive.close()
    return shards


def cut(path: Path, out: Path, piece_bytes: int) -> list[Path]:
    """Cut a file into NAME.00, NAME.01, ... and NAME.sha256."""
    data = path.read_bytes()
    out.mkdir(parents=True, exist_ok=True)
    pieces = []
    for number, first in enumerate(range(0, len(data), piece_bytes)):
        piece = out / f"{path.name}.{number:02d}"
        piece.write_bytes(data[first : first + piece_bytes])
        pieces.append(piece)
    (out / f"{path.name}.sha256").write_text(hashlib.sha256(data).hexdigest() + "\n")
    return pieces


def join(folder: Path, name: str, out: Path) -> Path:
    """Put the pieces of NAME together in `out`, checked."""
    data = b"".join(p.read_bytes() for p in sorted(folder.glob(f"{name}.[0-9][0-9]")))
    stated = folder / f"{name}.sha256"
    whole = stated.exists() and hashlib.sha256(data).hexdigest() == stated.read_text().strip()
    if not whole:
        raise InputError(
            f"{folder}: the pieces of {name} are incomplete or damaged: copy them again."
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(data)
    return out / name
