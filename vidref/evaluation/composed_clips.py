"""Clips whose truth is known because they are composed: portraits that move before pictures.

A scene is a background, actors (a portrait each, on a path) drawn one before another, screens that
hide them, and a camera. Scenes follow one another as cuts and are encoded to a real video file;
what comes back tells, for every frame, where whose face is and how much of it can be seen.
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import Placement, placement_of, to_crop, to_frame
from vidref.media.x264 import repeatable_options

Image = NDArray[np.uint8]
Path2d = Callable[[float], Placement | None]
Camera = Callable[[float], tuple[float, float, float]]

HEAD_CENTRE, HEAD_HALF = (0.5, 0.52), (0.37, 0.46)
"""The ellipse that is cut out of a portrait, in shares of 1.2 face squares."""
MARGIN = 1.2
SOFTNESS = 0.06


@dataclass(frozen=True)
class Portrait:
    """A photograph of one person's face, with its five landmarks."""

    person: str
    rgb: Image
    landmarks_xy: NDArray[np.float32]

    def at(self, _: float) -> Portrait:
        return self


@dataclass(frozen=True)
class MovingPortrait:
    """Consecutive pictures of one person's face: expression and pose change as it is shown."""

    person: str
    views: tuple[Portrait, ...]
    rate: float

    def at(self, time_s: float) -> Portrait:
        """There and back again if a scene is longer than the pictures last."""
        last = len(self.views) - 1
        step = round(time_s * self.rate) % max(2 * last, 1)
        return self.views[min(step, 2 * last - step) if last else 0]


@dataclass(frozen=True)
class Actor:
    """`path` gives the face's square at a time of its scene, None while the actor is away."""

    portrait: Portrait | MovingPortrait
    path: Path2d


@dataclass(frozen=True)
class Screen:
    """Something that hides whatever is behind it."""

    rgb: Image
    box_xyxy: tuple[float, float, float, float]


def still(_: float) -> tuple[float, float, float]:
    return 0.0, 0.0, 1.0


@dataclass(frozen=True)
class Scene:
    """`camera` gives its shift in pixels and its zoom at a time; actors are drawn in order."""

    background: Image
    seconds: float
    actors: tuple[Actor, ...]
    screens: tuple[Screen, ...] = ()
    camera: Camera = still
    jpeg: int | None = None
    """Quality at which its camera has coded every picture before."""


@dataclass(frozen=True)
class TrueFace:
    """`visible` is the share of the face that is neither hidden nor outside the frame."""

    person: str
    placement: Placement
    visible: float


@dataclass(frozen=True)
class Composed:
    """A composed clip and its truth."""

    path: Path
    times_s: tuple[float, ...]
    faces: tuple[tuple[TrueFace, ...], ...]
    cuts: tuple[int, ...]
    """Frames that begin a new scene."""

    def shot_of(self, index: int) -> int:
        return sum(cut <= index for cut in self.cuts)


def compose(
    path: Path,
    scenes: Sequence[Scene],
    *,
    size: tuple[int, int] = (960, 540),
    rate: int = 25,
    ticks: Sequence[int] | None = None,
    crf: int = 26,
    noise: float = 2.0,
    seed: int = 0,
) -> Composed:
    """Renders and encodes; `ticks` are the frames' times in milliseconds, else `rate` a second."""
    rng = np.random.default_rng(seed)
    grain = rng.standard_normal((size[1], size[0], 3), np.float32)
    times, faces, cuts = list[float](), list[tuple[TrueFace, ...]](), list[int]()
    with av.open(str(path), "w") as out:
        options = {"crf": str(crf), **repeatable_options()}
        stream = out.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, scene in enumerate(scenes):
            if number:
                cuts.append(len(times))
            start = len(times)
            for index in range(start, start + round(scene.seconds * rate)):
                moments = [ticks[i] if ticks else round(1000 * i / rate) for i in (start, index)]
                tick = moments[1]
                picture, true = render(scene, (tick - moments[0]) / 1000, size)
                if scene.jpeg is not None:
                    picture = _coded(picture, scene.jpeg)
                grainy = picture + noise * np.roll(grain, rng.integers(0, grain.shape[0]), 0)
                frame = av.VideoFrame.from_ndarray(
                    np.clip(grainy, 0, 255).astype(np.uint8), format="rgb24"
                )
                frame.pts, frame.time_base = tick, Fraction(1, 1000)
                out.mux(stream.encode(frame))
                times.append(tick / 1000)
                faces.append(true)
        out.mux(stream.encode(None))
    return Composed(path, tuple(times), tuple(faces), tuple(cuts))


def render(
    scene: Scene, time_s: float, size: tuple[int, int]
) -> tuple[NDArray[np.float32], tuple[TrueFace, ...]]:
    """One frame as float RGB, and the faces in it."""
    x, y, zoom = scene.camera(time_s)
    picture = _background(scene.background, size, x, y, zoom)
    middle = np.array(size) / 2
    layers: list[tuple[str, Placement, NDArray[np.float32], float]] = []
    for actor in scene.actors:
        place = actor.path(time_s)
        if place is None:
            continue
        centre = (np.array(place.centre_xy) - middle - (x, y)) * zoom + middle
        seen = Placement((float(centre[0]), float(centre[1])), place.size_px * zoom, place.angle)
        alpha, whole = _draw(picture, actor.portrait.at(time_s), seen)
        layers = [(p, s, a * (1 - alpha), w) for p, s, a, w in layers]
        layers.append((actor.portrait.person, seen, alpha, whole))
    for screen in scene.screens:
        corners = (np.array(screen.box_xyxy).reshape(2, 2) - middle - (x, y)) * zoom + middle
        low = np.clip(np.round(corners[0]), 0, size).astype(int)
        high = np.clip(np.round(corners[1]), 0, size).astype(int)
        if (high > low).all():
            area = (slice(low[1], high[1]), slice(low[0], high[0]))
            picture[area] = cv2.resize(screen.rgb, tuple(high - low)).astype(np.float32)
            for layer in layers:
                layer[2][area] = 0
    faces = (TrueFace(p, s, float(min(a.sum() / w, 1.0))) for p, s, a, w in layers)
    return picture, tuple(faces)


