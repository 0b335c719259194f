"""Do the photos that a user gives reach the face? The protocol's people, by `vidref restore`.

    python -m tests.benchmarks.given_photos ../shared/data/faces-dev --out runs/given
    python ../shared/tools/measure_faces.py ../shared/data/faces-dev severe runs/given/severe-sure

`vidref evaluate faces` hands the references to the model; here the tool decides whether they are of
the person. Every degraded face is restored with all references of its person, by default and with
`--sure`, and with a stranger's. Printed: of how many the photos were used; the pictures are kept.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path

import vidref
from vidref.evaluation.face_cases import read_cases
from vidref.evaluation.faces import stranger_of
from vidref.evaluation.tables import Row, markdown

WAYS = {"default": (True, False), "sure": (True, True), "a stranger's": (False, False)}
"""Whether the photos are the person's own, and whether `--sure` is given."""


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("folder", type=Path)
    asked.add_argument("--out", type=Path, required=True)
    asked.add_argument("--kinds", nargs="+", default=["moderate", "severe"])
    asked.add_argument("--threads", type=int, default=1)
    args = asked.parse_args()
    cases = read_cases(args.folder)
    strangers = stranger_of(cases)
    rows: list[Row] = []
    for kind in args.kinds:
        row: Row = {"faces": f"{kind}, {len(cases)}"}
        for way, (own, sure) in WAYS.items():
            out = args.out / f"{kind}-{way.split()[-1]}"
            used = 0
            for case in cases:
                photos = case.references if own else strangers(case)
                refs = folder_of(
                    photos, args.out / "references" / (case.person if own else f"not {case.person}")
                )
                picture = out / f"{case.person}.png"
                used += restored(case.degraded[kind], picture, refs, sure, args.threads)
            row[way] = used
        rows.append(row)
        print(markdown(rows), flush=True)


def folder_of(photos: Sequence[Path], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        shutil.copy(photo, folder / photo.name)
    return folder


def restored(source: Path, output: Path, refs: Path, sure: bool, threads: int) -> bool:
    """Restores one face; whether the photos were used."""
    output.parent.mkdir(parents=True, exist_ok=True)
    result = vidref.restore(source, output, refs=refs, sure=sure, threads=threads, overwrite=True)
    assert result.plan is not None
    return any(person.named_by == "photos" for person in result.plan.people)


if __name__ == "__main__":
    main()
