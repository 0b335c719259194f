"""Does the quality of a view follow what is really left of the face?

    python -m tests.benchmarks.quality [--numbers FILE] [--sheets FOLDER]

Sharp pictures and frames of clips are harmed by known amounts (`tests/benchmarks/harm.py`), and the
score is ranked against the amounts and against two measures of what is left, both taken against the
unharmed picture (`truth.py`). Nothing here was fitted on. `--numbers` keeps what was measured, so
that another `vidref/faces/sharpness.npz` can be ranked without harming everything again; `--sheets`
draws each new family of pictures from its best to its worst.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from tests.benchmarks.harm import (
    LEVELS,
    Harmed,
    Portrait,
    blur,
    every_harm,
    h264,
    noise,
    portraits,
)
from tests.benchmarks.truth import Truth
from tests.benchmarks.worn import frame_of
from vidref.faces.detail import describe
from vidref.faces.geometry import placement_of, take_crop
from vidref.faces.pack import load_pack
from vidref.faces.quality import fitted_parts, measure
from vidref.faces.regions import region_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CLIPS = ("S001193", "talk-a", "talk-b", "talk-c", "talk-d", "talk-e", "wide-a", "wide-b")
BLURS = (0, 1.5, 3, 6, 12)
NOISES = (5, 10, 20, 40)
CRF = 30
GRID_PX = 16
SHOWN = 12
SHOWN_PX = 320


@dataclass(frozen=True)
class Row:
    """One harmed picture: what is left of it, and what its score is made of."""

    person: str
    kind: str
    level: int
    left: float
    error: float
    others: float
    """The score's other parts; times the fitted ones they are the score."""
    numbers: NDArray[np.float32]


@dataclass(frozen=True)
class Ranked:
    """The pictures of a group and their scores, in one order."""

    rows: Sequence[Row]
    scores: NDArray[np.float64]

    def where(self, chosen: Callable[[Row], bool]) -> Ranked:
        keep = [chosen(row) for row in self.rows]
        return Ranked([r for r, k in zip(self.rows, keep, strict=True) if k], self.scores[keep])

    def people(self) -> list[Ranked]:
        names = dict.fromkeys(row.person for row in self.rows)
        return [self.where(lambda row, name=name: row.person == name) for name in names]

    def rank(self, truth: Callable[[Row], float]) -> float:
        return float(spearmanr(self.scores, [truth(row) for row in self.rows]).statistic)


def groups() -> dict[str, Callable[[], Iterator[Portrait]]]:
    return {
        "Frames of clips/clean, enlarged to a face of 512 px": lambda: map(to_512, clip_frames()),
        "Frames of clips/clean at their own size": clip_frames,
        "Portraits of split dev": lambda: portraits(DATA, "dev", 10, seed=2),
        "Portraits of split dev made into frames of clips, then harmed": worn_portraits,
    }


def worn_portraits() -> Iterator[Portrait]:
    rng = np.random.default_rng(7)
    for portrait in portraits(DATA, "dev", 10, seed=2):
        yield frame_of(portrait, rng)


def clip_frames() -> Iterator[Portrait]:
    """A frame of each clip, cut to its largest face's surroundings on the codec's grid."""
    pack = load_pack(threads=1)
    for name in CLIPS:
        with av.open(str(DATA / "clips" / "clean" / f"{name}.mp4")) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index < 20:
                    continue
                rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                found = pack.detect(rgb)
                if found:
                    largest = max(found, key=lambda face: float(np.ptp(face.box_xyxy[::2])))
                    yield _cut(Portrait(name, rgb, largest.landmarks_xy.astype(np.float64)))
                    break


