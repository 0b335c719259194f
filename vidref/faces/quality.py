"""How good a view of a person is a face in a picture: one score, and the parts it is made of.

Every part runs from 0 to 1 and 1 is good. Three are fitted together, by
tests/benchmarks/quality_fit.py, to portraits made into frames of clips and harmed by known amounts:
`sharpness` is how much of the real face's detail blur, motion and size have left, `noise_free` how
much of that noise has left, `block_free` how much of that a codec has left. Their product is
`detail`, all that is left of the face; enlarging a picture gains none. The score is `detail` times
the other parts, each of which can only lower it as far as it matters to a reference.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.detail import describe
from vidref.faces.geometry import Placement, placement_of, to_crop
from vidref.faces.pose import yaw_pitch_deg
from vidref.faces.regions import region_of

NETWORK = Path(__file__).with_name("sharpness.npz")
FULL_PX = 512
"""Side of the face square from which a view gives the model all it can use."""
SHARE = {"size": 0.35, "pose": 0.5, "eyes": 0.1, "exposure": 0.5, "clear": 0.7}
"""How much of the score each part can take away."""
EYE_HALF_PX = (7, 5)
"""Half of an eye's window in the square of 128 px."""
TURNED_SHARE = 0.6
"""Of the eyes' distance, across, that one eye has to the nose in a head that is turned."""
FITTED = ("sharpness", "noise_free", "block_free")
WEAK = {
    "sharpness": "it is blurred",
    "noise_free": "it is noisy",
    "block_free": "it is badly compressed",
    "size": "it is too small",
    "pose": "it is turned away",
    "eyes": "the eyes are closed",
    "exposure": "it is too dark or too bright",
    "clear": "something hides part of it",
}


@dataclass(frozen=True)
class Quality:
    """The score of a view, its parts, and which way the face looks."""

    score: float
    sharpness: float
    noise_free: float
    block_free: float
    size: float
    pose: float
    eyes: float
    exposure: float
    clear: float
    """Nothing lies before the face, and all of it is within the picture."""
    yaw_deg: float
    pitch_deg: float

    @property
    def detail(self) -> float:
        """How much of the real face's detail is left, whatever took the rest."""
        return self.sharpness * self.noise_free * self.block_free

    def weakest(self) -> str:
        """What is most wrong with the view, in plain words."""
        left = {name: 1 - share * (1 - getattr(self, name)) for name, share in SHARE.items()}
        left |= {name: getattr(self, name) for name in FITTED}
        return WEAK[min(left, key=lambda name: left[name])]


PARTS = tuple(field.name for field in fields(Quality))


def measure(rgb: NDArray[np.uint8], landmarks_xy: NDArray[np.floating]) -> Quality:
    """The quality of the face with these five points (5, 2), in the picture at its own size."""
    placement = placement_of(landmarks_xy)
    yaw, pitch = yaw_pitch_deg(landmarks_xy)
    region = region_of(rgb, placement)
    grey = cv2.cvtColor(region.small, cv2.COLOR_RGB2GRAY)
    fitted = fitted_parts(describe(region)[None])[0]
    parts = dict(zip(FITTED, map(float, fitted), strict=True)) | {
        "size": min(1.0, placement.size_px / FULL_PX),
        "pose": _frontal(yaw, pitch) * _upright(placement.angle),
        "eyes": _eyes_open(grey, _within(landmarks_xy, placement, grey.shape[0])),
        "exposure": _well_exposed(grey),
        "clear": _inside(rgb, placement) * _one_skin(region.small),
    }
    score = float(np.prod(fitted))
    for name, share in SHARE.items():
        score *= 1 - share * (1 - parts[name])
    return Quality(score=score, yaw_deg=yaw, pitch_deg=pitch, **parts)


def detail_left(rgb: NDArray[np.uint8], placement: Placement) -> float:
    """How much of the real face's detail is left, 0 to 1, without the score's other parts."""
    return float(np.prod(fitted_parts(describe(region_of(rgb, placement))[None])))


def fitted_parts(numbers: NDArray[np.float32]) -> NDArray[np.float64]:
    """What blur, noise and coding have left (n, 3), from `detail.describe` (n, k)."""
    network = _network()
    hidden = np.tanh(
        (numbers - network["mean"]) / network["spread"] @ network["w1"] + network["b1"]
    )
    value = hidden @ network["w2"] + network["b2"]
    return np.asarray(1 / (1 + np.exp(-value)), np.float64)


