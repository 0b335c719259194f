"""The image protocol: restore every face of a folder, measure it, put the results in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vidref.errors import InputError
from vidref.evaluation import metrics
from vidref.evaluation.face_cases import FaceCase, read_picture
from vidref.evaluation.judges import Judges, landmark_error
from vidref.evaluation.tables import Row, means
from vidref.model.context import Reference
from vidref.model.recogniser import Recogniser
from vidref.model.restorer import Face, PersonContext, Restorer, Sampling

Extra = Callable[[np.ndarray, np.ndarray], float]


def to_tensor(image: np.ndarray, size: int) -> Tensor:
    """uint8 RGB -> (3, size, size) in [-1, 1]."""
    if image.shape[:2] != (size, size):
        image = np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA))
    return torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 127.5 - 1


def to_picture(face: Tensor) -> np.ndarray:
    """(3, S, S) in [-1, 1] -> uint8 RGB."""
    levels = ((face.clamp(-1, 1) + 1) * 127.5).round().byte()
    return levels.permute(1, 2, 0).cpu().numpy()


@dataclass
class Measure:
    """The columns of a row; those whose network is absent are absent."""

    judges: Judges
    arcface: Recogniser | None = None
    """An ArcFace network for both published definitions of IDS; whoever has one names it."""
    extra: dict[str, Extra] = field(default_factory=dict)

    def row(
        self, restored: np.ndarray, truth: np.ndarray, reference: np.ndarray | None
    ) -> dict[str, float]:
        """One restored face against its truth and its first reference."""
        size = (truth.shape[1], truth.shape[0])
        restored = np.asarray(cv2.resize(restored, size, interpolation=cv2.INTER_AREA))
        found: dict[str, float] = {}
        if self.judges.identity:
            judge = self.judges.identity
            mine = judge.embed(restored)
            found["identity"] = float(mine @ judge.embed(truth))
            if reference is not None:
                found["identity_ref"] = float(mine @ judge.embed(reference))
        found["psnr"] = metrics.psnr(restored, truth)
        found["ssim"] = metrics.ssim(restored, truth)
        found["haarpsi"] = metrics.haarpsi(restored, truth)
        if self.judges.landmarks:
            finder = self.judges.landmarks
            found["landmarks"] = landmark_error(finder.find(restored), finder.find(truth))
        found["detail"] = metrics.detail(restored, truth)
        if self.arcface is not None:
            found |= published_ids(self.arcface, restored, truth, reference)
        return found | {name: metric(restored, truth) for name, metric in self.extra.items()}


def published_ids(
    arcface: Recogniser, restored: np.ndarray, truth: np.ndarray, reference: np.ndarray | None
) -> dict[str, float]:
    """Both definitions of IDS (paper.md 5.3): ReF-LDM's centre crop, the authors' whole face."""
    found = {}
    for name, window in (("ids_centre", centre_112), ("ids_whole", whole_112)):
        vectors = [
            None if image is None else arcface_embedding(arcface, window(image))
            for image in (restored, truth, reference)
        ]
        mine, wanted, first = vectors
        assert mine is not None and wanted is not None
        found[name] = float(mine @ wanted)
        if first is not None:
            found[f"{name}_ref"] = float(mine @ first)
    return found


def centre_112(image: np.ndarray) -> np.ndarray:
    """6.25 % to 93.75 % of each side, area-averaged to 112 px."""
    edge = image.shape[0] // 16
    inner = image[edge : image.shape[0] - edge, edge : image.shape[1] - edge]
    return np.asarray(cv2.resize(inner, (112, 112), interpolation=cv2.INTER_AREA))


def whole_112(image: np.ndarray) -> np.ndarray:
    """The whole square, bilinear to 112 px, without averaging."""
    return np.asarray(cv2.resize(image, (112, 112), interpolation=cv2.INTER_LINEAR))


@torch.no_grad()
def arcface_embedding(arcface: Recogniser, window: np.ndarray) -> np.ndarray:
    """The unit embedding of a 112 px window, RGB (x - 127.5) / 127.5."""
    batch = torch.from_numpy(window.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    vector = torch.nn.functional.normalize(arcface.graph(batch), dim=1)
    return np.asarray(vector[0].numpy())


class FaceRestorer:
    """A restorer with the recogniser that it was trained with, on pictures."""

    def __init__(self, restorer: Restorer, recogniser: Recogniser | None) -> None:
        identity = restorer.config.context.identity
        known = identity is not None and recogniser is not None
        if known and identity is not None and recogniser is not None:
            stated = identity.recogniser_sha256
            if stated is not None and stated != recogniser.sha256:
                raise InputError(
                    "The recogniser is not the one that this restorer was trained with (its hash "
                    f"begins {recogniser.sha256[:8]}, not {stated[:8]}): name that one."
                )
        self.restorer = restorer
        self.recogniser = recogniser if known else None
        self.remembered: dict[Path, Reference] = {}

    def reference(self, path: Path) -> Reference:
        """A reference picture with its embedding; read once."""
        if path not in self.remembered:
            image = to_tensor(read_picture(path), self.restorer.config.size)[None]
            with torch.no_grad():
                embedding = self._embed(image)
            self.remembered[path] = Reference(image, embedding)
        return self.remembered[path]

    def _embed(self, image: Tensor) -> Tensor | None:
        identity = self.restorer.config.context.identity
        if self.recogniser is None or identity is None:
            return None
        return self.recogniser.embed(image, mirrored=identity.normalised)

    def context(self, paths: Sequence[Path], degraded: np.ndarray | None = None) -> PersonContext:
        """The context of references; with the degraded face each weighs what it resembles."""
        references = [self.reference(path) for path in paths]
        if degraded is None or self.recogniser is None or not references:
            return self.restorer.remember(references)
        with torch.no_grad():
            seen = self._embed(to_tensor(degraded, self.restorer.config.size)[None])
        assert seen is not None
        weights = []
        for reference in references:
            assert reference.embedding is not None
            likeness = torch.nn.functional.cosine_similarity(seen, reference.embedding)
            # a soft choice: 0.1 of cosine is a factor of e
            weights.append(float(torch.exp(10 * likeness)))
        return self.restorer.remember(references, weights)

    def restore(
        self, cases: Sequence[tuple[str, np.ndarray, PersonContext]], sampling: Sampling
    ) -> list[np.ndarray]:
        """Restored pictures of (person, degraded face, context)."""
        size = self.restorer.config.size
        faces = [Face(to_tensor(image, size), person, known) for person, image, known in cases]
        return [to_picture(face) for face in self.restorer.restore(faces, sampling)]


def restore_cases(
    restorer: FaceRestorer,
    cases: Sequence[FaceCase],
    kind: str,
    count: int,
    sampling: Sampling,
    references_of: Callable[[FaceCase], Sequence[Path]] = lambda case: case.references,
) -> dict[str, np.ndarray]:
    """Every case's degraded face of `kind`, restored from its first `count` references."""
    told = []
    for case in cases:
        degraded = read_picture(case.degraded[kind])
        weighed = degraded if sampling.combine == "weighted" else None
        context = restorer.context(list(references_of(case))[:count], weighed)
        told.append((case.person, degraded, context))
    restored = restorer.restore(told, sampling)
    return {case.person: image for case, image in zip(cases, restored, strict=True)}


