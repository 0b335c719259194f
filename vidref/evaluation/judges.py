"""Networks that measure and never teach: the identity judge and the landmark finder, by path.

Their licences are not known, so they are never shipped, and where their files are absent the
columns that need them are absent from every table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vidref.errors import ModelError

TEMPLATE_112 = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float32,
)
SQUARE_512 = np.array(
    [[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]],
    np.float32,
)
JUDGE, LANDMARKS = "identity-judge.onnx", "landmarks-68.onnx"


def session(path: Path) -> Any:
    """An onnxruntime session on one thread, so that its sums do not depend on the machine."""
    import onnxruntime

    if not path.exists():
        raise ModelError(f"{path}: no such network: give the folder that holds it.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


@dataclass(frozen=True)
class Judge:
    """Identity of an aligned 512 px face (or any size of that square): a unit vector."""

    run: Callable[[np.ndarray], np.ndarray]
    centre: float
    scale: float

    @classmethod
    def load(cls, folder: Path) -> Judge:
        """The outside judge of the protocol."""
        network = session(folder / JUDGE)
        name = network.get_inputs()[0].name
        return cls(lambda batch: network.run(None, {name: batch})[0], 127.0, 128.0)

    def embed(self, face: np.ndarray) -> np.ndarray:
        """The face and its mirror image, each normalised, added, normalised."""
        window = cut_112(face)
        views = np.stack([window, window[:, ::-1]]).astype(np.float32)
        batch = np.ascontiguousarray(((views - self.centre) / self.scale).transpose(0, 3, 1, 2))
        # one view at a time: the judge's file has a fixed batch of one
        found = [unit(self.run(batch[i : i + 1])[0]) for i in (0, 1)]
        return unit(found[0] + found[1])


def cut_112(face: np.ndarray) -> np.ndarray:
    """The 112 px ArcFace window of an aligned square, shrunk before it is sampled."""
    points = SQUARE_512 * face.shape[0] / 512
    matrix, _ = cv2.estimateAffinePartial2D(points, TEMPLATE_112, method=cv2.LMEDS)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.5:
        face = np.asarray(
            cv2.resize(face, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        )
        matrix[:, :2] /= 2 * scale
    return np.asarray(
        cv2.warpAffine(
            face, matrix, (112, 112), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
    )


@dataclass(frozen=True)
class LandmarkFinder:
    """68 points of an aligned square, in units of the face window."""

    network: Any

    @classmethod
    def load(cls, folder: Path) -> LandmarkFinder:
        return cls(session(folder / LANDMARKS))

    def find(self, face: np.ndarray) -> np.ndarray:
        size = face.shape[0]
        window = face[int(size * 0.16) : int(size * 0.94), int(size * 0.11) : int(size * 0.89)]
        small = np.asarray(cv2.resize(window, (112, 112))).astype(np.float32) / 255
        batch = np.ascontiguousarray(small.transpose(2, 0, 1)[None])
        return np.asarray(self.network.run(None, {"input": batch})[0]).reshape(-1, 2)


def landmark_error(a: np.ndarray, b: np.ndarray) -> float:
    """Mean distance of the points, % of the face window."""
    return float(np.linalg.norm(a - b, axis=1).mean() * 100)


@dataclass(frozen=True)
class Judges:
    """What there is to judge with; either may be absent."""

    identity: Judge | None
    landmarks: LandmarkFinder | None

    @classmethod
    def find(cls, folder: Path | None) -> Judges:
        """Those whose files are in `folder`."""
        if folder is None or not folder.exists():
            return cls(None, None)
        return cls(
            Judge.load(folder) if (folder / JUDGE).exists() else None,
            LandmarkFinder.load(folder) if (folder / LANDMARKS).exists() else None,
        )
