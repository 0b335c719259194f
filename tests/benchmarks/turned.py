"""How far a face may be turned for its restoration to be better than what was there.

    python -m tests.benchmarks.turned ../shared/data [--sheet DIR]

Turned faces of the training split whose truth is known (portraits, and faces of scenes with the
teacher's points) are degraded by known amounts and restored: a portrait of someone of whom there is
another one by that reference, all others by none. And two men in an interview (clips/scenes), whose
reference is their own most frontal view of the clip, as it would be in use. Gains above the input,
by how far the face is turned: likeness by the outside judge, PSNR within the mask in which a face
is put back, and how much nearer 68 landmarks are to those of the truth.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from PIL import Image

from tests.benchmarks.known_faces import CROP_PX, WHOLE_PX, Evidence, as_batch, as_bytes, inner
from vidref.evaluation.judges import Judges, landmark_error
from vidref.faces.geometry import placement_of, take_crop
from vidref.faces.mask import face_mask
from vidref.faces.pack import load_pack
from vidref.faces.pose import turned_deg
from vidref.model.restorer import Face, Restorer, Sampling
from vidref.pipeline.rebuild import as_picture, as_tensor
from vidref.settings import Settings
from vidref.training.degradation import MODERATE, SEVERE, degrade_batch, draw
from vidref.training.detector_labels import NOT_FACES

BINS = (0, 15, 30, 40, 50, 60, 70, 95)
MOST_A_BIN = 24
LEAST_NATIVE_PX, LEAST_BOX_PX, LEAST_SCORE = 300, 80, 0.8
SURE_PX = 0.9
CLIP, EVERY = "clips/scenes/two-people.mp4", 3
KINDS = {"moderate": MODERATE, "severe": SEVERE}


@dataclass(frozen=True)
class Turned:
    """A face whose truth is known: its square, how far it is turned, another view of the person."""

    name: str
    deg: float
    truth: Callable[[], np.ndarray]
    other: Callable[[], np.ndarray] | None


@dataclass(frozen=True)
class Row:
    face: Turned
    kind: str
    gains: np.ndarray
    """Likeness, PSNR, landmark error (positive: less of it), above the input's."""
    pictures: tuple[np.ndarray, np.ndarray, np.ndarray]


