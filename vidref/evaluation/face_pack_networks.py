"""The networks a face pack is compared with, behind the pack's own two verbs.

The teacher (YuNet) and the judge measure; neither ships, and the judge takes no part in training.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from vidref.faces.detected import DetectedFace

Image = NDArray[np.uint8]
DETECT_PX = 640


class Detects(Protocol):
    def detect(self, frame: Image) -> list[DetectedFace]: ...


class Embeds(Protocol):
    def embed_aligned(self, crops: list[Image]) -> NDArray[np.float32]: ...


class TeacherDetector:
    """YuNet on the same 640 px letterbox that a pack sees."""

    def __init__(self, model: Path, least_score: float) -> None:
        size = (DETECT_PX, DETECT_PX)
        self._detector = cv2.FaceDetectorYN.create(str(model), "", size, least_score, 0.3, 5000)

    def detect(self, frame: Image) -> list[DetectedFace]:
        scale = DETECT_PX / max(frame.shape[:2])
        canvas = np.zeros((DETECT_PX, DETECT_PX, 3), np.uint8)
        small = cv2.resize(frame, None, fx=scale, fy=scale)[:DETECT_PX, :DETECT_PX]
        canvas[: small.shape[0], : small.shape[1]] = small
        _, rows = self._detector.detect(np.ascontiguousarray(canvas[..., ::-1]))
        found = np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)
        found[:, :14] /= scale
        return [
            DetectedFace(
                np.concatenate([row[:2], row[:2] + row[2:4]]),
                row[4:14].reshape(5, 2),
                float(row[14]),
            )
            for row in sorted(found, key=lambda row: -row[14])
        ]


class JudgeRecogniser:
    """A MobileFaceNet of unknown licence: only ever an outside measure."""

    def __init__(self, model: Path) -> None:
        self._session: Any = onnxruntime.InferenceSession(
            str(model), providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def embed_aligned(self, crops: list[Image]) -> NDArray[np.float32]:
        total = np.zeros((0, 128), np.float32)
        rows = []
        for crop in crops:
            both = 0.0
            for view in (crop, crop[:, ::-1]):
                batch = ((view.astype(np.float32) - 127) / 128).transpose(2, 0, 1)[None]
                vector = self._session.run(None, {self._input: np.ascontiguousarray(batch)})[0][0]
                both = both + vector / np.linalg.norm(vector)
            rows.append(both / np.linalg.norm(both))
        return np.stack(rows).astype(np.float32) if rows else total
