"""Photos given with a damaged clip: how often the right ones are used, and somebody else's.

    python -m tests.benchmarks.whose_photos ../shared/data

The photographs of people of split train whom the recogniser's training leaves out are damaged by
the protocol (moderate, severe, and all between). Each is judged as `vidref` judges the only person
of a clip (`meant.py`), with the person's other photographs and with those of each of the rest;
then clips are put together of several such people who are on screen together, with the photographs
of some of them, and of somebody who is not there.
"""

from __future__ import annotations

import argparse
import csv
import io
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from vidref.evaluation.tables import Row, markdown
from vidref.faces import quality
from vidref.faces.likeness import Embedding, Likeness, likeness_for, mean_face
from vidref.faces.pack import FacePack, load_pack
from vidref.faces.people import Answer, Appearance, Person, name_people
from vidref.pipeline.meant import meant
from vidref.training.degradation import MODERATE, SEVERE, TRAINING, degrade_image, draw
from vidref.training.recogniser_data import hold_out, read_people

SIDE_PX = 512
HELD_OUT = 100
CLIPS = 2000
DAMAGE = {"moderate": MODERATE, "between": TRAINING, "severe": SEVERE}


@dataclass(frozen=True)
class Several:
    """A clip: so many people, photos of the first so many, and of so many others."""

    people: int
    names: int
    absent: int = 0


SEVERAL = (
    Several(2, 1),
    Several(2, 0, 1),
    Several(3, 1),
    Several(5, 1),
    Several(2, 2),
    Several(2, 1, 1),
    Several(3, 3),
)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("data", type=Path)
    args = asked.parse_args()
    torch.set_num_threads(1)
    pack = load_pack(threads=1)
    photos = photographs(args.data)
    faces = {
        person: [embedded(picture, pack) for picture in pictures]
        for person, pictures in photos.items()
    }
    known = People(faces, [*damaged(photos, pack)])
    likeness = likeness_for(pack)
    alone = [row_alone(known, name, likeness) for name in DAMAGE]
    print(f"{len(photos)} people, {pack.name}\n\n{markdown(alone)}\n")
    rng = np.random.default_rng(0)
    several = [row_several(known, name, clip, likeness, rng) for name in DAMAGE for clip in SEVERAL]
    print(markdown(several))


@dataclass(frozen=True)
class Seen:
    """A damaged photograph: whose, which of theirs, and what is seen of it."""

    owner: str
    number: int
    damage: str
    person: Person


@dataclass(frozen=True)
class People:
    """Embeddings of everybody's photographs, and these damaged."""

    faces: dict[str, list[Embedding | None]]
    seen: list[Seen]

    def photos_of(self, person: str, but: int | None = None) -> Embedding | None:
        """The mean face of somebody's photographs but one."""
        rest = [face for k, face in enumerate(self.faces[person]) if k != but and face is not None]
        return mean_face(np.stack(rest), np.ones(len(rest))) if rest else None


def damaged(photos: dict[str, list[np.ndarray]], pack: FacePack) -> Iterator[Seen]:
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    for owner, pictures in photos.items():
        for number, picture in enumerate(pictures):
            for name, ranges in DAMAGE.items():
                damage = draw(ranges, 1, SIDE_PX, generator)
                person = somebody(degrade_image(picture, damage, rng), pack)
                if person is not None:
                    yield Seen(owner, number, name, person)


def row_alone(known: People, damage: str, likeness: Likeness) -> Row:
    """Photos of one person for a clip with one person."""
    count = own_by_face = own = strangers = theirs = 0
    for seen in known.seen:
        rest = known.photos_of(seen.owner, but=seen.number)
        if seen.damage != damage or rest is None:
            continue
        count += 1
        mine = {seen.owner: rest}
        own_by_face += name_people([seen.person], mine, likeness)[0].answer is Answer.NAMED
        own += names([seen.person], mine, likeness) == [seen.owner]
        for other in known.faces:
            if other != seen.owner and (face := known.photos_of(other)) is not None:
                strangers += 1
                theirs += names([seen.person], {other: face}, likeness) == [other]
    return {
        "damage": damage,
        "faces": count,
        "own photos, by the face alone": own_by_face / count,
        "own photos, as the only ones": own / count,
        "strangers' photos, as the only ones": theirs / strangers,
    }


def row_several(
    known: People, damage: str, clip: Several, likeness: Likeness, rng: np.random.Generator
) -> Row:
    """Photos of some of the people in a clip, and of some who are not there."""
    at_hand = [seen for seen in known.seen if seen.damage == damage]
    owners = sorted({seen.owner for seen in at_hand})
    by_face = right = wrong = absent = 0
    for _ in range(CLIPS):
        people = [str(p) for p in rng.choice(owners, clip.people + clip.absent, replace=False)]
        cast = [
            mine[rng.integers(len(mine))]
            for person in people[: clip.people]
            if (mine := [seen for seen in at_hand if seen.owner == person])
        ]
        photos = {seen.owner: known.photos_of(seen.owner, seen.number) for seen in cast}
        asked = [*people[: clip.names], *people[clip.people :]]
        faces = {
            name: face
            for name in asked
            if (face := photos[name] if name in photos else known.photos_of(name)) is not None
        }
        seen_people = [seen.person for seen in cast]
        verdicts = name_people(seen_people, faces, likeness)
        by_face += sum(verdict.answer is Answer.NAMED for verdict in verdicts)
        for seen, name in zip(cast, names(seen_people, faces, likeness), strict=True):
            right += name == seen.owner
            wrong += name not in (None, seen.owner) and name in photos
            absent += name is not None and name not in photos
    given = CLIPS * clip.names
    return {
        "damage": damage,
        "people": clip.people,
        "with photos": clip.names,
        "by the face alone": by_face / given if given else "",
        "right": right / given if given else "",
        "another's of the clip": wrong / given if given else "",
        "absent people's": absent / (CLIPS * clip.absent) if clip.absent else "",
    }


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


def names(
    people: list[Person], faces: dict[str, Embedding], likeness: Likeness
) -> list[str | None]:
    """What each is called, all that `vidref` knows considered."""
    verdicts = meant(name_people(people, faces, likeness), people, faces, likeness)
    return [verdict.name if verdict.answer is Answer.NAMED else None for verdict in verdicts]


if __name__ == "__main__":
    main()
