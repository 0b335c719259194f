"""Windows for the refiner that are made once and learned from in every fold.

A part of the stock is made of one fold's scenes alone, and of single faces. A training that leaves
that fold out leaves its part out, so nothing made of those scenes reaches it. What a fold's own
detector takes for faces is no part of the stock: it is made as it is learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from vidref.errors import SettingsError
from vidref.faces.refiner import MIRRORED, WINDOW_PX
from vidref.training.refiner_data import LURES, Targets, WindowStream

AT_ONCE = 64
MIRROR_SIGNS = np.array([-1, 1], np.float32)


class Batches(Protocol):
    """Batches by their number."""

    def batch(
        self, number: int, count: int, pool: Executor | None
    ) -> tuple[NDArray[np.uint8], Targets]: ...


@dataclass(frozen=True)
class Part:
    windows: NDArray[np.uint8]
    targets: Targets

    @staticmethod
    def kept(folder: Path, stream: Callable[[], Batches], count: int, about: str) -> Part:
        """The part in a folder, first made of a stream if it is not there.

        `about` says what it is made of: a part of something else is refused.
        """
        note, windows, targets = (folder / n for n in ("about.json", "windows.npy", "targets.npz"))
        if not note.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _make(stream(), count, windows, targets)
            note.write_text(json.dumps(about))
        if json.loads(note.read_text()) != about:
            raise SettingsError(
                f"{folder} was made by another recipe or of other labels; give another --stock."
            )
        with np.load(targets) as held:
            return Part(np.load(windows, mmap_mode="r"), Targets(**held))


def _make(stream: Batches, count: int, windows: Path, targets: Path) -> None:
    shape = (count, WINDOW_PX, WINDOW_PX, 3)
    images = open_memmap(windows, mode="w+", dtype=np.uint8, shape=shape)
    rows: list[Targets] = []
    for start in range(0, count, AT_ONCE):
        made, labels = stream.batch(start // AT_ONCE, min(AT_ONCE, count - start), None)
        images[start : start + len(made)] = made
        rows.append(labels)
    images.flush()
    np.savez(
        targets,
        face=np.concatenate([r.face for r in rows]),
        boxes=np.concatenate([r.boxes for r in rows]),
        points=np.concatenate([r.points for r in rows]),
    )


class StockedStream:
    """Batches of windows in stock, half of them mirrored, and of lures that are made now."""

    def __init__(self, parts: list[Part], lures: WindowStream | None, seed: int) -> None:
        self._parts, self._lures, self._seed = parts, lures, seed

    def batch(
        self, number: int, count: int, pool: Executor | None
    ) -> tuple[NDArray[np.uint8], Targets]:
        rng = np.random.default_rng((self._seed, number))
        fresh = round(count * (LURES[1] - LURES[0])) if self._lures is not None else 0
        taken = [self._one(rng) for _ in range(count - fresh)]
        images = np.stack([image for image, _ in taken])
        targets = _joined([target for _, target in taken])
        if self._lures is not None and fresh:
            made, labels = self._lures.batch(number, fresh, pool)
            images, targets = np.concatenate([images, made]), _joined([targets, labels])
        return images, targets

    def _one(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], Targets]:
        part = self._parts[rng.integers(len(self._parts))]
        row = slice(index := int(rng.integers(len(part.windows))), index + 1)
        image, known = part.windows[index], part.targets
        target = Targets(known.face[row], known.boxes[row], known.points[row])
        return (image, target) if rng.random() < 0.5 else (image[:, ::-1], in_the_mirror(target))


def in_the_mirror(targets: Targets) -> Targets:
    """The targets of mirrored windows: places are counted from the middle."""
    boxes = targets.boxes * np.array([-1, 1, 1, 1], np.float32)
    return Targets(targets.face, boxes, targets.points[:, MIRRORED] * MIRROR_SIGNS)


def _joined(parts: list[Targets]) -> Targets:
    return Targets(
        np.concatenate([p.face for p in parts]),
        np.concatenate([p.boxes for p in parts]),
        np.concatenate([p.points for p in parts]),
    )
