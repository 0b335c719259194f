"""A compare page of photos, or of two folders of them: each pair one picture inside the page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vidref.errors import InputError, SettingsError
from vidref.media.stills import find_stills, read_stills
from vidref.pipeline.footage import STILLS_RATE
from vidref.pipeline.progress import OnProgress, Ticker
from vidref.pipeline.upright import quarter_turns, upright_rgb
from vidref.report.compare_page import Comparison, people_on, write_body
from vidref.report.document import data_url, facts_element, script, write_document
from vidref.report.people_shown import View
from vidref.report.proxy import BLOCK, Shape, second_half

MOST = 100
QUALITY = 95
Picture = NDArray[np.uint8]


def write_stills_page(comparison: Comparison, output: Path, on_progress: OnProgress) -> list[str]:
    """Write the page; returns the sentences that the user must hear."""
    if comparison.start or comparison.end is not None or comparison.shift:
        raise SettingsError("Photos have no time: --start, --end and --shift need clips.")
    pairs, notes = _pairs(comparison)
    shapes: list[Shape] = []
    ticker = Ticker(on_progress, "compare", len(pairs))
    turns = 0

    def write(file: TextIO) -> None:
        nonlocal turns
        names = comparison.before.name, comparison.after.name
        # the pictures stand before the facts that tell their sizes: one is in memory at a time
        for number, (upper, lower, turned) in enumerate(_pictures(pairs)):
            turns = turned if number == 0 else turns
            stacked, shape = _stacked(upper, lower)
            shapes.append(shape)
            if number == 0:
                count = f", {len(pairs)} pictures" if len(pairs) > 1 else ""
                write_body(file, names, f"{shape.width} \u00d7 {shape.height}{count}", notes)
            file.write(f'<script type="text/plain" id="picture-{number}">{stacked}</script>\n')
            ticker.tick()
        ticker.end()
        file.write(facts_element("facts", _facts(comparison, pairs, shapes, turns)))
        file.write(script("compare.js") + "</body>\n</html>\n")

    write_document(output, write)
    return notes


def _pairs(comparison: Comparison) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Pictures of the same name (a folder) or simply the two."""
    before, after = comparison.before, comparison.after
    if before.is_dir() != after.is_dir():
        raise InputError(f"{before} and {after}: give two photos or two folders, not one of each.")
    if not before.is_dir():
        return [(before, after)], []
    theirs = {path.stem: path for path in find_stills(after)}
    pairs = [(path, theirs[path.stem]) for path in find_stills(before) if path.stem in theirs]
    if not pairs:
        raise InputError(f"No picture of {after} has the name of one in {before}: check the paths.")
    if len(pairs) > MOST:
        note = f"A page holds {MOST} pictures: this one shows the first of {len(pairs)}."
        return pairs[:MOST], [note]
    return pairs, []


def _pictures(pairs: list[tuple[Path, Path]]) -> Iterator[tuple[Picture, Picture, int]]:
    for before, after in pairs:
        one, other = (still.image for still in read_stills([before, after]))
        turns = quarter_turns(one.rotation)
        upper = upright_rgb(one, turns, Fraction(1))
        lower = upright_rgb(other, quarter_turns(other.rotation), Fraction(1))
        yield upper, lower, turns


def _stacked(upper: Picture, lower: Picture) -> tuple[str, Shape]:
    """Both as one JPEG, the second at a whole block, and where they lie."""
    height, width = upper.shape[:2]
    if lower.shape != upper.shape:
        lower = np.asarray(Image.fromarray(lower).resize((width, height)), np.uint8)
    second_y = second_half(height)
    gap = BLOCK // 2
    upper = np.pad(upper, ((0, second_y - gap - height), (0, 0), (0, 0)), "edge")
    lower = np.pad(lower, ((gap, 0), (0, 0), (0, 0)), "edge")
    file = io.BytesIO()
    both = Image.fromarray(np.concatenate([upper, lower]))
    both.save(file, "JPEG", quality=QUALITY, subsampling=0)
    url = data_url("image/jpeg", file.getvalue())
    return url, Shape(width, height, width, height, second_y)


def _facts(
    comparison: Comparison, pairs: list[tuple[Path, Path]], shapes: list[Shape], turns: int
) -> dict[str, Any]:
    end_s = len(pairs) / STILLS_RATE
    return {
        "kind": "pictures",
        **asdict(shapes[0]),
        "shapes": [asdict(shape) for shape in shapes],
        "names": [before.name for before, _ in pairs],
        "times": [number / STILLS_RATE for number in range(len(pairs))],
        "end": end_s,
        "people": [asdict(p) for p in people_on(comparison, View(Fraction(0), end_s, turns))],
    }
