"""A picture of each person of a plan: when they are seen, what was chosen of them, what was not.

Faces are read again from the clip and the photos; only small crops are held at a time.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vidref.errors import InputError, OutputError
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
from vidref.report.plan_words import clock, known_of, seconds_of

WIDTH, MARGIN = 1200, 24
BIG, SMALL = 200, 110
PAPER, INK, FAINT, RULE = "#ffffff", "#1c1c1c", "#6a6a6a", "#d8d8d8"
RESTORED, ALONE, MARKED = "#2f7d4f", "#b0b0b0", "#c8501e"
SHADES = ("#f1f1f1", "#e4e4e4")
BAR = 18

Crops = dict[Any, NDArray[np.uint8]]


@dataclass(frozen=True)
class _Shown:
    """A crop to be read, and what is written under it."""

    key: Any
    face: Square | None
    side: int
    words: tuple[str, ...]

    @property
    def wrapped(self) -> list[str]:
        across = 26 if self.side == BIG else 25
        return [line for words in self.words for line in textwrap.wrap(words, across)]


def draw_sheets(plan: Plan, source: Path, folder: Path, threads: int = 0) -> list[Path]:
    """One PNG for each person, named after them, in `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"The folder {folder} cannot be made ({reason}).") from error
    shown = {person.id: (_chosen(plan, person), _aside(plan, person)) for person in plan.people}
    crops = _read(
        [s for pair in shown.values() for group in pair for s in group], plan, source, threads
    )
    paths = []
    for person in plan.people:
        sheet = _draw(plan, person, *shown[person.id], crops)
        name = re.sub(r"[^\w.-]+", "-", person.name).strip("-.") or person.id
        path = folder / f"{name}.{person.id}.png"
        try:
            sheet.save(path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"{path} could not be written: {reason}.") from error
        paths.append(path)
    return paths


def _chosen(plan: Plan, person: PlannedPerson) -> list[_Shown]:
    shown = []
    for reference in person.references:
        if isinstance(reference, FrameReference):
            key: Any = (reference.pts, reference.face)
            where = clock(float((reference.pts - plan.source.first_pts) * plan.source.time_base))
        else:
            key, where = (reference.photo, reference.face), reference.photo.name
        words = (where, f"quality {reference.quality:.2f}, weight {reference.weight:.2f}")
        shown.append(_Shown(key, reference.face, BIG, words))
    return shown


def _aside(plan: Plan, person: PlannedPerson) -> list[_Shown]:
    shown = []
    for item in person.set_aside:
        if item.pts is not None:
            key: Any = (item.pts, item.face)
            where = clock(float((item.pts - plan.source.first_pts) * plan.source.time_base))
        else:
            key, where = (item.photo, item.face), item.photo.name if item.photo else ""
        rated = "" if item.quality is None else f"quality {item.quality:.2f}"
        shown.append(_Shown(key, item.face, SMALL, (where, rated, item.reason)))
    return shown


def _read(shown: Sequence[_Shown], plan: Plan, source: Path, threads: int) -> Crops:
    """The crops that can be read; a photo that cannot stays an empty frame."""
    crops: Crops = {}
    by_pts: dict[int, list[_Shown]] = {}
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


def _draw(
    plan: Plan,
    person: PlannedPerson,
    chosen: Sequence[_Shown],
    aside: Sequence[_Shown],
    crops: Crops,
) -> Image.Image:
    rows = [*_rows(chosen), *_rows(aside)]
    reasons = _reasons(plan, person)
    height = 250 + sum(map(_height, rows)) + 20 * len(reasons) + 120
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = _heading(draw, plan, person)
    y = _timeline(draw, plan, person, y)
    for line in reasons:
        draw.text((MARGIN, y), line, FAINT, _font(14))
        y += 20
    for title, group in (("References", chosen), ("Set aside", aside)):
        if group:
            y += 14
            draw.text((MARGIN, y), title, INK, _font(18))
            y += 30
        for row in _rows(group):
            y = _row(sheet, draw, row, crops, y)
    return sheet.crop((0, 0, WIDTH, y + MARGIN))


def _heading(draw: ImageDraw.ImageDraw, plan: Plan, person: PlannedPerson) -> int:
    draw.text((MARGIN, MARGIN), person.name, INK, _font(30))
    on_screen = clock(seconds_of(plan, person))
    facts = f"{plan.source.name}: {on_screen} on screen, restored {known_of(person)}"
    doubt = "; unsure who this is" if person.unsure else ""
    draw.text((MARGIN, MARGIN + 42), facts, INK, _font(16))
    words = f"{person.why} Confidence {person.confidence:.2f}{doubt}."
    draw.text((MARGIN, MARGIN + 66), words, FAINT, _font(14))
    return MARGIN + 104


def _timeline(draw: ImageDraw.ImageDraw, plan: Plan, person: PlannedPerson, y: int) -> int:
    """Shots as shades, tracks as bars on as many lines as overlap, references as marks."""
    source = plan.source
    length = max(1, source.last_pts - source.first_pts)

    def x(pts: int) -> float:
        return MARGIN + (WIDTH - 2 * MARGIN) * (pts - source.first_pts) / length

    ends = [*plan.shots[1:], source.last_pts]
    for number, (first, last) in enumerate(zip(plan.shots, ends, strict=True)):
        draw.rectangle((x(first), y, x(last), y + BAR + 12), SHADES[number % 2])
    for track in plan.tracks_of(person.id):
        left, right = x(track.first_pts), max(x(track.last_pts), x(track.first_pts) + 2)
        colour = RESTORED if plan.is_restored(track) else ALONE
        draw.rectangle((left, y + 6, right, y + 6 + BAR), colour)
    for reference in person.references:
        if isinstance(reference, FrameReference):
            at = x(reference.pts)
            draw.polygon([(at - 6, y - 4), (at + 6, y - 4), (at, y + 8)], MARKED)
    y += BAR + 16
    for share in (0, 0.25, 0.5, 0.75, 1):
        pts = source.first_pts + round(share * length)
        anchor = "la" if share == 0 else "ra" if share == 1 else "ma"
        label = clock(float((pts - source.first_pts) * source.time_base))
        draw.text((x(pts), y), label, FAINT, _font(13), anchor=anchor)
    legend = ((RESTORED, "restored"), (ALONE, "left alone"), (MARKED, "reference"))
    at = MARGIN
    for colour, word in legend:
        draw.rectangle((at, y + 24, at + 12, y + 36), colour)
        draw.text((at + 18, y + 23), word, FAINT, _font(13))
        at += 110
    return y + 50


def _reasons(plan: Plan, person: PlannedPerson) -> list[str]:
    """Why tracks are left alone, each reason with its times."""
    found = []
    for track in plan.tracks_of(person.id):
        if not plan.is_restored(track):
            first = float((track.first_pts - plan.source.first_pts) * plan.source.time_base)
            last = float((track.last_pts - plan.source.first_pts) * plan.source.time_base)
            found.append(f"Left alone from {clock(first)} to {clock(last)}: {track.why}")
    more = len(found) - 8
    return found[:8] + ([f"and {more} more"] if more > 0 else [])


def _rows(group: Sequence[_Shown]) -> list[Sequence[_Shown]]:
    if not group:
        return []
    across = (WIDTH - 2 * MARGIN) // (_cell(group[0]) + 16)
    return [group[i : i + across] for i in range(0, len(group), across)]


def _cell(item: _Shown) -> int:
    return item.side if item.side == BIG else 180


def _height(row: Sequence[_Shown]) -> int:
    return row[0].side + 18 * max(len(item.wrapped) for item in row) + 22


def _row(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, row: Sequence[_Shown], crops: Crops, y: int
) -> int:
    x = MARGIN
    for item in row:
        crop = crops.get(item.key)
        if crop is None:
            draw.rectangle((x, y, x + item.side, y + item.side), outline=RULE)
        else:
            sheet.paste(Image.fromarray(crop), (x, y))
        for number, line in enumerate(item.wrapped):
            place = (x, y + item.side + 6 + 18 * number)
            draw.text(place, line, INK if number == 0 else FAINT, _font(13))
        x += _cell(item) + 16
    return y + _height(row)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
