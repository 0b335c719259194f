"""The video protocol: a restored clip frame by frame and over time, against the true one.

A guide says where the face is and how it moves: its largest face in every frame is aligned by its
own landmarks in both clips, so that a restoration cannot move its own measuring window. The guide
is the true clip; real footage has none, so there the degraded clip guides, and only what needs no
truth is measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from vidref.errors import InputError
from vidref.evaluation import metrics
from vidref.evaluation.clip_motion import shake, warp_errors
from vidref.evaluation.judges import SQUARE_512, Judges, landmark_error, unit
from vidref.faces.detected import DetectedFace
from vidref.faces.pack import FacePack

NEW_PLACE = 0.25
"""A face that moves by more of its width in one frame is another face, or another scene."""


def frames_of(path: Path) -> Iterator[np.ndarray]:
    """uint8 RGB frames in presentation order."""
    import av
    import av.error

    try:
        with av.open(str(path)) as source:
            for frame in source.decode(video=0):
                yield frame.to_ndarray(format="rgb24")
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: not a readable clip ({error}).") from error


@dataclass
class Series:
    """Values over the frames of one clip, by name; gaps where there was no face."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def summary(self) -> dict[str, float]:
        """Means, and for what should be steady its deviation over time."""
        found: dict[str, float] = {}
        for name, values in self.values.items():
            found[name] = float(np.mean(values))
            if name in ("identity", "landmarks"):
                found[f"{name}_deviation"] = float(np.std(values))
        return found


@dataclass(frozen=True)
class View:
    """One frame's face in both clips: aligned squares and what the judges say of them."""

    square: np.ndarray
    guide_square: np.ndarray
    centre: np.ndarray
    width: float
    embedding: np.ndarray | None
    guide_embedding: np.ndarray | None
    points: np.ndarray | None
    guide_points: np.ndarray | None


def measure_clip(
    restored: Path,
    guide: Path,
    pack: FacePack,
    judges: Judges,
    reference: np.ndarray | None = None,
    guide_is_truth: bool = True,
) -> tuple[dict[str, float], Series]:
    """Means over the clip, and the series they come from. `reference` is an aligned face."""
    series = Series()
    word = "truth" if guide_is_truth else "input"
    known = None
    if reference is not None and judges.identity is not None:
        known = judges.identity.embed(reference)
    run: list[View] = []
    embeddings: list[np.ndarray] = []
    count = 0
    for frame, guide_frame in paired(restored, guide):
        count += 1
        if guide_is_truth:
            series.add("psnr", metrics.psnr(frame, guide_frame))
            series.add("ssim", metrics.ssim(frame, guide_frame))
        view = face_of(frame, guide_frame, pack, judges)
        if view is None:
            run = []
            continue
        if run and not same_place(run[-1], view):
            run = []
        run = [*run[-2:], view]
        measure_view(series, view, known, guide_is_truth)
        if view.embedding is not None:
            embeddings.append(view.embedding)
        compare_in_time(series, run, word)
    found = {"frames": float(count), **series.summary()}
    if embeddings:
        mean = unit(np.sum(embeddings, axis=0))
        found["identity_spread"] = 1 - float(np.mean([one @ mean for one in embeddings]))
    for place in ("", "_inside"):
        if found.get(f"warp_error{place}_{word}"):
            ratio = found[f"warp_error{place}"] / found[f"warp_error{place}_{word}"]
            found[f"warp_ratio{place}"] = ratio
    return found, series


def measure_view(
    series: Series, view: View, known: np.ndarray | None, guide_is_truth: bool
) -> None:
    """One frame by itself."""
    psnr = metrics.psnr(view.square, view.guide_square)
    series.add("face_psnr" if guide_is_truth else "face_psnr_input", psnr)
    if view.embedding is not None and view.guide_embedding is not None:
        alike = float(view.embedding @ view.guide_embedding)
        series.add("identity" if guide_is_truth else "identity_input", alike)
        if known is not None:
            series.add("identity_ref", float(view.embedding @ known))
    if guide_is_truth and view.points is not None and view.guide_points is not None:
        series.add("landmarks", landmark_error(view.points, view.guide_points))