def _coded(picture: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    whole = np.clip(picture, 0, 255).astype(np.uint8)
    _, packed = cv2.imencode(".jpg", whole[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _decode(packed.tobytes()).astype(np.float32)


def _background(
    image: Image, size: tuple[int, int], x: float, y: float, zoom: float
) -> NDArray[np.float32]:
    cover = 1.3 * max(size[0] / image.shape[1], size[1] / image.shape[0])
    matrix = np.array([[zoom * cover, 0, 0], [0, zoom * cover, 0]])
    middle = np.array([image.shape[1], image.shape[0]]) / 2
    matrix[:, 2] = np.array(size) / 2 - zoom * (cover * middle + (x, y))
    view = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(view, np.float32)


def _draw(
    picture: NDArray[np.float32], portrait: Portrait, place: Placement
) -> tuple[NDArray[np.float32], float]:
    """Paints a head; returns its opacity on the frame, and the sum that it would have in full."""
    height, width = picture.shape[:2]
    own = placement_of(portrait.landmarks_xy)
    source = portrait.rgb
    while own.size_px > 2 * place.size_px and min(source.shape[:2]) > 16:
        # An even side is halved exactly: pixel centres move by half a pixel of the larger picture.
        source = source[: source.shape[0] // 2 * 2, : source.shape[1] // 2 * 2]
        source = cv2.resize(source, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        x, y = own.centre_xy
        own = Placement((x / 2 - 0.25, y / 2 - 0.25), own.size_px / 2, own.angle)
    whole = Placement(place.centre_xy, place.size_px * MARGIN, place.angle)
    reach = whole.size_px * 0.75 + 2
    low = np.clip(np.floor(np.array(place.centre_xy) - reach), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(np.array(place.centre_xy) + reach), 0, (width, height)).astype(int)
    mask = _head_mask()
    alpha = np.zeros((height, width), np.float32)
    full = float(mask.sum()) * (whole.size_px / mask.shape[0]) ** 2
    if (high <= low).any():
        return alpha, full
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    there = np.vstack([to_frame(place), [0, 0, 1]]) @ np.vstack([to_crop(own), [0, 0, 1]])
    from_mask = to_frame(whole, mask.shape[0])
    there[:2, 2] -= low
    from_mask[:, 2] -= low
    head = cv2.warpAffine(
        source, there[:2], size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    area = (slice(low[1], high[1]), slice(low[0], high[0]))
    alpha[area] = cv2.warpAffine(mask, from_mask, size, flags=cv2.INTER_LINEAR)
    picture[area] += alpha[area][..., None] * (head.astype(np.float32) - picture[area])
    return alpha, full


@cache
def _head_mask(edge: int = 256) -> NDArray[np.float32]:
    y, x = (np.mgrid[:edge, :edge] + 0.5) / edge
    radius = np.hypot((x - HEAD_CENTRE[0]) / HEAD_HALF[0], (y - HEAD_CENTRE[1]) / HEAD_HALF[1])
    return np.asarray(np.clip((1 - radius) / SOFTNESS, 0, 1), np.float32)


def load_people(
    data: Path, split: str, least_photos: int = 2, most_people: int = 60
) -> dict[str, list[Portrait]]:
    """People of `shared/data/faces.csv` whose photographs are wholly real, by their names."""
    with (data / "faces.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["split"] == split
            and row["source"] != "pif"
            and float(row["inner_real"]) > 0.97
            and int(row["native_px"]) >= 250
        ]
    by_person: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_person.setdefault(row["person"], []).append(row)
    chosen = [p for p, photos in sorted(by_person.items()) if len(photos) >= least_photos]
    people: dict[str, list[Portrait]] = {}
    for person in chosen[:most_people]:
        people[person] = [_read_portrait(data, row) for row in by_person[person]]
    return people


def _read_portrait(data: Path, row: dict[str, str]) -> Portrait:
    with zipfile.ZipFile(data / row["shard"]) as archive:
        image = _decode(archive.read(row["file"]))
    points = np.array([float(v) for v in row["landmarks_xy"].split()], np.float32).reshape(5, 2)
    return Portrait(row["person"], image, points)


def _decode(packed: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(image, np.uint8)[..., ::-1])


def load_backgrounds(data: Path, wanted: int, seed: int = 0) -> list[Image]:
    """Pictures of `shared/data/scenes.zip` in which there is no face."""
    labels = json.loads((data / "scenes.json").read_text(encoding="utf-8"))
    names = sorted(n for n, label in labels.items() if not label["faces"] and "scene" in n)
    names = names or sorted(n for n, label in labels.items() if not label["faces"])
    rng = np.random.default_rng(seed)
    images = []
    with zipfile.ZipFile(data / "scenes.zip") as archive:
        for name in rng.permutation(names)[:wanted]:
            images.append(_decode(archive.read(name)))
    return images
