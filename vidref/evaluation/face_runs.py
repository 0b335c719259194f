"""One run of the image protocol: which versions of every face to make, and where they go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidref import weights
from vidref.errors import InputError
from vidref.evaluation.face_cases import FaceCase, read_cases, read_picture, write_picture
from vidref.evaluation.faces import (
    FaceRestorer,
    Measure,
    by_skin,
    measure_cases,
    restore_cases,
    stranger_of,
)
from vidref.evaluation.judges import Judges
from vidref.evaluation.optional_metrics import fid, pyiqa_metrics
from vidref.evaluation.picture_sheet import save_sheet
from vidref.evaluation.tables import Row, markdown, means, write_csv
from vidref.model.recogniser import Recogniser
from vidref.model.restorer import Combine, Restorer, Sampling

BUNDLED_RECOGNISER = weights.FACE_PACK / "recogniser.onnx"
Pictures = dict[str, np.ndarray]


@dataclass(frozen=True)
class FaceRun:
    """What the command was asked for."""

    folder: Path
    out: Path | None
    model: str
    results: Path | None
    kinds: tuple[str, ...]
    counts: tuple[int, ...]
    combine: Combine
    steps: int
    fidelity: float
    grain: float
    wrong: bool
    limit: int | None
    judges: Path
    recogniser: Path | None
    arcface: Path | None
    iqa: bool
    device: str


def run_faces(run: FaceRun, report: Callable[[str], None]) -> str:
    """Make, measure and keep; the Markdown table."""
    cases = read_cases(run.folder)[: run.limit]
    known = list(cases[0].degraded)
    kinds = list(run.kinds) or known
    if unknown := sorted(set(kinds) - set(known)):
        raise InputError(f"{run.folder} has no {unknown[0]} inputs: it has {', '.join(known)}.")
    measure = Measure(
        Judges.find(run.judges),
        None if run.arcface is None else Recogniser(run.arcface),
        pyiqa_metrics(device=run.device) if run.iqa else {},
    )
    if measure.judges.identity is None:
        report(f"{run.judges}: no judge networks there: identity and landmarks are not measured")
    versions = (
        given_versions(run, cases, kinds) if run.results else make_versions(run, cases, kinds)
    )
    summary: list[Row] = []
    groups: list[Row] = []
    every: list[Row] = []
    for kind, name, pictures in versions:
        report(f"measuring {kind}: {name}")
        table = measure_cases(measure, cases, pictures)
        row: dict[str, str | float] = {"input": kind, "version": name, **means(table)}
        if run.iqa and run.out is not None:
            row["fid"] = fid(keep_pictures(run.out, kind, name, pictures), run.device)
        summary.append(row)
        groups += [{"input": kind, "version": name, **line} for line in by_skin(table)]
        every += [{"input": kind, "version": name, **line} for line in table]
    text = f"{markdown(summary)}\nBy the truth's skin:\n\n{markdown(groups)}"
    if run.out is not None:
        keep(run, cases, versions, text, every)
    return f"{len(cases)} people\n\n{text}"


Version = tuple[str, str, Pictures]
"""(kind of input, name of the version, picture by person)."""


def given_versions(run: FaceRun, cases: list[FaceCase], kinds: list[str]) -> list[Version]:
    """Pictures that were restored elsewhere."""
    assert run.results is not None
    if len(kinds) != 1:
        raise InputError("With --results say which inputs they restore: one --kind.")
    pictures = {case.person: read_picture(run.results / f"{case.person}.png") for case in cases}
    return [(kinds[0], run.results.name, pictures)]


def make_versions(run: FaceRun, cases: list[FaceCase], kinds: list[str]) -> list[Version]:
    """The two rows beside every table, then the restorations asked for."""
    recogniser = run.recogniser or (BUNDLED_RECOGNISER if BUNDLED_RECOGNISER.exists() else None)
    restorer = FaceRestorer(
        Restorer.load(run.model, run.device),
        None if recogniser is None else Recogniser(recogniser).to(run.device),
    )
    sampling = Sampling(
        steps=run.steps, combine=run.combine, fidelity=run.fidelity, grain=run.grain
    )
    most = max(len(case.references) for case in cases)
    counts = run.counts or tuple(sorted({0, 1, min(5, most)}))
    versions: list[Version] = []
    first = {case.person: read_picture(case.references[0]) for case in cases if case.references}
    for kind in kinds:
        degraded = {case.person: read_picture(case.degraded[kind]) for case in cases}
        versions.append((kind, "degraded input", degraded))
        sharpened = {person: sharpen(image) for person, image in degraded.items()}
        versions.append((kind, "sharpened by a classical filter", sharpened))
        if len(first) == len(cases):
            versions.append((kind, "first reference copied", first))
        for count in counts:
            name = (
                f"{run.combine}, references {count if count < most else f'all (at most {count})'}"
            )
            versions.append((kind, name, restore_cases(restorer, cases, kind, count, sampling)))
        if run.wrong:
            pictures = restore_cases(restorer, cases, kind, 1, sampling, stranger_of(cases))
            versions.append((kind, "a stranger's reference", pictures))
    return versions


def sharpen(image: np.ndarray) -> np.ndarray:
    """Unsharp masking: what needs no learning."""
    soft = cv2.GaussianBlur(image, (0, 0), 3)
    return np.asarray(cv2.addWeighted(image, 2.0, soft, -1.0, 0))


def keep_pictures(out: Path, kind: str, name: str, pictures: Pictures) -> Path:
    """Every face of a version as <person>.png, which the fixed measure reads too."""
    slug = "".join(letter if letter.isalnum() else "-" for letter in name).strip("-")
    folder = out / kind / slug
    for person, image in pictures.items():
        write_picture(folder / f"{person}.png", image)
    return folder


def keep(
    run: FaceRun, cases: list[FaceCase], versions: list[Version], text: str, every: Sequence[Row]
) -> None:
    """Tables, pictures and one sheet for every kind of input."""
    assert run.out is not None
    run.out.mkdir(parents=True, exist_ok=True)
    (run.out / "faces.md").write_text(text, encoding="utf-8")
    write_csv(run.out / "faces.csv", every)
    for kind in dict.fromkeys(kind for kind, _, _ in versions):
        shown = [(name, pictures) for k, name, pictures in versions if k == kind]
        for name, pictures in shown:
            keep_pictures(run.out, kind, name, pictures)
        columns = [name for name, _ in shown] + ["truth"]
        lines = [
            [pictures[case.person] for _, pictures in shown] + [read_picture(case.truth)]
            for case in cases
        ]
        save_sheet(run.out / f"{kind}.png", columns, lines)
