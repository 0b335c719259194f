"""The detector's labels: the teacher's, cleaned of its mistakes.

The teacher (YuNet) finds animals and patterns at scores around 0.7 and misses small faces. A real
face is found again when the picture is mirrored or enlarged, a mistake seldom is: what the teacher
agrees with itself on is a face, what it wavers on is left out of the loss, both ways. Its points
are the median of many looks.
"""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.errors import InputError
from vidref.faces.boxes import overlaps
from vidref.faces.many_looks import ManyLooks
from vidref.training.face_augment import Image

SURE, UNLIKELY, POSSIBLE = 0.8, 0.75, 0.6
SMALLEST_PX = 6.0
LARGE_PX = 40.0
ENLARGED = 1.5
NOT_FACES = frozenset(
    f"scene_{number:05}.webp"
    for number in (
        *(817, 826, 839, 841, 857, 874, 879, 915, 950, 951, 953, 955, 957, 961, 962, 966),
        *(967, 973, 974, 977, 978, 979, 980, 981, 982, 985, 987, 988, 990, 993, 994, 995),
        *(1001, 1002, 1006, 1007, 1011, 1013, 1014, 1015, 1019, 1026, 1031, 1034, 1037),
        *(1038, 1039, 1042, 1044, 1046, 1051, 1053, 1054, 1061, 1063, 1067, 1070, 1075),
        *(1076, 1079, 1083, 1085, 1087, 1094, 1109, 1122, 1133, 1138, 1141, 1145, 1148),
        *(1151, 1159, 1167, 1170, 1172, 1173, 1177, 1178, 1179, 1180, 1181, 1182, 1198, 1209),
        *(1298, 1337, 1373, 1407, 1430, 1510, 1570, 1650, 1652, 1732, 1757, 1793),
    )
)
"""Scenes of the train split where all that the teacher took for faces, looked at by eye, are
animals or things."""
FACES_AFTER_ALL = frozenset(
    [f"archive_{n:05}.webp" for n in (475, 495, 499, 512, 541, 572, 601, 608, 613, 632, 652, 662)]
    + ["archive_00663.webp", "scene_01620.webp"]
)
"""Pictures of the train split whose wavering finds, looked at by eye, are faces, points right."""
UNLABELLED = frozenset(
    [f"archive_{n:05}.webp" for n in (481, 510, 555)]
    + [f"scene_{n:05}.webp" for n in (1309, 1403, 1473, 1491, 1543, 1619, 1782)]
)
"""Pictures of the train split with faces that the teacher missed: nothing in them is a mistake."""


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
        enlarged[:, :2] = (enlarged[:, :2] + 0.5) / ENLARGED - 0.5
        enlarged[:, 2:4] /= ENLARGED
        enlarged[:, 4:14] = (enlarged[:, 4:14] + 0.5) / ENLARGED - 0.5
        return [mirrored, enlarged]