def measure_cases(
    measure: Measure, cases: Sequence[FaceCase], pictures: dict[str, np.ndarray]
) -> list[dict[str, str | float]]:
    """One row for every case that has a picture."""
    table: list[dict[str, str | float]] = []
    for case in cases:
        reference = read_picture(case.references[0]) if case.references else None
        found = measure.row(pictures[case.person], read_picture(case.truth), reference)
        table.append({"person": case.person, "skin": skin_of(case.truth), **found})
    return table


@lru_cache(maxsize=4096)
def skin_of(truth: Path) -> str:
    """The group of the true face's cheeks."""
    return metrics.skin_group(metrics.skin_angle(read_picture(truth)))


def by_skin(table: Sequence[Row]) -> list[Row]:
    """The means of every group that is there, with its size."""
    found: list[Row] = []
    for group in ("dark", "middle", "light"):
        rows = [row for row in table if row["skin"] == group]
        if rows:
            found.append({"skin": group, "n": len(rows), **means(rows)})
    return found


def stranger_of(cases: Sequence[FaceCase]) -> Callable[[FaceCase], Sequence[Path]]:
    """The references of the next person in the protocol: what a mistaken identity would bring."""
    following = {
        case.person: cases[(i + 1) % len(cases)].references for i, case in enumerate(cases)
    }
    return lambda case: following[case.person]
