"""Training pictures for the detector, composed afresh every time.

Three kinds: a scene placed at a random scale and angle, four of those as a mosaic, and many single
faces pasted on a scene without any. Faces of all sizes come up equally often on a log scale.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.training import face_augment
from vidref.training.detector_labels import DetectorData, Labels, Picture
from vidref.training.face_augment import Image

SMALLEST_LEARNED_PX = 7.0
MIRRORED_LANDMARKS = [1, 0, 2, 4, 3]


@dataclass(frozen=True)
class Sample:
    image: Image
    labels: Labels


class Composer:
    """Makes samples; which ones follows from the generator alone."""

    def __init__(self, data: DetectorData) -> None:
        self._with = [p for p in data.scenes if p.labels.sure.any()]
        self._without = [p for p in data.scenes if not len(p.labels.sure)]
        doubtful = [p for p in data.scenes if len(p.labels.sure) and not p.labels.sure.any()]
        self._others = doubtful or self._without
        self._faces = data.faces

    def sample(self, size: int, rng: np.random.Generator) -> Sample:
        draw = rng.random()
        if draw < 0.55:
            made = self._scene(size, rng)
        elif draw < 0.7:
            made = self._mosaic(size, rng)
        else:
            made = self._pasted(size, rng)
        if rng.random() < 0.5:
            made = mirrored(made)
        return weathered(made, rng)

    def _scene(self, size: int, rng: np.random.Generator) -> Sample:
        draw = rng.random()
        pictures = self._with if draw < 0.75 else self._without if draw < 0.92 else self._others
        picture = pictures[rng.integers(len(pictures))]
        height, width = picture.image.shape[:2]
        sure = np.flatnonzero(picture.labels.sure)
        if len(sure):
            box = picture.labels.boxes[rng.choice(sure)]
            centre, extent = (box[:2] + box[2:]) / 2, _extents(box[None])[0]
            wanted = np.exp(rng.uniform(np.log(16), np.log(size * 0.95)))
            scale = min(wanted / extent, 3.0)
            at = rng.uniform(0.05, 0.95, 2) * size
        else:
            centre = rng.uniform(0.3, 0.7, 2) * (width, height)
            scale = size / max(width, height) * np.exp(rng.uniform(-0.3, 1.2))
            at = np.array([size / 2, size / 2])
        matrix = placement(centre, at, scale, _angle(rng))
        behind: Image | None = None
        if rng.random() < 0.7:
            behind = self._backdrop(size, rng)
        return placed(picture, matrix, size, behind)

    def _backdrop(self, size: int, rng: np.random.Generator) -> Image:
        picture = self._without[rng.integers(len(self._without))]
        height, width = picture.image.shape[:2]
        side = int(min(height, width) * rng.uniform(0.4, 1.0))
        top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
        cut = picture.image[top : top + side, left : left + side]
        return np.asarray(
            cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8
        )

    def _mosaic(self, size: int, rng: np.random.Generator) -> Sample:
        half = size // 2
        out = np.zeros((size, size, 3), np.uint8)
        parts = []
        for top in (0, half):
            for left in (0, half):
                part = self._scene(half, rng)
                out[top : top + half, left : left + half] = part.image
                parts.append(_shifted(part.labels, left, top))
        return Sample(out, _joined(parts))

    def _pasted(self, size: int, rng: np.random.Generator) -> Sample:
        out = self._backdrop(size, rng)
        taken: list[Labels] = []
        for _ in range(rng.integers(1, 10)):
            face = self._faces[rng.integers(len(self._faces))]
            side = face.image.shape[0]
            box = face.labels.boxes[0]
            wanted = np.exp(rng.uniform(np.log(14), np.log(size * 0.6)))
            scale = min(wanted / _extents(box[None])[0], 2.5 * 128 / side)
            matrix = placement(
                (box[:2] + box[2:]) / 2, rng.uniform(0.02, 0.98, 2) * size, scale, _angle(rng)
            )
            labels = moved(face.labels, matrix, size)
            if not len(labels.sure) or any(_touch(labels.boxes[0], t.boxes[0]) for t in taken):
                continue
            _paste(out, face.image, matrix, scale, rng)
            taken.append(labels)
        return Sample(out, _joined(taken))


def _paste(
    out: Image,
    face: Image,
    matrix: NDArray[np.float64],
    scale: float,
    rng: np.random.Generator,
) -> None:
    """Blends a face picture into `out` under the map, through a soft ellipse or as it is."""
    side = face.shape[0]
    mask = np.zeros((side, side), np.float32)
    axes = (int(side * rng.uniform(0.40, 0.5)), int(side * rng.uniform(0.46, 0.56)))
    cv2.ellipse(mask, (side // 2, side // 2), axes, 0, 0, 360, 1.0, -1)
    if rng.random() < 0.25:
        mask[:] = 1.0  # A picture within the picture, with straight edges.
    source, reduced = _reduced(face, matrix, scale)
    mask = cv2.resize(mask, source.shape[1::-1], interpolation=cv2.INTER_AREA)
    mask = cv2.GaussianBlur(mask, (0, 0), 0.03 * source.shape[0] + 0.3)

    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]]) @ matrix[:, :2].T
    corners += matrix[:, 2]
    left, top = np.clip(np.floor(corners.min(0)), 0, out.shape[0] - 2).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(0)), 2, out.shape[0]).astype(int)
    window = (int(right - left), int(bottom - top))
    reduced = reduced - np.array([[0, 0, left], [0, 0, top]])
    warped = cv2.warpAffine(source, reduced, window, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(mask, reduced, window)[..., None]
    place = out[top:bottom, left:right]
    place[:] = (warped * weight + place * (1 - weight)).astype(np.uint8)


def _touch(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Do the heads meet? Boxes reach from brow to chin, so they are widened first."""
    room = 0.25 * np.maximum(one[2:] - one[:2], other[2:] - other[:2])
    return bool((np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]) > -room).all())