def paired(restored: Path, guide: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames of both clips; different lengths or sizes are an error, not a shorter measurement."""
    mine, theirs = frames_of(restored), frames_of(guide)
    for number, guide_frame in enumerate(theirs):
        frame = next(mine, None)
        if frame is None:
            raise InputError(f"{restored} ends after {number} frames and {guide} goes on.")
        if frame.shape != guide_frame.shape:
            raise InputError(f"{restored} and {guide} differ in size: they are not the same clip.")
        yield frame, guide_frame
    if next(mine, None) is not None:
        raise InputError(f"{restored} has more frames than {guide}.")


def face_of(
    frame: np.ndarray, guide_frame: np.ndarray, pack: FacePack, judges: Judges
) -> View | None:
    """The guide's largest face, in both frames."""
    face = largest_face(guide_frame, pack)
    if face is None:
        return None
    matrix = to_square(face)
    square, guide_square = (warp(image, matrix) for image in (frame, guide_frame))
    identity, landmarks = judges.identity, judges.landmarks
    return View(
        square=square,
        guide_square=guide_square,
        centre=face.landmarks_xy.mean(0),
        width=float(face.box_xyxy[2] - face.box_xyxy[0]),
        embedding=None if identity is None else identity.embed(square),
        guide_embedding=None if identity is None else identity.embed(guide_square),
        points=None if landmarks is None else landmarks.find(square),
        guide_points=None if landmarks is None else landmarks.find(guide_square),
    )


def largest_face(frame: np.ndarray, pack: FacePack) -> DetectedFace | None:
    faces = pack.detect(frame)
    return max(faces, key=lambda f: float(f.box_xyxy[2] - f.box_xyxy[0]), default=None)


def to_square(face: DetectedFace) -> np.ndarray:
    """The similarity from the frame to the aligned 512 px square."""
    matrix, _ = cv2.estimateAffinePartial2D(face.landmarks_xy, SQUARE_512, method=cv2.LMEDS)
    return np.asarray(matrix)


def warp(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.warpAffine(image, matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE))


def aligned_photo(photo: np.ndarray, pack: FacePack) -> np.ndarray | None:
    """The largest face of a photo as an aligned square."""
    face = largest_face(photo, pack)
    return None if face is None else warp(photo, to_square(face))


def same_place(before: View, view: View) -> bool:
    """Whether two neighbouring frames show the same face without a cut between them."""
    moved = float(np.linalg.norm(view.centre - before.centre))
    return moved < NEW_PLACE * view.width


def compare_in_time(series: Series, run: list[View], word: str) -> None:
    """The last of up to three neighbouring views against those before it."""
    if len(run) < 2:
        return
    before, view = run[-2:]
    if before.embedding is not None and view.embedding is not None:
        series.add("identity_step", 1 - float(before.embedding @ view.embedding))
    if before.guide_embedding is not None and view.guide_embedding is not None:
        step = 1 - float(before.guide_embedding @ view.guide_embedding)
        series.add(f"identity_step_{word}", step)
    error, floor = warp_errors(view.square, before.square, view.guide_square, before.guide_square)
    series.add("warp_error", error.whole)
    series.add(f"warp_error_{word}", floor.whole)
    series.add("warp_error_inside", error.inside)
    series.add(f"warp_error_inside_{word}", floor.inside)
    if len(run) == 3:
        points = [one.points for one in run if one.points is not None]
        guide_points = [one.guide_points for one in run if one.guide_points is not None]
        if len(points) == len(guide_points) == 3:
            series.add("shake", shake(points))
            series.add(f"shake_{word}", shake(guide_points))
