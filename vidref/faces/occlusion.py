"""What covers a face: where a restored face contradicts the input at scales the input is sure of.

A hand, a microphone or a subtitle that the model painted a face over differs in colour or in coarse
structure from the input, however degraded that is. A face that was only sharpened does not: blurred
again, it explains the input. So each pixel of the restored thumbnail is compared at several blurs,
and the one that explains the input best counts. Both pictures are smooth there, hence steady in
time: no state is kept, and a frame's weight does not depend on the frames before.
"""

from __future__ import annotations

import numpy as np

from vidref.faces.colour_match import THUMB_PX, Picture, Plane, blur, colour_change
from vidref.faces.mask import features

SURE_AT = 1.0
EXPLAINED_AT = (1.0, 1.8, 3.2)
"""Deviations of the blurs in thumbnail pixels (8 px of 512), of the input and of the restored."""
SAME = 7.0
"""Colour distance (CIE 1976) up to which the face is believed; from twice it the input is kept."""
USUAL = 2.0
"""In a badly degraded picture the face itself differs: what counts is so many times the median."""
FEATURES = 0.5
"""Eyes and mouth are what a restoration changes most: they may differ by so much more."""
ROUNDS = 3
"""The colour match and the occluder need each other; after three rounds they have settled."""


def occluded(restored: Picture, crop: Picture, weight: Plane) -> tuple[Plane, Picture]:
    """How far each thumbnail pixel is covered (0..1), and the colour match of what is not.

    `weight` says which pixels are face and frame.
    """
    seen = lab(blur(crop, SURE_AT))
    face = weight > 0.5
    change = colour_change(restored, crop, weight)
    covered = np.zeros_like(weight)
    if not face.any():
        return covered, change
    allowance = 1 + np.float32(FEATURES) * features(THUMB_PX)
    softened = [blur(restored, sigma) for sigma in EXPLAINED_AT]
    for _ in range(ROUNDS):
        # the change is far smoother than these blurs: it need not be blurred with the picture
        apart = [lab(soft + change) - seen for soft in softened]
        distance = np.sqrt(np.min([np.einsum("yxc,yxc->yx", d, d) for d in apart], axis=0))
        same = max(SAME, USUAL * float(np.median(distance[face]))) * allowance
        way = np.clip(distance / same - 1, 0, 1)
        covered = way * way * (3 - 2 * way)
        change = colour_change(restored, crop, weight * (1 - covered))
    return covered, change


def lab(picture: Picture) -> Picture:
    import cv2

    return np.asarray(cv2.cvtColor(np.clip(picture, 0, 1), cv2.COLOR_RGB2LAB), np.float32)