def _mirror_rows(rows: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    out = rows.copy()
    out[:, 0] = width - 1 - rows[:, 0] - rows[:, 2]
    points = rows[:, 4:14].reshape(-1, 5, 2)[:, [1, 0, 2, 4, 3]].copy()
    points[..., 0] = width - 1 - points[..., 0]
    out[:, 4:14] = points.reshape(-1, 10)
    return out


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
        support = sum(bool(len(r) and overlaps(box, _xyxy(r)).max() > 0.5) for r in again)
        if row[14] < UNLIKELY and min(row[2:4]) >= LARGE_PX and support < 2:
            continue  # Looked at: large, doubtful and not found again is an animal or a thing.
        keep(row, row[14] >= SURE and support >= 1)
    for look, other in ((again[0], again[1]), (again[1], again[0])):
        for row in look:
            box = _xyxy(row[None])[0]
            if boxes and overlaps(box, np.stack(boxes)).max() > 0.3:
                continue
            seen_twice = bool(len(other) and overlaps(box, _xyxy(other)).max() > 0.5)
            keep(row, seen_twice and row[14] >= SURE)
    if not boxes:
        return Labels.empty()
    return Labels(
        np.stack(boxes).astype(np.float32), np.stack(points).astype(np.float32), np.array(sure)
    )


LABEL_SIZES_PX, LABEL_SHIFTS, LEAST_LOOKS = (56, 80, 112), 1, 4
"""Looks of the teacher at each face whose points are learned, and how many must find it."""


def with_steady_points(pictures: list[Picture], data: Path) -> list[Picture]:
    """Sure faces get the median of many looks of the teacher for their points, mirrored ones too.

    One look is off that median by a sixteenth of the eye distance, and not to all sides alike.
    """
    looks = ManyLooks(data / "teachers" / "detector-teacher.onnx", LABEL_SIZES_PX, LABEL_SHIFTS)
    steady = []
    for picture in pictures:
        labels = picture.labels
        landmarks = labels.landmarks.copy()
        for index in np.flatnonzero(labels.sure):
            many = looks.at(picture.image, labels.boxes[index])
            if len(many) >= LEAST_LOOKS:
                landmarks[index] = np.median(many, axis=0)
        steady.append(replace(picture, labels=replace(labels, landmarks=landmarks)))
    return steady


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


def _written_labels(faces: list[dict[str, Any]]) -> Labels:
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
        labels = Labels.empty()
        if picture.name not in NOT_FACES:
            labels = clean(rows, teacher.find_again(picture.image))
        if picture.name in FACES_AFTER_ALL:
            labels = replace(labels, sure=np.ones(len(labels.boxes), bool))
        pictures.append(Picture(picture.name, picture.image, labels))
    return pictures


def single_faces(data: Path, portraits: int, small: int, seed: int) -> list[Picture]:
    """Pictures of one face to paste from: portraits at 256 px, and small old and new faces."""
    teacher = Teacher(data / "teachers" / "detector-teacher.onnx")
    rng = np.random.default_rng(seed)
    with (data / "faces.csv").open() as lines:
        rows = [r for r in csv.DictReader(lines) if r["split"] == "train"]
    rows = [r for r in rows if float(r["inner_real"]) > 0.97]
    names = [f"{rows[i]['shard']}/{rows[i]['file']}" for i in rng.permutation(len(rows))]
    with (data / "identity.csv").open() as lines:
        rows = [r for r in csv.DictReader(lines) if r["split"] == "train"]
    others = [f"identity.zip/{rows[i]['file']}" for i in rng.permutation(len(rows))]
    pictures = []
    for name, image in _single_images(data, names[:portraits] + others[:small]):
        size = image.shape[0]
        # A face that fills the picture is found better with something around it.
        around = size // 4
        wide = cv2.copyMakeBorder(image, around, around, around, around, cv2.BORDER_REPLICATE)
        found = teacher.find(np.asarray(wide, dtype=np.uint8))
        found = found[(found[:, 14] >= SURE) & (found[:, 2] > 0.4 * size)]
        if len(found) == 1:
            landmarks = found[:, 4:14].reshape(1, 5, 2) - around
            labels = Labels(_xyxy(found) - around, landmarks, np.array([True]))
            pictures.append(Picture(name, image, labels))
    return pictures


def _single_images(data: Path, names: list[str]) -> Iterator[tuple[str, Image]]:
    archives: dict[str, zipfile.ZipFile] = {}
    for name in names:
        shard, file = name.split("/", 1)
        if shard not in archives:
            archives[shard] = zipfile.ZipFile(data / shard)
        archive = archives[shard]
        size = 128 if shard == "identity.zip" else 256
        image = cv2.resize(
            _decode(archive.read(file), name), (size, size), interpolation=cv2.INTER_AREA
        )
        yield name, np.asarray(image, dtype=np.uint8)
    for archive in archives.values():
        archive.close()


@dataclass(frozen=True)
class DetectorData:
    scenes: list[Picture]
    faces: list[Picture]


def detector_data(data: Path, portraits: int, small: int, seed: int, cache: Path) -> DetectorData:
    """All that the detector is trained on; what the teacher said is kept in `cache`."""
    by_eye = zlib.crc32(repr([sorted(NOT_FACES), sorted(FACES_AFTER_ALL)]).encode())
    key = f"{portraits} {small} {seed} {by_eye} {LABEL_SIZES_PX} {LABEL_SHIFTS}"
    known = json.loads(cache.read_text()) if cache.is_file() else {}
    if known.get("key") == key:
        scenes, faces = known["scenes"], known["faces"]
        return DetectorData(
            [
                Picture(p.name, p.image, _from_lists(scenes[p.name]))
                for p in read_scenes(data, "train")
            ],
            [Picture(n, im, _from_lists(faces[n])) for n, im in _single_images(data, list(faces))],
        )
    made = DetectorData(
        with_steady_points(cleaned_scenes(data, "train"), data),
        with_steady_points(single_faces(data, portraits, small, seed), data),
    )
    groups = {"scenes": made.scenes, "faces": made.faces}
    lists = {g: {p.name: _as_lists(p.labels) for p in part} for g, part in groups.items()}
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_text(json.dumps({"key": key, **lists}))
    return made


def _as_lists(labels: Labels) -> list[list[float]]:
    flat = np.hstack(
        [labels.boxes, labels.landmarks.reshape(-1, 10), labels.sure[:, None].astype(np.float32)]
    )
    return [[round(float(v), 2) for v in row] for row in flat]


def _from_lists(rows: list[list[float]]) -> Labels:
    flat = np.array(rows, np.float32).reshape(-1, 15)
    return Labels(flat[:, :4], flat[:, 4:14].reshape(-1, 5, 2), flat[:, 14] > 0.5)


def _decode(packed: bytes, name: str) -> Image:
    image = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{name} cannot be decoded as a picture; fetch the data anew.")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)
