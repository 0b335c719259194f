"""A picture of each person of a plan: when they are seen, what was chosen of them, what was not.

Faces are read again from the clip and the photos; only small crops are held at a time.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from vidref.errors import OutputError
from vidref.pipeline.plan import FrameReference, Plan, PlannedPerson
from vidref.report.plan_words import clock, known_of, seconds_of
from vidref.report.reference_crops import BIG, Crops, Shown, chosen, read_crops, seen, set_aside

WIDTH, MARGIN = 1200, 24
PAPER, INK, FAINT, RULE = "#ffffff", "#1c1c1c", "#6a6a6a", "#d8d8d8"
RESTORED, ALONE, MARKED = "#2f7d4f", "#b0b0b0", "#c8501e"
SHADES = ("#f1f1f1", "#e4e4e4")
BAR = 18


def draw_sheets(plan: Plan, source: Path, folder: Path, threads: int = 0) -> list[Path]:
    """One PNG for each person, named after them, in `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise OutputError(f"The folder {folder} cannot be made ({reason}).") from error
    groups = {
        person.id: {
            "References": chosen(plan, person),
            "Seen": seen(plan, person),
            "Set aside": set_aside(plan, person),
        }
        for person in plan.people
    }
    wanted = [item for named in groups.values() for group in named.values() for item in group]
    crops = read_crops(wanted, plan, source, threads)
    paths = []
    for person in plan.people:
        sheet = _draw(plan, person, groups[person.id], crops)
        name = re.sub(r"[^\w.-]+", "-", person.name).strip("-.") or person.id
        path = folder / f"{name}.{person.id}.png"
        try:
            sheet.save(path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OutputError(f"{path} could not be written: {reason}.") from error
        paths.append(path)
    return paths


def _draw(
    plan: Plan, person: PlannedPerson, groups: Mapping[str, Sequence[Shown]], crops: Crops
) -> Image.Image:
    rows = [row for group in groups.values() for row in _rows(group)]
    reasons = _reasons(plan, person)
    height = 250 + sum(map(_height, rows)) + 20 * len(reasons) + 44 * len(groups) + 40
    sheet = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    y = _heading(draw, plan, person)
    y = _timeline(draw, plan, person, y)
    for line in reasons:
        draw.text((MARGIN, y), line, FAINT, _font(14))
        y += 20
    for title, group in groups.items():
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
    done = any(plan.is_restored(track) for track in plan.tracks_of(person.id))
    what = f"restored {known_of(person)}" if done else "left alone"
    facts = f"{plan.source.name}: {on_screen} on screen, {what}"
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
        draw.rectangle((left, y + 6, right, y + 6 + BAR), RESTORED)
    for track, stretch in plan.left_alone():
        if track.person == person.id:
            left, right = x(stretch.first_pts), x(stretch.last_pts)
            draw.rectangle((left, y + 6, max(right, left + 2), y + 6 + BAR), ALONE)
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
    """Why tracks and stretches of them are left alone, each reason with its times."""
    found = []
    for track, stretch in plan.left_alone():
        if track.person == person.id:
            first = float((stretch.first_pts - plan.source.first_pts) * plan.source.time_base)
            last = float((stretch.last_pts - plan.source.first_pts) * plan.source.time_base)
            found.append(f"Left alone from {clock(first)} to {clock(last)}: {stretch.why}")
    more = len(found) - 8
    return found[:8] + ([f"and {more} more"] if more > 0 else [])


def _rows(group: Sequence[Shown]) -> list[Sequence[Shown]]:
    if not group:
        return []
    across = (WIDTH - 2 * MARGIN) // (_cell(group[0]) + 16)
    return [group[i : i + across] for i in range(0, len(group), across)]


def _wrapped(item: Shown) -> list[str]:
    across = 26 if item.side == BIG else 25
    return [line for words in item.words for line in textwrap.wrap(words, across)]


def _cell(item: Shown) -> int:
    return item.side if item.side == BIG else 180


def _height(row: Sequence[Shown]) -> int:
    return row[0].side + 18 * max(len(_wrapped(item)) for item in row) + 22


def _row(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, row: Sequence[Shown], crops: Crops, y: int
) -> int:
    x = MARGIN
    for item in row:
        crop = crops.get(item.key)
        if crop is None:
            draw.rectangle((x, y, x + item.side, y + item.side), outline=RULE)
        else:
            sheet.paste(Image.fromarray(crop), (x, y))
        for number, line in enumerate(_wrapped(item)):
            place = (x, y + item.side + 6 + 18 * number)
            draw.text(place, line, INK if number == 0 else FAINT, _font(13))
        x += _cell(item) + 16
    return y + _height(row)


def _font(size: int) -> Any:
    return ImageFont.load_default(size)
