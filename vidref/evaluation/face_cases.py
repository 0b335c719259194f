"""The folders of the image protocols: who is to be restored from what, with which references.

Three layouts, told apart by their index files:

    protocol.csv                                   ours (faces-dev): gt, person, references, inputs
    reference_mapping/test_references.csv          FFHQ-Ref: test_images/{severe,moderate}_degrad,
                                                   images512x512 (paper.md 5.1)
    test_references.csv + celeba_test_images/      CelebA-Ref-Test; references in CelebA-HQ-img
"""

from __future__ import annotations

import ast
import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidref.errors import InputError


@dataclass(frozen=True)
class FaceCase:
    """One face of a protocol; `references` are in the order in which they are to be used."""

    person: str
    truth: Path
    degraded: dict[str, Path]
    references: tuple[Path, ...]
    truth_native_px: int | None = None


def read_cases(folder: Path) -> list[FaceCase]:
    """All cases of a protocol folder."""
    if (folder / "protocol.csv").exists():
        return own_protocol(folder)
    if (folder / "reference_mapping" / "test_references.csv").exists():
        return ffhq_ref(folder)
    if (folder / "test_references.csv").exists():
        return celeba_ref(folder)
    raise InputError(
        f"{folder}: not a protocol: expected protocol.csv, reference_mapping/test_references.csv "
        "(FFHQ-Ref) or test_references.csv (CelebA-Ref-Test)."
    )


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def own_protocol(folder: Path) -> list[FaceCase]:
    return [
        FaceCase(
            person=row["person"],
            truth=folder / row["gt"],
            degraded={kind: folder / row[kind] for kind in ("moderate", "severe") if kind in row},
            references=tuple(folder / name for name in row["references"].split()),
            truth_native_px=int(row["gt_native_px"]) if row.get("gt_native_px") else None,
        )
        for row in rows(folder / "protocol.csv")
    ]


def listed(names: str) -> list[str]:
    """A Python list literal of file names, as both published sets write it."""
    value = ast.literal_eval(names)
    return [str(name) for name in value]


def ffhq_ref(folder: Path) -> list[FaceCase]:
    images = folder / "images512x512"
    return [
        FaceCase(
            person=Path(row["gt_image"]).stem,
            truth=images / row["gt_image"],
            degraded={
                kind: folder / "test_images" / f"{kind}_degrad" / row["lq_image"]
                for kind in ("moderate", "severe")
            },
            references=tuple(images / name for name in listed(row["ref_image"])),
        )
        for row in rows(folder / "reference_mapping" / "test_references.csv")
    ]


def celeba_ref(folder: Path) -> list[FaceCase]:
    """Some listed references do not exist: they are left out, and so are faces left with none."""
    images = folder / "celeba_test_images"
    cases = []
    for row in rows(folder / "test_references.csv"):
        paths = (folder / "CelebA-HQ-img" / name for name in listed(row["ref_image"]))
        references = tuple(path for path in paths if path.exists())
        if references:
            cases.append(
                FaceCase(
                    person=Path(row["gt_image"]).stem,
                    truth=images / "hq" / row["gt_image"],
                    degraded={"given": images / "lq" / row["lq_image"]},
                    references=references,
                )
            )
    return cases


def read_picture(path: Path) -> np.ndarray:
    """uint8 RGB."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path}: no readable picture: check the protocol's folder.")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def write_picture(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise InputError(f"{path}: could not be written.")
