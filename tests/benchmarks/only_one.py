"""Photos of one person for a clip with one person: how often the right ones are used, and others'.

    python -m tests.benchmarks.only_one ../shared/data

The photographs of people of split train whom the recogniser's training leaves out are damaged by
the protocol (moderate, severe, and all between). Each is judged as `vidref` judges the only person
of a clip (`naming.meant`), with the person's other photographs and with those of each of the rest.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from vidref.evaluation.tables import Row, markdown
from vidref.faces import quality
from vidref.faces.likeness import Embedding, likeness_for, mean_face
from vidref.faces.pack import FacePack, load_pack
from vidref.faces.people import Answer, Appearance, Person, name_people
from vidref.pipeline.naming import meant
from vidref.training.degradation import MODERATE, SEVERE, TRAINING, degrade_image, draw
from vidref.training.recogniser_data import hold_out, read_people

SIDE_PX = 512
HELD_OUT = 100
DAMAGE = {"moderate": MODERATE, "between": TRAINING, "severe": SEVERE}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("data", type=Path)
    args = asked.parse_args()
    torch.set_num_threads(1)
    pack = load_pack(threads=1)
    photos = photographs(args.data)
    faces = {
        person: [found for picture in pictures if (found := embedded(picture, pack)) is not None]
        for person, pictures in photos.items()
    }
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    counts: dict[str, list[int]] = {name: [0] * 5 for name in DAMAGE}
    for person, pictures in photos.items():
        for number, picture in enumerate(pictures):
            for name, ranges in DAMAGE.items():
                damage = draw(ranges, 1, SIDE_PX, generator)
                seen = somebody(degrade_image(picture, damage, rng), pack)
                if seen is None:
                    continue
                rest = [face for k, face in enumerate(faces[person]) if k != number]
                if not rest:
                    continue
                count = counts[name]
                count[0] += 1
                count[1] += named(seen, mean(rest), pack, alone=False)
                count[2] += named(seen, mean(rest), pack, alone=True)
                others = [mean(some) for other, some in faces.items() if other != person and some]
                count[3] += len(others)
                count[4] += sum(named(seen, other, pack, alone=True) for other in others)
    rows: list[Row] = [
        {
            "damage": name,
            "faces": count[0],
            "own photos, by the face alone": count[1] / count[0],
            "own photos, as the only ones": count[2] / count[0],
            "strangers' photos, as the only ones": count[4] / count[3],
        }
        for name, count in counts.items()
    ]
    print(f"{len(photos)} people, {pack.name}\n\n{markdown(rows)}")


def photographs(data: Path) -> dict[str, list[np.ndarray]]:
    """The photographs (BGR, 512 px) of people with two or more whom the recogniser never saw."""
    _, held = hold_out(read_people(data, "train"), HELD_OUT, 0)
    rows = defaultdict(list)
    with (data / "faces.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train" and row["person"] in held.names:
                rows[row["person"]].append(row)
    return {person: [*_read(data, some)] for person, some in rows.items() if len(some) > 1}


def _read(data: Path, rows: list[dict[str, str]]) -> Iterator[np.ndarray]:
    for row in rows:
        with zipfile.ZipFile(io.BytesIO((data / row["shard"]).read_bytes())) as archive:
            packed = np.frombuffer(archive.read(row["file"]), np.uint8)
        picture = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        size = (SIDE_PX, SIDE_PX)
        yield np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def embedded(bgr: np.ndarray, pack: FacePack) -> Embedding | None:
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    found = pack.detect(rgb)
    return np.asarray(pack.embed(rgb, found[:1])[0]) if found else None


def somebody(bgr: np.ndarray, pack: FacePack) -> Person | None:
    """The only person of a picture."""
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    found = pack.detect(rgb)
    if not found:
        return None
    face = np.asarray(pack.embed(rgb, found[:1])[0])
    score = quality.measure(rgb, found[0].landmarks_xy).score
    look = Appearance(1, 0.0, 1.0, face[None], np.array([score], np.float32), None)
    return Person((look,), face, 1.0)


def mean(faces: list[Embedding]) -> Embedding:
    return mean_face(np.stack(faces), np.ones(len(faces)))


def named(person: Person, photos: Embedding, pack: FacePack, alone: bool) -> bool:
    likeness = likeness_for(pack)
    verdicts = name_people([person], {"somebody": photos}, likeness)
    if alone:
        verdicts = meant(verdicts, [person], {"somebody": photos}, likeness)
    return verdicts[0].answer is Answer.NAMED


if __name__ == "__main__":
    main()
