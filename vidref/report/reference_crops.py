"""Small pictures of a person's references, used and set aside, with the words that belong to them.

Faces are read again from the clip and the photos; only small crops are held at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidref.errors import InputError
from vidref.faces.geometry import take_crop
from vidref.faces.pictures import read_picture
from vidref.pipeline.footage import images_at
from vidref.pipeline.plan import (
    FrameReference,
    Plan,
    PlannedPerson,
    Square,
    placement_of_square,
)
from vidref.pipeline.upright import upright_rgb
from vidref.report.plan_words import clock

BIG, SMALL = 200, 110
MOST_SEEN = 5
Crops = dict[Any, NDArray[np.uint8]]


@dataclass(frozen=True)
class Shown:
    """A crop to be read, and what is written under it."""

    key: Any
    face: Square | None
    side: int
    words: tuple[str, ...]


def chosen(plan: Plan, person: PlannedPerson) -> list[Shown]:
    """The references that are used."""
    shown = []
    for reference in person.references:
        if isinstance(reference, FrameReference):
            key: Any = (reference.pts, reference.face)
            where = clock(float((reference.pts - plan.source.first_pts) * plan.source.time_base))
        else:
            key, where = (reference.photo, reference.face), reference.photo.name
        words = (where, f"quality {reference.quality:.2f}, weight {reference.weight:.2f}")
        shown.append(Shown(key, reference.face, BIG, words))
    return shown


def set_aside(plan: Plan, person: PlannedPerson) -> list[Shown]:
    """Those that are not, each with its reason."""
    shown = []
    for item in person.set_aside:
        if item.pts is not None:
            key: Any = (item.pts, item.face)
            where = clock(float((item.pts - plan.source.first_pts) * plan.source.time_base))
        else:
            key, where = (item.photo, item.face), item.photo.name if item.photo else ""
        rated = "" if item.quality is None else f"quality {item.quality:.2f}"
        shown.append(Shown(key, item.face, SMALL, (where, rated, item.reason)))
    return shown


def seen(plan: Plan, person: PlannedPerson) -> list[Shown]:
    """The person where nothing of them was chosen or set aside: largest in each longest track."""
    if any(isinstance(r, FrameReference) for r in person.references):
        return []
    if any(item.pts is not None for item in person.set_aside):
        return []
    tracks = sorted(plan.tracks_of(person.id), key=lambda t: t.first_pts - t.last_pts)
    shown = []
    for track in tracks[:MOST_SEEN]:
        pts, *face = max(track.path, key=lambda knot: knot[3])
        where = clock(float((pts - plan.source.first_pts) * plan.source.time_base))
        square = (face[0], face[1], face[2], face[3])
        shown.append(Shown((pts, square), square, BIG, (where, "not a reference")))
    return shown


def read_crops(shown: Sequence[Shown], plan: Plan, source: Path, threads: int) -> Crops:
    """The crops that can be read; a photo that cannot stays an empty frame."""
    crops: Crops = {}
    by_pts: dict[int, list[Shown]] = {}
    for item in shown:
        if isinstance(item.key[0], int):
            by_pts.setdefault(item.key[0], []).append(item)
            continue
        try:
            rgb = read_picture(item.key[0]).rgb
        except InputError:
            continue
        if item.face is None:
            crops[item.key] = _whole(rgb, item.side)
        else:
            crops[item.key] = take_crop(rgb, placement_of_square(item.face), item.side)
    was = plan.source
    for pts, image in images_at(source, by_pts, threads, was.deinterlaced, was.is_clean):
        rgb = upright_rgb(image, 0, was.pixel_aspect)
        for item in by_pts[pts]:
            if item.face is not None:
                crops[item.key] = take_crop(rgb, placement_of_square(item.face), item.side)
    return crops


def _whole(rgb: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    small = Image.fromarray(rgb)
    small.thumbnail((side, side))
    return np.asarray(small, np.uint8)
