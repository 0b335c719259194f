"""Networks trained without a fifth of the scenes each, every one measured on the fifth it left out.

All scenes of split `train` are measured so, by networks that none of them was learned by. What the
folds found is also put together, and recall at a precision is then that of one score for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidref.errors import InputError
from vidref.evaluation import face_pack_detector as detection
from vidref.evaluation.face_pack import LEAST_MEASURED, PRECISION, draw_failures
from vidref.evaluation.face_pack_degradation import SEVERE
from vidref.evaluation.face_pack_detector import Scene, Tallies, Tally
from vidref.evaluation.face_pack_networks import Detects, TeacherDetector
from vidref.evaluation.tables import Row, markdown, write_csv
from vidref.faces.pack import load_pack
from vidref.faces.refiner import FILE as REFINER

KINDS = ("clean", "severe")
PACK, LEFT_OUT = "pack", "refiner/fold.txt"
"""In a fold's folder: its networks, and the list of scenes that its training left out."""


@dataclass
class Found:
    """What some network found of some scenes, as they are and each face damaged severely."""

    scenes: list[Scene] = field(default_factory=list)
    kinds: dict[str, Tallies] = field(default_factory=lambda: {kind: Tallies() for kind in KINDS})

    def take(self, other: Found) -> None:
        self.scenes += other.scenes
        for kind, tallies in self.kinds.items():
            tallies.take(other.kinds[kind])

    def row(self, name: str, least: float) -> Row:
        clean, severe = (self.kinds[kind] for kind in KINDS)
        return {
            "fold": name,
            "scenes": len(self.scenes),
            "faces": clean.put_right.true,
            **_figures(clean.put_right, "", least),
            "as labelled": clean.as_labelled.recall_at_precision(PRECISION)[0],
            **_figures(severe.put_right, "severe: ", least),
        }

    def failures(self) -> list[Row]:
        """What is drawn in the sheets: where it is, put right."""
        rows = list[Row]()
        for kind, tallies in self.kinds.items():
            of = {"kind": kind, "what": "wrong"}
            for scene, box, score in tallies.put_right.wrong:
                rows.append({**of, "scene": scene, "box": _written(box), "score": score})
            rows += [
                {"kind": kind, "what": "missed", "scene": scene, "box": _written(box)}
                for scene, box in tallies.put_right.missed
            ]
        return rows


def _written(box: NDArray[np.float32]) -> str:
    return " ".join(str(round(float(side))) for side in box)


def _figures(tally: Tally, kind: str, least: float) -> dict[str, float]:
    recall, precision = tally.at_score(least)
    return {
        f"{kind}recall at precision {PRECISION}": tally.recall_at_precision(PRECISION)[0],
        f"{kind}recall at {least}": recall,
        f"{kind}precision": precision,
    }


def measure_folds(
    runs: Path, data: Path, out: Path, say: Callable[[str], None], threads: int = 0
) -> str:
    """`runs` holds a folder a fold; those that have a refiner are measured. Returns the table."""
    trained = (file.parent.parent for file in runs.glob(f"*/{PACK}/{REFINER}"))
    folds = sorted(fold for fold in trained if (fold / LEFT_OUT).is_file())
    if not folds:
        raise InputError(
            f"{runs} holds no trained fold: there is no fold0/{PACK}/{REFINER} with its {LEFT_OUT}."
        )
    out.mkdir(parents=True, exist_ok=True)
    teacher = TeacherDetector(data / "teachers" / "detector-teacher.onnx", LEAST_MEASURED)
    together, beside, rows = Found(), Found(), list[Row]()
    for fold in folds:
        scenes = detection.read_scenes(data, detection.read_fold(fold / LEFT_OUT))
        pack = load_pack(str(fold / PACK), threads)
        least = pack.least_score
        found = found_by(pack.with_least_score(LEAST_MEASURED), scenes, least)
        beside.take(found_by(teacher, scenes, least))
        together.take(found)
        rows.append(found.row(fold.name, least))
        say(markdown([rows[-1]]))
    rows += [together.row("together", least), beside.row("the teacher", least)]
    for kind, tallies in together.kinds.items():
        draw_failures(tallies.put_right, together.scenes, out / f"folds {kind}.png")
    write_csv(out / "folds.csv", rows)
    write_csv(out / "failures.csv", together.failures())
    table = markdown(rows)
    (out / "folds.md").write_text(table)
    return table


def found_by(detector: Detects, scenes: list[Scene], least: float) -> Found:
    return Found(
        scenes,
        {
            "clean": detection.measure_clean(detector, scenes, least),
            "severe": detection.measure_degraded_faces(detector, scenes, SEVERE, 0, least),
        },
    )