def _extents(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Size of a face: the root of its box's area."""
    result: NDArray[np.float32] = np.sqrt(np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(1))
    return result


def _angle(rng: np.random.Generator) -> float:
    limit = np.deg2rad(40)
    return float(rng.normal(0, 0.1) if rng.random() < 0.65 else rng.uniform(-limit, limit))


def placement(
    centre: NDArray[np.floating], at: NDArray[np.floating], scale: float, angle: float
) -> NDArray[np.float64]:
    """The affine map that turns and scales about `centre` and puts it at `at`."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([turn, (at - turn @ centre)[:, None]])


def _reduced(
    image: Image, matrix: NDArray[np.float64], scale: float
) -> tuple[Image, NDArray[np.float64]]:
    """Halves the source first where the map shrinks it, so that nothing aliases."""
    if scale > 0.7:
        return image, matrix
    factor = max(scale * 1.2, 4 / min(image.shape[:2]))
    # A size, not a factor: OpenCV takes a factor at its word where the size had to be rounded.
    size = [round(factor * side) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    matrix = matrix.copy()
    times = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
    # Places are counted from the middle of the first pixel, which moves when pixels grow.
    matrix[:, 2] += matrix[:, :2] @ ((times - 1) / 2)
    matrix[:, :2] @= np.diag(times)
    return np.asarray(small, dtype=np.uint8), matrix


def placed(
    picture: Picture, matrix: NDArray[np.float64], size: int, behind: Image | None
) -> Sample:
    labels = moved(picture.labels, matrix, size)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    source, matrix = _reduced(picture.image, matrix, scale)
    if behind is None:
        image = cv2.warpAffine(source, matrix, (size, size), flags=cv2.INTER_LINEAR)
    else:
        image = behind.copy()
        cv2.warpAffine(
            source, matrix, (size, size), image, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
        )
    return Sample(np.asarray(image, dtype=np.uint8), labels)


def moved(labels: Labels, matrix: NDArray[np.float64], size: int) -> Labels:
    """Labels under the map; faces outside are dropped, cut or tiny ones are no longer sure."""
    if not len(labels.sure):
        return labels
    centres = (labels.boxes[:, :2] + labels.boxes[:, 2:]) / 2
    halves = (labels.boxes[:, 2:] - labels.boxes[:, :2]) / 2
    centres = centres @ matrix[:, :2].T + matrix[:, 2]
    # The extent of the turned ellipse in the box: a turned box would be far too large.
    halves = np.sqrt((halves**2) @ (matrix[:, :2] ** 2).T)
    boxes = np.hstack([centres - halves, centres + halves]).astype(np.float32)
    landmarks = (labels.landmarks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    inside = np.clip(boxes, 0, size)
    seen = (inside[:, 2:] - inside[:, :2]).prod(1) / np.maximum(
        (boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6
    )
    sure = labels.sure & (seen > 0.6) & (_extents(boxes) >= SMALLEST_LEARNED_PX)
    kept = seen > 0.05
    return Labels(boxes[kept], landmarks[kept], sure[kept])


def _shifted(labels: Labels, left: int, top: int) -> Labels:
    offset = np.array([left, top], np.float32)
    return Labels(labels.boxes + np.tile(offset, 2), labels.landmarks + offset, labels.sure)


def _joined(parts: list[Labels]) -> Labels:
    if not parts:
        return Labels.empty()
    return Labels(
        np.concatenate([p.boxes for p in parts]),
        np.concatenate([p.landmarks for p in parts]),
        np.concatenate([p.sure for p in parts]),
    )


def mirrored(sample: Sample) -> Sample:
    width = sample.image.shape[1]
    boxes = sample.labels.boxes.copy()
    boxes[:, [0, 2]] = width - 1 - sample.labels.boxes[:, [2, 0]]
    landmarks = sample.labels.landmarks[:, MIRRORED_LANDMARKS].copy()
    landmarks[..., 0] = width - 1 - landmarks[..., 0]
    image = np.ascontiguousarray(sample.image[:, ::-1])
    return Sample(image, Labels(boxes, landmarks, sample.labels.sure))


def weathered(sample: Sample, rng: np.random.Generator, degraded: float = 0.35) -> Sample:
    """Light, occlusion and degradation; their strengths follow the size of one of the faces.

    `degraded` is the share of the samples that are blurred, reduced, noisy and compressed.
    """
    image, labels = sample.image, sample.labels
    sure = np.flatnonzero(labels.sure)
    extents = _extents(labels.boxes)
    for index in sure:
        if rng.random() < 0.12:
            middle = (labels.boxes[index, :2] + labels.boxes[index, 2:]) / 2
            image = face_augment.occlude(image, rng, tuple(middle), float(extents[index]))
    if rng.random() < 0.8:
        image = face_augment.light(image, rng, 0.9)
    if rng.random() < 0.1:
        image = face_augment.side_light(image, rng)
    draw = rng.random()
    if draw < degraded:
        extent = float(extents[rng.choice(sure)]) if len(sure) else np.exp(rng.uniform(3, 5.3))
        scale = extent / 512
        image = face_augment.degrade(
            image,
            rng,
            sigma=scale * rng.uniform(0, 22),
            shrink=scale * np.exp(rng.uniform(0, np.log(40))),
            noise=rng.uniform(0, 20),
            quality=int(rng.uniform(30, 100)),
        )
    elif draw < degraded + 0.05:
        image = face_augment.old_film(image, rng)
    return Sample(image, labels)


class SampleStream:
    """Batches whose contents follow from the seed and their number."""

    def __init__(self, data: DetectorData, seed: int) -> None:
        self._composer = Composer(data)
        self._seed = seed

    def batch(
        self, number: int, size: int, count: int, pool: Executor | None
    ) -> tuple[NDArray[np.uint8], list[Labels]]:
        def make(index: int) -> Sample:
            return self._composer.sample(size, np.random.default_rng((self._seed, number, index)))

        samples = list(map(make, range(count)) if pool is None else pool.map(make, range(count)))
        return np.stack([s.image for s in samples]), [s.labels for s in samples]