def _cut(portrait: Portrait) -> Portrait:
    placement = placement_of(portrait.points)
    low, high = (np.array(placement.centre_xy) + side * 0.8 * placement.size_px for side in (-1, 1))
    left, top = (np.maximum(low, 0) // GRID_PX * GRID_PX).astype(int)
    part = portrait.rgb[top : int(high[1]), left : int(high[0])]
    return Portrait(portrait.person, np.ascontiguousarray(part), portrait.points - [left, top])


def to_512(portrait: Portrait) -> Portrait:
    """Brought to a face square of 512 px, so that the levels mean the same for all."""
    scale = 512 / placement_of(portrait.points).size_px
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    larger = np.asarray(cv2.resize(portrait.rgb, None, fx=scale, fy=scale, interpolation=how))
    return Portrait(portrait.person, larger, (portrait.points + 0.5) * scale - 0.5)


def harmed(portrait: Portrait, seed: int) -> Iterator[Harmed]:
    """Every harm, noise on several degrees of blur (levels count both), and coded noise."""
    rng = np.random.default_rng(seed)
    yield from every_harm(portrait, rng)
    truth = Truth(portrait.rgb, portrait.points)
    unit = placement_of(portrait.points).size_px / 512
    for step, deviation in enumerate(BLURS):
        soft, points = blur(portrait.rgb, portrait.points, deviation * unit, rng)
        for k, amount in enumerate((0, *NOISES)):
            rgb, _ = noise(soft, points, amount, rng)
            compared = truth.compare(rgb, points)
            level = step * (1 + len(NOISES)) + k
            yield Harmed("noise on blur", level, rgb, points, compared.left, compared.error)
    for level, amount in enumerate((0, *NOISES)):
        noisy, points = noise(portrait.rgb, portrait.points, amount, rng)
        rgb, _ = h264(noisy, points, CRF, rng)
        compared = truth.compare(rgb, points)
        yield Harmed("coded noise", level, rgb, points, compared.left, compared.error)


def row_of(person: str, picture: Harmed) -> Row:
    quality = measure(picture.rgb, picture.points)
    numbers = describe(region_of(picture.rgb, placement_of(picture.points)))
    others = quality.score / max(quality.detail, 1e-12)
    return Row(
        person, picture.kind, picture.level, picture.left, picture.error, others, numbers
    )  # fmt: skip


def ranked(rows: Sequence[Row]) -> Ranked:
    parts = fitted_parts(np.stack([row.numbers for row in rows]))
    return Ranked(rows, parts.prod(1) * np.array([row.others for row in rows]))


def table(title: str, group: Ranked) -> str:
    levels = group.where(lambda row: row.kind in LEVELS)
    everything = group.where(lambda row: row.kind not in ("noise on blur", "coded noise"))
    lines = [
        f"## {title}: {len(group.people())} people, {len(group.rows)} pictures",
        "",
        "| harm | amount, all people in one | each person alone | the worst person "
        "| what is left | error |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for kind in LEVELS:
        of_kind = levels.where(lambda row, kind=kind: row.kind == kind)
        alone = [person.rank(lambda row: -row.level) for person in of_kind.people()]
        cells = [of_kind.rank(lambda row: -row.level), np.mean(alone), min(alone)]
        lines.append(_line(kind, [f"{value:.3f}" for value in cells], of_kind))
    lines.append(_line("mixed", [""] * 3, group.where(lambda row: row.kind == "mixed")))
    lines.append(_line("all kinds", [""] * 3, everything))
    pooled = everything.rank(lambda row: row.left)
    alike = against_unharmed(everything).rank(lambda row: row.left)
    lines += [
        "",
        f"All kinds and all people in one, against what is left: {pooled:.3f}; with each score as "
        f"a share of that of the person's unharmed picture, as what is left is: {alike:.3f}.",
        "",
    ]
    return "\n".join([*lines, noise_line(group), ""])


def against_unharmed(group: Ranked) -> Ranked:
    """Scores as shares of the unharmed picture's, person by person."""
    people = group.people()
    shares = [
        person.scores / person.where(lambda row: row.kind == "blur" and row.level == 0).scores[0]
        for person in people
    ]
    return Ranked([row for person in people for row in person.rows], np.concatenate(shares))


def _line(kind: str, cells: list[str], group: Ranked) -> str:
    people = group.people()
    left = np.mean([person.rank(lambda row: row.left) for person in people])
    error = np.mean([person.rank(lambda row: -row.error) for person in people])
    return f"| {' | '.join([kind, *cells, f'{left:.3f}', f'{error:.3f}'])} |"


def noise_line(group: Ranked) -> str:
    """Neither its own noiseless self nor anything sharper may be outranked by a noisy picture."""
    gained = outranked = compared = pictures = 0
    most = 0.0
    for person in group.where(lambda row: row.kind == "noise on blur").people():
        order = np.argsort([row.level for row in person.rows])
        scores = person.scores[order].reshape(len(BLURS), 1 + len(NOISES))
        for step, (clean, *noisy) in enumerate(scores):
            gained += int((np.array(noisy) > clean).sum())
            most = max(most, float(max(noisy) - clean))
            pictures += len(noisy)
            sharper = scores[:step, 0]
            outranked += int((np.array(noisy)[:, None] > sharper).sum())
            compared += len(noisy) * step
    return (
        f"Noise (deviation 5 to 40) on five degrees of blur: it outranked a sharper picture in "
        f"{outranked} of {compared} comparisons, and its own noiseless self in {gained} of "
        f"{pictures}, by at most {most:.3f}. {coded_noise_line(group)}"
    )


def coded_noise_line(group: Ranked) -> str:
    """Noise that a codec has turned into blotches may not pass for detail either."""
    gained, most, pictures = 0, 0.0, 0
    for person in group.where(lambda row: row.kind == "coded noise").people():
        clean, *noisy = person.scores[np.argsort([row.level for row in person.rows])]
        gained += int((np.array(noisy) > clean).sum())
        most = max(most, float(max(noisy) - clean))
        pictures += len(noisy)
    return (
        f"With noise before H.264 (CRF {CRF}) a picture outranked the same one coded without it in "
        f"{gained} of {pictures}, by at most {most:.3f}."
    )


def sheet(path: Path, pictures: Sequence[Harmed], scores: NDArray[np.float64]) -> None:
    """Twelve of a family, evenly from the best to the worst, each at 100 % of a 512 px face."""
    order = np.argsort(-scores)[np.linspace(0, len(scores) - 1, SHOWN).astype(int)]
    cells = []
    low = (512 - SHOWN_PX) // 2
    for rank, index in enumerate(order):
        picture = pictures[index]
        crop = take_crop(picture.rgb, placement_of(picture.points), 512)
        cell = np.ascontiguousarray(crop[low : low + SHOWN_PX, low : low + SHOWN_PX, ::-1])
        text = f"{rank} {picture.kind} {picture.level}: {scores[index]:.2f} left {picture.left:.2f}"
        cv2.rectangle(cell, (0, 0), (SHOWN_PX, 19), (0, 0, 0), -1)
        cv2.putText(cell, text, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1)
        cells.append(cell)
    rows = [np.hstack(cells[start : start + 4]) for start in range(0, SHOWN, 4)]
    cv2.imwrite(str(path), np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=Path)
    parser.add_argument("--sheets", type=Path)
    options = parser.parse_args()
    kept = read(options.numbers) if options.numbers and options.numbers.exists() else {}
    for number, (title, people) in enumerate(groups().items()):
        group = kept.setdefault(title, [])
        known = {row.person for row in group}
        for portrait in people():
            if portrait.person in known:
                continue
            pictures = list(harmed(portrait, seed=3))
            rows = [row_of(portrait.person, picture) for picture in pictures]
            group += rows
            if options.sheets:
                options.sheets.mkdir(parents=True, exist_ok=True)
                path = options.sheets / f"{number}-{portrait.person}.png"
                sheet(path, pictures, ranked(rows).scores)
            if options.numbers:
                write(options.numbers, kept)
        print(table(title, ranked(group)), flush=True)


def write(path: Path, kept: dict[str, list[Row]]) -> None:
    columns = {
        f"{name}/{title}": np.array([getattr(row, name) for row in rows])
        for title, rows in kept.items()
        for name in Row.__dataclass_fields__
    }
    np.savez(path, **columns)  # type: ignore[arg-type]


def read(path: Path) -> dict[str, list[Row]]:
    names = tuple(Row.__dataclass_fields__)
    with np.load(path, allow_pickle=False) as file:
        titles = dict.fromkeys(key.split("/", 1)[1] for key in file.files)
        columns = {title: [file[f"{name}/{title}"] for name in names] for title in titles}
    return {
        title: [
            Row(str(person), str(kind), int(level), float(left), float(error), float(others), x)
            for person, kind, level, left, error, others, x in zip(*columns[title], strict=True)
        ]
        for title in titles
    }


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
