"""What the restorer makes of faces out of coded, moving pictures.

    python -m tests.benchmarks.coded_faces ../shared/data [--model runs/x/bundle] [--sheet FILE.png]

The people of the dev protocol (never trained on), filmed as `training/moving_damage.py` films: at
three sizes, each with its own noise and H.264 quantiser, the same for every model. One step, and no
grain, as clips are restored.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch

from vidref import weights
from vidref.evaluation.face_cases import FaceCase, read_cases, read_picture, write_picture
from vidref.evaluation.faces import FaceRestorer, Measure, measure_cases
from vidref.evaluation.judges import Judges
from vidref.evaluation.tables import Row, markdown, means
from vidref.model.recogniser import Recogniser
from vidref.model.restorer import Restorer, Sampling
from vidref.training.moving_damage import Filming, draw_filming, filmed

LEVELS = {
    "200 px, crf 34": {"side_px": 200, "severity": 10 / 18, "noise": 6.0},
    "110 px, crf 30": {"side_px": 110, "severity": 6 / 18, "noise": 3.0},
    "70 px, crf 30": {"side_px": 70, "severity": 6 / 18, "noise": 3.0},
    "70 px, crf 34": {"side_px": 70, "severity": 10 / 18, "noise": 3.0},
}
COLUMNS = ("identity", "psnr", "haarpsi", "landmarks", "detail")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--people", type=int, default=25)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cases = read_cases(options.data / "faces-dev")[: options.people]
    measure = Measure(Judges.find(options.data / "teachers"))
    restorer = FaceRestorer(
        Restorer.load(options.model), Recogniser(weights.FACE_PACK / "recogniser.onnx")
    )
    rows: list[Row] = []
    columns: list[dict[str, np.ndarray]] = []
    for level, how in LEVELS.items():
        poor = {case.person: film(case, how) for case in cases}
        versions = {"input": poor}
        for count in (0, 5):
            told = [
                (c.person, poor[c.person], restorer.context(c.references[:count])) for c in cases
            ]
            made = restorer.restore(told, Sampling(steps=1, grain=0.0))
            versions[f"{count or 'no'} references"] = {
                case.person: face for case, face in zip(cases, made, strict=True)
            }
        for version, pictures in versions.items():
            found = means(measure_cases(measure, cases, pictures))
            told_of = {name: found[name] for name in COLUMNS if name in found}
            rows.append({"filmed": level, "what": version, **told_of})
            columns.append(pictures)
    print(f"{len(cases)} people\n\n{markdown(rows)}")
    if options.sheet:
        columns.append({case.person: read_picture(case.truth) for case in cases})
        write_picture(options.sheet, sheet(cases, columns))


def film(case: FaceCase, how: dict[str, float]) -> np.ndarray:
    """The person's face in a clip: their own movement, the level's size, noise and quantiser."""
    truth = cv2.resize(read_picture(case.truth), (512, 512), interpolation=cv2.INTER_AREA)
    seed = zlib.crc32(case.person.encode())
    drawn = draw_filming(512, torch.Generator().manual_seed(seed))
    size = how["side_px"] / drawn.side_px
    pace = (drawn.pace[0] * size, drawn.pace[1] * size, drawn.pace[2], drawn.pace[3])
    fixed: Filming = replace(
        drawn, **how, pace=pace, blur_px=0.5, codec="libx264", twice=False, frames=8, shown=6
    )
    return filmed(truth, fixed, np.random.default_rng(seed))


def sheet(cases: list[FaceCase], columns: list[dict[str, np.ndarray]]) -> np.ndarray:
    """One row a person, inner faces at half size."""
    lines = []
    for case in cases:
        faces = [cv2.resize(column[case.person], (512, 512))[76:486, 51:461] for column in columns]
        lines.append(np.hstack([cv2.resize(f, (205, 205)) for f in faces]))
    return np.vstack(lines)


if __name__ == "__main__":
    main()
