"""Which way a face looks, from its five points: rough, but the same for every detector."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import TEMPLATE_512

NOSE_DEPTH = 0.55
"""How far the tip of the nose stands before the plane of eyes and mouth, in eye distances of a
frontal face; it turns a shift of the nose in the picture into an angle."""


def yaw_pitch_deg(landmarks_xy: NDArray[np.floating]) -> tuple[float, float]:
    """Turn (positive: nose to the picture's right) and nod (positive: down), degrees to ±90.

    The picture's own tilt is taken out first. Eyes and mouth foreshorten with the turn, the
    distance between eyes and mouth hardly does, so that distance is the unit.
    """
    points = np.asarray(landmarks_xy, np.float64)
    across, down, _ = _turn_and_nod(points)
    # A frontal face of the template has its nose a little off the middle: that is zero.
    level_across, level_down, _ = _turn_and_nod(TEMPLATE_512)
    return (
        math.degrees(math.asin(float(np.clip(across - level_across, -1, 1)))),
        math.degrees(math.asin(float(np.clip(down - level_down, -1, 1)))),
    )


def turned_deg(landmarks_xy: NDArray[np.floating]) -> float:
    """How far a face is turned (positive: nose to the picture's right), also in full profile.

    By the nose's shift alone all faces beyond half profile are much the same, as sines are. Beside
    it stands how narrow eyes and mouth have become, which is a cosine.
    """
    across, _, wide = _turn_and_nod(np.asarray(landmarks_xy, np.float64))
    level_across, _, level_wide = _turn_and_nod(TEMPLATE_512)
    return math.degrees(math.atan2(across - level_across, wide / level_wide))


def _turn_and_nod(points: NDArray[np.float64]) -> tuple[float, float, float]:
    """The nose's shift across and down in depths of a nose, and the width of eyes and mouth."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    axis = mouth - eyes
    height = max(float(np.hypot(*axis)), 1e-6)
    down = axis / height
    right = np.array([down[1], -down[0]])
    nose = points[2] - (eyes + mouth) / 2
    wide = float((points[1] - points[0] + points[4] - points[3]) @ right)
    # Eyes to mouth is about as long as eye to eye on the template's face.
    return (
        float(nose @ right) / height / NOSE_DEPTH,
        float(nose @ down) / height / NOSE_DEPTH,
        wide / height,
    )
