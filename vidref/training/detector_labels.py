"""The detector's labels: the teacher's, cleaned of its mistakes.

The teacher (YuNet) finds animals and patterns at scores around 0.7 and misses small faces. A real
face is found again when the picture is mirrored or enlarged, a mistake seldom is: what the teacher
agrees with itself on is a face, what it wavers on is left out of the loss, both ways.
"""

from __future__ import annotations

import csv
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.errors import InputError
from vidref.training.face_augment import Image

SURE, LIKELY, POSSIBLE = 0.8, 0.7, 0.6
SMALLEST_PX = 6.0
ENLARGED = 1.5


@dataclass(frozen=True)
class Labels:
    """Boxes xyxy (n, 4) and landmarks xy (n, 5, 2) in picture pixels; `sure` faces are learned."""

    boxes: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    sure: NDArray[np.bool_]

    @staticmethod
    def empty() -> Labels:
        return Labels(np.zeros((0, 4), "f"), np.zeros((0, 5, 2), "f"), np.zeros(0, bool))


@dataclass(frozen=True)
class Picture:
    name: str
    image: Image
    labels: Labels


class Teacher:
    """YuNet, through OpenCV: rows of box xywh, five landmarks (image left first), score."""

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise InputError(f"No detector-teacher.onnx at {model}: point --data at its folder.")
        self._detector = cv2.FaceDetectorYN.create(str(model), "", (320, 320), POSSIBLE, 0.3, 5000)

    def find(self, image_rgb: Image) -> NDArray[np.float32]:
        height, width = image_rgb.shape[:2]
        self._detector.setInputSize((width, height))
        _, rows = self._detector.detect(np.ascontiguousarray(image_rgb[..., ::-1]))
        return np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)

    def find_again(self, image_rgb: Image) -> list[NDArray[np.float32]]:
        """The same picture mirrored, and enlarged; rows in the picture's own pixels."""
        width = image_rgb.shape[1]
        mirrored = self.find(np.ascontiguousarray(image_rgb[:, ::-1]))
        if len(mirrored):
            mirrored = _mirror_rows(mirrored, width)
        larger = np.asarray(
            cv2.resize(image_rgb, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC),
            dtype=np.uint8,
        )
        enlarged = self.find(larger)
        enlarged[:, :14] /= ENLARGED
        return [mirrored, enlarged]


