"""What covers a face: where a restored face contradicts the input at scales the input is sure of.

A hand, a microphone or a subtitle that the model painted a face over differs in colour or in coarse
structure from the input, however degraded that is. A face that was only sharpened does not: blurred
again, it explains the input. So each pixel of the restored thumbnail is compared at several blurs,
and the one that explains the input best counts. Both pictures are smooth there, hence steady in
time: no state is kept, and a frame's weight does not depend on the frames before.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vidref.faces.colour_match import MOST_GAIN, THUMB_PX, Picture, Plane, blur
from vidref.faces.mask import features

SURE_AT = 1.0
EXPLAINED_AT = (1.0, 1.8, 3.2)
"""Deviations of the blurs in thumbnail pixels (8 px of 512), of the input and of the restored."""
SAME = 7.0
"""Colour distance (CIE 1976) up to which the face is believed; from twice it the input is kept."""
USUAL = 2.3
"""In a badly degraded picture the face itself differs: what counts is so many times the median."""
FEATURES = 0.5
"""Eyes and mouth are what a restoration changes most: they may differ by so much more."""
ROUNDS = 3
"""The face's balance and the occluder need each other; after three rounds they have settled."""


def occluded(restored: Picture, crop: Picture, weight: Plane) -> Plane:
    """How far each thumbnail pixel is covered, 0..1. `weight` says which are face and frame."""
    covered = np.zeros_like(weight)
    face = weight > 0.5
    if not face.any():
        return covered
    seen = lab(blur(crop, SURE_AT))
    explained = [blur(restored, sigma) for sigma in EXPLAINED_AT]
    allowance = 1 + np.float32(FEATURES) * features(THUMB_PX)
    for _ in range(ROUNDS):
        before = covered
        gain = balance(restored, crop, weight * (1 - covered))
        apart = np.min([_squares(lab(one * gain) - seen) for one in explained], axis=0)
        distance = np.sqrt(apart)
        same = max(SAME, USUAL * float(np.median(distance[face]))) * allowance
        way = np.clip(distance / same - 1, 0, 1)
        covered = way * way * (3 - 2 * way)
        if np.array_equal(covered, before):
            break  # nothing is covered: another round would find the same
    return covered


def balance(restored: Picture, crop: Picture, weight: Plane) -> NDArray[np.float32]:
    """One gain for each channel: a closer match would take an occluder's colour for the face's."""
    weight = np.maximum(weight, np.float32(1e-4)).ravel()
    gain = weight @ crop.reshape(-1, 3) / np.maximum(weight @ restored.reshape(-1, 3), 1e-3)
    return np.asarray(np.clip(gain, 1 / MOST_GAIN, MOST_GAIN), np.float32)


def _squares(picture: Picture) -> Plane:
    """The sum of each pixel's squared channels."""
    import cv2

    return np.asarray(cv2.transform(picture * picture, np.ones((1, 3), np.float32)))


def lab(picture: Picture) -> Picture:
    import cv2

    return np.asarray(cv2.cvtColor(np.clip(picture, 0, 1), cv2.COLOR_RGB2LAB), np.float32)