def portraits(data: Path) -> Iterator[Turned]:
    with (data / "faces.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    rows = [r for r in rows if float(r["inner_real"]) >= SURE_PX]
    rows = [r for r in rows if int(r["native_px"]) >= LEAST_NATIVE_PX]
    for row in rows:
        points = np.array(row["landmarks_xy"].split(), float).reshape(5, 2)
        others = [r for r in rows if r["person"] == row["person"] and r["file"] != row["file"]]
        yield Turned(
            row["file"],
            turned_deg(points),
            partial(_portrait, data, row),
            partial(_portrait, data, others[0]) if others else None,
        )


def _portrait(data: Path, row: dict[str, str]) -> np.ndarray:
    with zipfile.ZipFile(data / row["shard"]) as shard:
        image = Image.open(io.BytesIO(shard.read(row["file"]))).convert("RGB")
    return inner(np.asarray(image.resize((WHOLE_PX, WHOLE_PX), Image.Resampling.BICUBIC)))


def scenes(data: Path) -> Iterator[Turned]:
    labels = json.loads((data / "scenes.json").read_text(encoding="utf-8"))
    archive = zipfile.ZipFile(data / "scenes.zip")
    files = {Path(name).name: name for name in archive.namelist()}
    for name, known in labels.items():
        if known["split"] != "train" or name in NOT_FACES:
            continue
        for face in known["faces"]:
            if face["score"] < LEAST_SCORE or face["box_xywh"][3] < LEAST_BOX_PX:
                continue
            points = np.array(face["landmarks_xy"], float).reshape(5, 2)
            truth = partial(_square, archive, files[name], points)
            yield Turned(name, turned_deg(points), truth, None)


def _square(archive: zipfile.ZipFile, file: str, points: np.ndarray) -> np.ndarray:
    rgb = np.asarray(Image.open(io.BytesIO(archive.read(file))).convert("RGB"))
    return take_crop(rgb, placement_of(points), CROP_PX)


def two_people(data: Path) -> Iterator[Turned]:
    """Both men of the interview in every `EVERY`-th frame; the other view is the most frontal."""
    pack = load_pack(threads=1)
    left, right = list[tuple[float, np.ndarray]](), list[tuple[float, np.ndarray]]()
    with av.open(str(data / CLIP)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % EVERY:
                continue
            rgb = frame.to_ndarray(format="rgb24")
            for face in pack.detect(rgb):
                place = placement_of(face.landmarks_xy)
                side = left if place.centre_xy[0] < rgb.shape[1] / 2 else right
                side.append((turned_deg(face.landmarks_xy), take_crop(rgb, place, CROP_PX)))
    for name, views in (("left man", left), ("right man", right)):
        frontal = min(views, key=lambda view: abs(view[0]))[1]
        for deg, crop in views:
            if crop is not frontal:
                yield Turned(name, deg, partial(np.copy, crop), partial(np.copy, frontal))


def some(every: Sequence[Turned], seed: int = 0) -> list[Turned]:
    """A few of every bin, those with another view first."""
    order = np.random.default_rng(seed).permutation(len(every))
    result = []
    for low, high in pairwise(BINS):
        mine = [every[i] for i in order if low <= abs(every[i].deg) < high]
        mine.sort(key=lambda face: face.other is None)
        result += mine[:MOST_A_BIN]
    return result


def measured(faces: Sequence[Turned], data: Path) -> Iterator[Row]:
    restorer = Restorer.load("bundled")
    judges = Judges.find(data / "teachers")
    draws = torch.Generator().manual_seed(7)
    evidence = Evidence(restorer, draws)
    sampling = Sampling(steps=Settings.load().model.steps, grain=0.0)
    mask = face_mask(CROP_PX)
    for face in faces:
        truth = face.truth()
        known = restorer.remember([]) if face.other is None else evidence.of(face.other())
        inputs = {
            kind: as_bytes(degrade_batch(as_batch(truth), draw(r, 1, CROP_PX, draws), draws))
            for kind, r in KINDS.items()
        }
        given = [Face(as_tensor(poor), "somebody", known) for poor in inputs.values()]
        for (kind, poor), tensor in zip(
            inputs.items(), restorer.restore(given, sampling), strict=True
        ):
            full = poor + mask[..., None] * (as_picture(tensor) * 255 - poor)
            shown = np.rint(np.clip(full, 0, 255)).astype(np.uint8)
            values = np.array([_judged(view, truth, mask, judges) for view in (poor, shown)])
            yield Row(face, kind, values[1] - values[0], (truth, poor, shown))


def _judged(view: np.ndarray, truth: np.ndarray, mask: np.ndarray, judges: Judges) -> list[float]:
    assert judges.identity is not None and judges.landmarks is not None
    alike = float(judges.identity.embed(view) @ judges.identity.embed(truth))
    wrong = float((((view.astype(np.float32) - truth) ** 2).mean(2) * mask).sum() / mask.sum())
    strayed = landmark_error(judges.landmarks.find(view), judges.landmarks.find(truth))
    return [alike, float(10 * np.log10(255**2 / max(wrong, 1e-9))), -strayed]


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| turned | damage | faces | likeness gained | worse | PSNR gained | worse | nearer |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for low, high in pairwise(BINS):
        for kind in KINDS:
            mine = [r for r in rows if r.kind == kind and low <= abs(r.face.deg) < high]
            if not mine:
                continue
            gains = np.stack([row.gains for row in mine])
            mean, worse = gains.mean(0), (gains < 0).mean(0)
            lines.append(
                f"| {low} to {high}° | {kind} | {len(mine)} | {mean[0]:+.3f} | {worse[0]:.0%} "
                f"| {mean[1]:+.2f} dB | {worse[1]:.0%} | {mean[2]:+.2f} % |"
            )
    return "\n".join(lines)


def draw_sheets(rows: Sequence[Row], folder: Path) -> None:
    """Truth, input and restored beside each other, four faces a picture, by their turn."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = sorted(rows, key=lambda row: abs(row.face.deg))
    for number, first in enumerate(range(0, len(rows), 12)):
        strips = []
        for row in rows[first : first + 12]:
            strip = np.hstack([cv2.resize(p, (256, 256), interpolation=3) for p in row.pictures])
            words = f"{abs(row.face.deg):.0f} {row.kind}"
            strips.append(cv2.putText(strip, words, (4, 16), 0, 0.5, (255, 255, 0), 1))
        while len(strips) % 2:
            strips.append(np.zeros_like(strips[0]))
        half = [np.hstack(strips[i : i + 2]) for i in range(0, len(strips), 2)]
        Image.fromarray(np.vstack(half)).save(folder / f"{number:02}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="*", choices=("pictures", "two-people"))
    parser.add_argument("--sheet", type=Path)
    wanted = parser.parse_args()
    sources = {
        "pictures": lambda data: [*portraits(data), *scenes(data)],
        "two-people": lambda data: list(two_people(data)),
    }
    for name in wanted.only or sources:
        rows = list(measured(some(sources[name](wanted.data)), wanted.data))
        print(f"{name}\n\n{table(rows)}\n", flush=True)
        if wanted.sheet is not None:
            draw_sheets(rows, wanted.sheet / name)


if __name__ == "__main__":
    main()
