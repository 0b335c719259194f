"""The video protocol: a restored clip against the true one, frame by frame and over time.

The truth says where the face is: the largest face of every true frame is aligned by its own
landmarks in both clips, so that a restoration cannot move its own measuring window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from vidref.errors import InputError
from vidref.evaluation import metrics
from vidref.evaluation.judges import SQUARE_512, Judges, landmark_error
from vidref.faces.pack import DetectedFace, FacePack

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
    true_square: np.ndarray
    centre: np.ndarray
    width: float
    embedding: np.ndarray | None


def measure_clip(
    restored: Path, truth: Path, pack: FacePack, judges: Judges, reference: np.ndarray | None = None
) -> tuple[dict[str, float], Series]:
    """Means over the clip, and the series they come from. `reference` is an aligned face."""
    series = Series()
    known = None
    if reference is not None and judges.identity is not None:
        known = judges.identity.embed(reference)
    before: View | None = None
    count = 0
    for frame, true_frame in paired(restored, truth):
        count += 1
        series.add("psnr", metrics.psnr(frame, true_frame))
        series.add("ssim", metrics.ssim(frame, true_frame))
        view = face_of(frame, true_frame, pack, judges)
        if view is None:
            before = None
            continue
        series.add("face_psnr", metrics.psnr(view.square, view.true_square))
        if judges.identity is not None and view.embedding is not None:
            series.add("identity", float(view.embedding @ judges.identity.embed(view.true_square)))
            if known is not None:
                series.add("identity_ref", float(view.embedding @ known))
        if judges.landmarks is not None:
            found = judges.landmarks.find(view.square)
            series.add("landmarks", landmark_error(found, judges.landmarks.find(view.true_square)))
        if before is not None and same_place(before, view):
            compare_in_time(series, before, view)
        before = view
    return {"frames": float(count), **series.summary()}, series


def paired(restored: Path, truth: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames of both clips; different lengths or sizes are an error, not a shorter measurement."""
    mine, theirs = frames_of(restored), frames_of(truth)
    for number, true_frame in enumerate(theirs):
        frame = next(mine, None)
        if frame is None:
            raise InputError(f"{restored} ends after {number} frames and {truth} goes on.")
        if frame.shape != true_frame.shape:
            raise InputError(f"{restored} and {truth} differ in size: they are not the same clip.")
        yield frame, true_frame
    if next(mine, None) is not None:
        raise InputError(f"{restored} has more frames than {truth}.")


def face_of(
    frame: np.ndarray, true_frame: np.ndarray, pack: FacePack, judges: Judges
) -> View | None:
    """The largest true face, in both frames."""
    face = largest_face(true_frame, pack)
    if face is None:
        return None
    matrix = to_square(face)
    square, true_square = (warp(image, matrix) for image in (frame, true_frame))
    return View(
        square=square,
        true_square=true_square,
        centre=face.landmarks_xy.mean(0),
        width=float(face.box_xyxy[2] - face.box_xyxy[0]),
        embedding=None if judges.identity is None else judges.identity.embed(square),
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


def compare_in_time(series: Series, before: View, view: View) -> None:
    """What changed from one frame to the next although nothing in the truth did."""
    if before.embedding is not None and view.embedding is not None:
        series.add("identity_step", 1 - float(before.embedding @ view.embedding))
    error, floor = warp_errors(before, view)
    series.add("warp_error", error)
    series.add("warp_error_truth", floor)


def warp_errors(before: View, view: View) -> tuple[float, float]:
    """Mean difference (levels of 255) of a frame and the one before carried along the true motion.

    Of the restored face and of the true one; only where the truth itself can be carried along.
    """
    grey = [metrics.grey(v.true_square).astype(np.uint8) for v in (view, before)]
    start = np.zeros((*grey[0].shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(grey[0], grey[1], start, 0.5, 4, 21, 3, 7, 1.5, 0)
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)

    def difference(now: np.ndarray, then: np.ndarray) -> np.ndarray:
        carried = cv2.remap(then, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
        return np.asarray(np.abs(now.astype(np.float32) - carried.astype(np.float32)).mean(2))

    true_error = difference(view.true_square, before.true_square)
    # what appears or disappears cannot be carried along: no restoration is blamed for it
    steady = true_error < 12
    inner = np.zeros_like(steady)
    inner[82:481, 56:456] = True
    steady &= inner
    if not steady.any():
        return 0.0, 0.0
    error = difference(view.square, before.square)
    return float(error[steady].mean()), float(true_error[steady].mean())
