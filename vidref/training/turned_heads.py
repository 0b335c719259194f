"""A frontal portrait seen from another side: heads that the data lacks, points known.

The photograph is laid around a plain head (an ellipsoid with a nose, a brow, sockets, lips and a
chin) and turned with it. What the photograph does not show, the side behind the ears, is continued
from its edge. It is no likeness of anyone, but the outline, the order of eye, nose and mouth along
it, and what hides what are those of a turned head.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.pose import yaw_pitch_deg
from vidref.training.detector_labels import Labels, Picture
from vidref.training.face_augment import Image

FRONTAL_DEG = 12.0
"""Only faces that look at the camera within this can be laid around a head."""
WIDTH_TO_BOX, DEPTH = 1.12, 1.45
"""Half the head's width in half widths of its box, and its depth."""
CROWN, CHIN, MIDDLE = -1.9, 1.2, -0.3
"""The head in distances from eyes to mouth; down from the middle between them."""
SAMPLES = 500
SEEN_TO_DEG = 52.0
"""How far around a head a frontal photograph shows more than a smear."""
WORKING_PX = 160


@dataclass(frozen=True)
class HeadFrame:
    """Where a head lies in its picture: middle, unit and the axes to the right and down."""

    middle: NDArray[np.float64]
    unit_px: float
    right: NDArray[np.float64]
    down: NDArray[np.float64]
    half_width: float = 1.0
    """Of the head, in units."""

    def to_head(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        off = (xy - self.middle) / self.unit_px
        return np.stack([off @ self.right, off @ self.down], -1)

    def to_picture(self, uv: NDArray[np.float64]) -> NDArray[np.float64]:
        along = uv[..., :1] * self.right + uv[..., 1:] * self.down
        return self.middle + along * self.unit_px


def head_frame(landmarks_xy: NDArray[np.float64], box_xyxy: NDArray[np.float64]) -> HeadFrame:
    eyes, mouth = landmarks_xy[:2].mean(0), landmarks_xy[3:].mean(0)
    unit = max(float(np.hypot(*(mouth - eyes))), 1e-6)
    down = (mouth - eyes) / unit
    half_width = float(box_xyxy[2] - box_xyxy[0]) / 2 / unit * WIDTH_TO_BOX
    right = np.array([down[1], -down[0]])
    return HeadFrame((eyes + mouth) / 2, unit, right, down, half_width)


def bumps(u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """What stands out of the ellipsoid, and what lies behind it, on the front of the head."""

    def hill(across: float, at: float, wide: float, high: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-(((u - across) / wide) ** 2) - ((v - at) / high) ** 2))

    # The nose rises slowly from between the eyes and falls steeply under its tip.
    along = np.clip((v + 0.62) / 0.77, 0, 1)
    under = np.clip((0.33 - v) / 0.15, 0, 1)
    nose = 0.46 * along**1.3 * under * np.exp(-((u / (0.10 + 0.12 * along)) ** 2))
    sockets = -0.10 * (hill(-0.45, -0.5, 0.24, 0.16) + hill(0.45, -0.5, 0.24, 0.16))
    brow = 0.06 * hill(0.0, -0.78, 0.8, 0.14)
    lips = 0.12 * hill(0.0, 0.52, 0.32, 0.16) - 0.04 * hill(0.0, 0.72, 0.3, 0.06)
    chin = 0.13 * hill(0.0, 0.98, 0.3, 0.17)
    return nose + sockets + brow + lips + chin


def girth(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the head's greatest half width and depth at a height: round above, a jaw below."""
    above = np.sqrt(np.clip(1 - ((v - MIDDLE) / (CROWN - MIDDLE)) ** 2, 0, 1))
    below = np.clip(1 - ((v - MIDDLE) / (CHIN - MIDDLE)) ** 4 * 0.62, 0, 1)
    return np.asarray(np.where(v < MIDDLE, above, np.where(v <= CHIN, below, 0)))


def turned(picture: Picture, yaw_deg: float) -> Picture | None:
    """The picture's one face turned (positive: nose to the right); none if it is not frontal."""
    if abs(yaw_pitch_deg(picture.labels.landmarks[0])[0]) > FRONTAL_DEG:
        return None
    scale = WORKING_PX / picture.image.shape[0]
    image = np.asarray(
        cv2.resize(picture.image, (WORKING_PX, WORKING_PX), interpolation=cv2.INTER_AREA), np.uint8
    )
    points = (picture.labels.landmarks[0].astype(np.float64) + 0.5) * scale - 0.5
    box = (picture.labels.boxes[0].astype(np.float64) + 0.5) * scale - 0.5
    frame, yaw = head_frame(points, box), float(np.radians(yaw_deg))
    head, share = _drawn(image, frame, yaw)
    behind = _without_head(image, frame)
    made = np.asarray(np.rint(head * share + behind * (1 - share)), np.uint8)
    moved = frame.to_picture(_turned_uv(frame, frame.to_head(points), yaw))
    seen = _moved_box(frame, box, yaw).astype(np.float32)
    labels = Labels(seen[None], moved[None].astype(np.float32), np.array([True]))
    return Picture(f"{picture.name} turned by {yaw_deg:.0f}", made, labels)


def _surface(
    half_width: float, angle: NDArray[np.float64], v: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Across and out, at angles around the head (0: the nose) and heights."""
    wide = girth(v)
    across = half_width * wide * np.sin(angle)
    # Faces are flatter in front than an ellipse, and the skull is longer behind.
    ahead = np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.85
    out = DEPTH * wide**0.8 * np.where(ahead > 0, 0.82 * ahead, ahead)
    front = np.cos(angle) > 0
    return across, out + np.where(front, bumps(across, v), 0)


def _drawn(
    image: Image, frame: HeadFrame, yaw: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The turned head in the picture's place, and how much of each pixel it covers."""
    size = image.shape[0]
    heights = np.arange(CROWN, CHIN, 0.8 / frame.unit_px)
    angles = np.linspace(-np.pi, np.pi, SAMPLES, endpoint=False)
    angle, v = np.meshgrid(angles, heights)
    u, out = _surface(frame.half_width, angle, v)
    limit = np.radians(SEEN_TO_DEG)
    # Behind that the skin's edge goes on to the ear, and then hair from above the forehead.
    shown_u = _surface(frame.half_width, np.clip(angle, -limit, limit), v)[0]
    hair = np.clip((np.abs(angle) - 1.5) / 0.15, 0, 1)
    shown_u = shown_u * (1 - hair) + 0.2 * np.sin(7 * angle + 2 * v) * hair
    shown_v = v * (1 - hair) + (-1.7 + 0.08 * np.sin(5 * v + angle)) * hair
    source = frame.to_picture(np.stack([shown_u, shown_v], -1)).astype(np.float32)
    colours = cv2.remap(
        image, source[..., 0], source[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    x = u * np.cos(yaw) + out * np.sin(yaw) - _axis(yaw)
    near = -u * np.sin(yaw) + out * np.cos(yaw)
    at = np.rint(frame.to_picture(np.stack([x, v], -1))).astype(int)
    inside = ((at >= 0) & (at < size)).all(-1)
    order = np.argsort(near[inside], kind="stable")
    rows, columns = at[inside][order, 1], at[inside][order, 0]
    drawn = np.zeros(image.shape, np.uint8)
    covered = np.zeros(image.shape[:2], np.uint8)
    drawn[rows, columns] = colours[inside][order]
    covered[rows, columns] = 1
    closed = cv2.morphologyEx(covered, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    spread = cv2.dilate(drawn, np.ones((3, 3), np.uint8))
    drawn = np.where((closed > covered)[..., None], spread, drawn)
    share = cv2.GaussianBlur(closed.astype(np.float32), (0, 0), 0.7)[..., None] * closed[..., None]
    return drawn.astype(np.float32), np.asarray(share, np.float32)


def _axis(yaw: float) -> float:
    """How far the turned head is pushed back, so that it stays over its neck."""
    return 0.35 * DEPTH * float(np.sin(yaw))


def _without_head(image: Image, frame: HeadFrame) -> NDArray[np.float32]:
    """The picture with its head, hair and all, filled from around it."""
    mask = np.ones(image.shape[:2], np.float32)
    heights = np.linspace(-2.6, 1.15, 60)
    wide = 1.55 * np.sqrt(np.clip(1 - ((heights + 0.6) / 2.05) ** 2, 0, 1))
    outline = np.concatenate(
        [np.stack([wide, heights], 1), np.stack([-wide[::-1], heights[::-1]], 1)]
    )
    cv2.fillPoly(mask, [np.rint(frame.to_picture(outline)).astype(np.int32)], 0.0)
    sigma = 0.5 * frame.unit_px
    known = cv2.GaussianBlur(mask, (0, 0), sigma) + 1e-4
    blurred = cv2.GaussianBlur(image.astype(np.float32) * mask[..., None], (0, 0), sigma)
    kept = cv2.GaussianBlur(mask, (0, 0), 0.1 * frame.unit_px)[..., None]
    return np.asarray(image * kept + blurred / known[..., None] * (1 - kept), np.float32)


def _turned_uv(frame: HeadFrame, uv: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    """Where points of the head's front are seen after the turn."""
    u, v = uv[..., 0], uv[..., 1]
    wide = np.maximum(frame.half_width * girth(v), 1e-3)
    across, out = _surface(frame.half_width, np.arcsin(np.clip(u / wide, -1, 1)), v)
    return np.stack([across * np.cos(yaw) + out * np.sin(yaw) - _axis(yaw), v], axis=-1)


def _moved_box(frame: HeadFrame, box_xyxy: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    """Around what is seen of the face that the box held before."""
    corners = frame.to_head(box_xyxy.reshape(2, 2))
    u, v = np.meshgrid(
        np.linspace(corners[0, 0], corners[1, 0], 25),
        np.linspace(max(corners[0, 1], CROWN), min(corners[1, 1], CHIN), 25),
    )
    inside = np.abs(u) < frame.half_width * girth(v)
    seen = frame.to_picture(_turned_uv(frame, np.stack([u, v], -1)[inside], yaw))
    low, high = seen.min(0), seen.max(0)
    return np.concatenate(
        [np.minimum(low, high)[:1], box_xyxy[1:2], np.maximum(low, high)[:1], box_xyxy[3:]]
    )
