"""What changes in a face from one frame to the next although nothing in the guide did.

The guide (the true clip, or where there is none the degraded one) gives the motion, by DIS flow in
the aligned square; a frame is compared with the one before, carried along it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidref.evaluation import metrics
from vidref.faces.mask import face_mask

MOVES_ALONG = 12.0
"""Levels of 255: where the guide itself differs by more, something appeared or disappeared."""
INNER = (slice(82, 481), slice(56, 456))
"""The face in the 512 px square."""


@dataclass(frozen=True)
class WarpError:
    """Mean differences in levels of 255: over the whole face, and where at least half of a
    restoration is shown; the rest is the input's own, which no restoration may touch."""

    whole: float
    inside: float


def warp_errors(
    now: np.ndarray, before: np.ndarray, guide_now: np.ndarray, guide_before: np.ndarray
) -> tuple[WarpError, WarpError]:
    """Mean difference of a square and the one before carried along the motion.

    Of the measured face and of the guide itself; only where the guide can be carried along, for
    what appears or disappears is no restoration's fault.
    """
    flow = backward_flow(guide_now, guide_before)
    floor = np.abs(guide_now.astype(np.float32) - carried(guide_before, flow)).mean(2)
    steady = np.zeros(floor.shape, bool)
    steady[INNER] = floor[INNER] < MOVES_ALONG
    error = np.abs(now.astype(np.float32) - carried(before, flow)).mean(2)
    return _over(error, steady), _over(floor, steady)


def _over(error: np.ndarray, steady: np.ndarray) -> WarpError:
    inside = steady & (face_mask(error.shape[0]) >= 0.5)
    means = (float(error[part].mean()) if part.any() else 0.0 for part in (steady, inside))
    return WarpError(*means)


def backward_flow(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Where each pixel of a square was in the one before: (H, W, 2)."""
    grey = [metrics.grey(square).astype(np.uint8) for square in (now, before)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.asarray(flow.calc(grey[0], grey[1], None))


def carried(square: np.ndarray, flow: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    moved = cv2.remap(
        square, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, np.float32)


def shake(points: list[np.ndarray]) -> float:
    """How unsteadily points move over three frames: their acceleration, % of the face window."""
    first, second, third = points
    return float(np.linalg.norm(first - 2 * second + third, axis=1).mean() * 100)