@cache
def _network() -> dict[str, NDArray[np.float32]]:
    with np.load(NETWORK, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _frontal(yaw: float, pitch: float) -> float:
    """1 up to a three-quarter view, 0 in profile."""
    turned = float(np.hypot(yaw, pitch))
    return float(np.clip((80 - turned) / 50, 0, 1))


def _upright(angle: float) -> float:
    """1 up to half a right angle of tilt, 0 at a right one: beyond it the points are mistaken."""
    return float(np.clip((90 - abs(np.degrees(angle))) / 45, 0, 1))


def _within(
    landmarks_xy: NDArray[np.floating], placement: Placement, side: int
) -> NDArray[np.float64]:
    """The five points in the aligned square."""
    there = to_crop(placement, side)
    return np.asarray(landmarks_xy, np.float64) @ there[:, :2].T + there[:, 2]


def _eyes_open(grey: NDArray[np.uint8], points: NDArray[np.float64]) -> float:
    """Open eyes have upright edges (iris against white), shut ones a single line across.

    Of a head that is turned only the nearer eye counts: beside the other is the face's outline.
    Rank correlation with eye heights of a 68-point network, 422 views of ten people: 0.5 to 0.86 of
    eight, 0.2 of two (one hardly moves his eyes, one wears glasses). People differ: compare one
    person's views with one another.
    """
    smooth = cv2.GaussianBlur(grey, (3, 3), 0.6).astype(np.float32)
    along = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    across = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    ratios = []
    for x, y in np.clip(points[:2], 0, grey.shape[0] - 1):
        window = (
            slice(max(0, round(y) - EYE_HALF_PX[1]), round(y) + EYE_HALF_PX[1] + 1),
            slice(max(0, round(x) - EYE_HALF_PX[0]), round(x) + EYE_HALF_PX[0] + 1),
        )
        upright, level = (float((step[window] ** 2).mean()) for step in (along, across))
        ratios.append(np.log((upright + 60) / (level + 60)))
    from_nose = np.abs(points[:2, 0] - points[2, 0])
    nearer = int(from_nose.argmax())
    turned = from_nose[nearer] > TURNED_SHARE * from_nose.sum()
    ratio = ratios[nearer] if turned else float(np.mean(ratios))
    return float(1 / (1 + np.exp(-(ratio + 1.75) / 0.25)))


def _well_exposed(grey: NDArray[np.uint8]) -> float:
    """Neither clipped nor sunk: the middle of the face has light, shade and steps between."""
    side = grey.shape[0]
    face = grey[int(0.3 * side) : int(0.85 * side), int(0.25 * side) : int(0.75 * side)]
    low, middle, high = np.percentile(face, (5, 50, 95))
    clipped = float((face >= 250).mean() + (face <= 6).mean())
    light = min(1.0, float(middle) / 70, (255 - float(middle)) / 35)
    range_ = min(1.0, float(high - low) / 50)
    return float(np.clip(light * range_ * (1 - 1.5 * clipped), 0, 1))


def _inside(rgb: NDArray[np.uint8], placement: Placement) -> float:
    """The share of the face's oval that lies within the picture, the first tenth forgiven."""
    height, width = rgb.shape[:2]
    around = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    reach = placement.size_px * np.stack([0.36 * np.cos(around), 0.42 * np.sin(around)], axis=1)
    radii = np.array([0.5, 0.8, 1.0])
    turn = np.array(
        [
            [np.cos(placement.angle), np.sin(placement.angle)],
            [-np.sin(placement.angle), np.cos(placement.angle)],
        ]
    )
    points = (reach[None] * radii[:, None, None]) @ turn + np.array(placement.centre_xy)
    inside = ((points > -1) & (points < [width, height])).all(-1)
    return float(np.clip((inside.mean() - 0.5) / 0.4, 0, 1))


def _one_skin(small: NDArray[np.uint8]) -> float:
    """Hands, microphones and hair before the face differ from the two cheeks' middle colour.

    Cells of the lower face are compared with the median of all: lightness counts little (shadow),
    colour much. In black and white only lightness is left, and most passes.
    """
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    cells = cv2.resize(lab, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float32)
    lower = cells[8:14, 4:12].reshape(-1, 3)
    middle = np.median(cells[6:13, 4:12].reshape(-1, 3), axis=0)
    away = np.abs(lower - middle) / np.array([90.0, 22.0, 22.0])
    odd = float((away.max(1) > 1).mean())
    return float(np.clip(1 - 2.0 * max(0.0, odd - 0.15), 0, 1))