def _mirror_rows(rows: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    out = rows.copy()
    out[:, 0] = width - rows[:, 0] - rows[:, 2]
    points = rows[:, 4:14].reshape(-1, 5, 2)[:, [1, 0, 2, 4, 3]].copy()
    points[..., 0] = width - points[..., 0]
    out[:, 4:14] = points.reshape(-1, 10)
    return out


def overlap(one: NDArray[np.float32], many: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU of boxes xyxy: (4,) against (n, 4)."""
    low = np.maximum(one[:2], many[:, :2])
    high = np.minimum(one[2:], many[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (many[:, 2:] - many[:, :2]).prod(1)
    whole = (one[2:] - one[:2]).prod() + areas - shared
    result: NDArray[np.float32] = shared / np.maximum(whole, 1e-6)
    return result


def _xyxy(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)


def clean(first: NDArray[np.float32], again: list[NDArray[np.float32]]) -> Labels:
    """One set of labels from three looks at a picture (rows as the teacher gives them)."""
    boxes, points, sure = [], [], []

    def keep(row: NDArray[np.float32], is_sure: bool) -> None:
        boxes.append(_xyxy(row[None])[0])
        points.append(row[4:14].reshape(5, 2))
        sure.append(bool(is_sure and min(row[2:4]) >= SMALLEST_PX))

    for row in first:
        box = _xyxy(row[None])[0]
        support = sum(bool(len(r) and overlap(box, _xyxy(r)).max() > 0.5) for r in again)
        keep(row, (row[14] >= SURE and support >= 1) or (row[14] >= LIKELY and support == 2))
    for look, other in ((again[0], again[1]), (again[1], again[0])):
        for row in look:
            box = _xyxy(row[None])[0]
            if boxes and overlap(box, np.stack(boxes)).max() > 0.3:
                continue
            seen_twice = bool(len(other) and overlap(box, _xyxy(other)).max() > 0.5)
            keep(row, seen_twice and row[14] >= SURE)
    if not boxes:
        return Labels.empty()
    return Labels(
        np.stack(boxes).astype(np.float32), np.stack(points).astype(np.float32), np.array(sure)
    )


def read_scenes(data: Path, split: str) -> list[Picture]:
    """Whole pictures of a split with the teacher's labels as they are written, all sure."""
    about = json.loads((data / "scenes.json").read_text())
    pictures = []
    with zipfile.ZipFile(data / "scenes.zip") as archive:
        for name in sorted(about):
            if about[name]["split"] == split:
                image = _decode(archive.read(name), name)
                pictures.append(Picture(name, image, _written_labels(about[name]["faces"])))
    return pictures


def _written_labels(faces: list[dict[str, list[float]]]) -> Labels:
    if not faces:
        return Labels.empty()
    boxes = np.array([f["box_xywh"] for f in faces], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    points = np.array([f["landmarks_xy"] for f in faces], np.float32).reshape(-1, 5, 2)
    return Labels(boxes, points, np.array([f["score"] >= SURE for f in faces]))


def cleaned_scenes(data: Path, split: str) -> list[Picture]:
    """The same pictures with cleaned labels."""
    about = json.loads((data / "scenes.json").read_text())
    teacher = Teacher(data / "teachers" / "detector-teacher.onnx")
    pictures = []
    for picture in read_scenes(data, split):
        faces = about[picture.name]["faces"]
        rows = np.array(
            [[*f["box_xywh"], *f["landmarks_xy"], f["score"]] for f in faces], np.float32
        ).reshape(-1, 15)
        labels = clean(rows, teacher.find_again(picture.image))
        pictures.append(Picture(picture.name, picture.image, labels))
    return pictures


def single_faces(data: Path, portraits: int, small: int, seed: int) -> list[Picture]:
    """Pictures of one face to paste from: portraits at 256 px, and small old and new faces."""
    teacher = Teacher(data / "teachers" / "detector-teacher.onnx")
    rng = np.random.default_rng(seed)
    wanted: list[tuple[str, str, int]] = []
    with (data / "faces.csv").open() as lines:
        rows = [r for r in csv.DictReader(lines) if r["split"] == "train"]
    rows = [r for r in rows if float(r["inner_real"]) > 0.97]
    for i in rng.permutation(len(rows))[:portraits]:
        wanted.append((rows[i]["shard"], rows[i]["file"], 256))
    with (data / "identity.csv").open() as lines:
        rows = [r for r in csv.DictReader(lines) if r["split"] == "train"]
    for i in rng.permutation(len(rows))[:small]:
        wanted.append(("identity.zip", rows[i]["file"], 128))
    pictures = []
    archives: dict[str, zipfile.ZipFile] = {}
    for shard, file, size in wanted:
        archive = archives.setdefault(shard, zipfile.ZipFile(data / shard))
        image = _decode(archive.read(file), file)
        image = np.asarray(
            cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
        # A face that fills the picture is found better with something around it.
        around = size // 4
        found = teacher.find(
            np.asarray(
                cv2.copyMakeBorder(image, around, around, around, around, cv2.BORDER_REPLICATE),
                dtype=np.uint8,
            )
        )
        found = found[(found[:, 14] >= SURE) & (found[:, 2] > 0.4 * size)]
        if len(found) == 1:
            found[:, :2] -= around
            found[:, 4:14] -= around
            landmarks = found[:, 4:14].reshape(1, 5, 2)
            labels = Labels(_xyxy(found), landmarks, np.array([True]))
            pictures.append(Picture(file, image, labels))
    for archive in archives.values():
        archive.close()
    return pictures


def _decode(packed: bytes, name: str) -> Image:
    image = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{name} cannot be decoded as a picture; fetch the data anew.")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
