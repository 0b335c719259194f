"""Finds the faces of a frame, anywhere or where they are expected, with a pack's networks.

Where the pack has a refiner, the detector only proposes: what is a face, where it is and its points
are the refiner's word.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vidref.faces.boxes import suppress
from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import Placement, take_crop, to_frame
from vidref.faces.refiner import SPAN, Refiner, window_of_box
from vidref.faces.scrfd import Scrfd
from vidref.faces.shrink import resized

FILLING_PX = 256
"""Frames are looked at in this size too: faces that fill a frame are beyond a detector's largest
anchors at 640 px. Measured on collins-1: nothing found at 640 px alone, every face with both."""
FILLS = 0.8
"""Share of the frame's shorter side from which a face's square is said to fill it."""
NEAR_PX = 192
NEAR_SPAN = 1.8
"""A window around a known face is this many times its square, and looked at in this size."""
NEAR_INNER = 0.35
"""Faces whose middle is further than this from a window's middle, in shares of it, are cut off."""
BOX_SHARE, BOX_LOWER = 0.725, 0.055
"""A face's box in its square: longer side, and how much lower its middle is, in shares of the side
(medians of 3,736 single faces of the train split)."""
PROPOSED, LIKELY = 0.15, 0.2
FEW, MOST = 12, 40
"""Of what the detector scores from `PROPOSED` on, this many are looked at, and from `LIKELY` on up
to `MOST`. Between the two lie a fortieth of severely damaged faces, and five things in a frame."""
WORTH_ANOTHER = 0.6
"""Share of the score asked for from which a first look is worth a second."""
SAME_FACE = 0.4
"""Overlap from which two boxes are one face."""

Shape = tuple[int, ...]


class Finder:
    """A pack's detector and, if it has one, its refiner; frames are RGB uint8."""

    def __init__(self, detector: Scrfd, refiner: Refiner | None, detect_px: int) -> None:
        self._detector = detector
        self._refiner = refiner
        self._detect_px = detect_px

    def anywhere(self, frame: NDArray[np.uint8], least: float) -> list[DetectedFace]:
        """All faces of a frame, the best score first."""
        if self._refiner is None:
            return self.proposals(frame, least)
        found = worth_a_look(self.proposals(frame, PROPOSED))
        return confirmed(self._refiner, frame, found, least)

    def proposals(self, frame: NDArray[np.uint8], least: float) -> list[DetectedFace]:
        """What the detector alone takes for faces, the best score first."""
        whole = frame.shape[:2]
        picture = _reduced(frame, self._detect_px, whole)
        # A large frame is read once: the smaller picture is made of the larger one.
        view = picture if max(whole) > self._detect_px else frame
        found, filling = self._detector.find_and(
            picture, least, lambda: self._detect(view, FILLING_PX, whole, least)
        )
        return _distinct(_in_frame(found, self._detect_px, whole) + filling)

    def near(
        self, frame: NDArray[np.uint8], expected: Placement, least: float
    ) -> list[DetectedFace]:
        """The faces around where one is expected, the best score first."""
        if self._refiner is None:
            return self._detect_near(frame, expected, least)
        seen = self._refiner.look(frame, [window_of(expected)], mirrored=True)
        sure = [face for face in seen if face.score >= least and _inside(face, expected)]
        # It has moved further than a window shows, or is hidden: worth the detector's wider look.
        return sure or confirmed(
            self._refiner, frame, self._detect_near(frame, expected, PROPOSED), least
        )

    def _detect_near(
        self, frame: NDArray[np.uint8], expected: Placement, least: float
    ) -> list[DetectedFace]:
        """The detector's word on an upright window around where a face is expected."""
        if expected.size_px > FILLS * min(frame.shape[:2]):
            # A window around a face that fills the frame would show little else than black.
            return self._detect(frame, FILLING_PX, frame.shape[:2], least)
        window = replace(expected, size_px=expected.size_px * NEAR_SPAN)
        # Detectors know pictures that end in black; streaks of a repeated edge shrink what they
        # find: on collins-1, whose face fills the frame, from 560 px to 415.
        view = take_crop(frame, window, NEAR_PX, edge_repeats=False)
        back = to_frame(window, NEAR_PX)
        faces = []
        for face in self._detector.find(view, least):
            row, five = face.box_xyxy, face.landmarks_xy
            if np.abs(five.mean(0) / NEAR_PX - 0.5).max() < NEAR_INNER:
                middle = back[:, :2] @ (row[:2] + row[2:]).astype(float) / 2 + back[:, 2]
                half = (row[2:] - row[:2]) * window.size_px / NEAR_PX / 2
                box = np.concatenate([middle - half, middle + half]).astype(np.float32)
                landmarks = (five @ back[:, :2].T + back[:, 2]).astype(np.float32)
                faces.append(DetectedFace(box, landmarks, face.score))
        return faces

    def _detect(
        self, picture: NDArray[np.uint8], px: int, whole: Shape, least: float
    ) -> list[DetectedFace]:
        """The detector's word on a picture of a whole frame, its longer side made this long."""
        return _in_frame(self._detector.find(_reduced(picture, px, whole), least), px, whole)


def worth_a_look(proposed: list[DetectedFace]) -> list[DetectedFace]:
    """Those of a detector's proposals, the best first, at which the refiner looks."""
    likely = sum(face.score >= LIKELY for face in proposed)
    return proposed[: min(max(likely, FEW), MOST)]


def confirmed(
    refiner: Refiner, frame: NDArray[np.uint8], proposed: list[DetectedFace], least: float
) -> list[DetectedFace]:
    """What is a face of what was proposed: from a second look, in the face's own window.

    The first window is the detector's, and what is seen depends on it: of a still face (talk-b) the
    size strayed by 4.3 % from frame to frame with one look, by 0.8 % with two and by 0.5 % with the
    second in the mirror too. The score is the mean of all three: of faces damaged severely, on
    scenes that nothing was learned from, 0.906 are found with it at one mistake in twenty, and
    0.880 by the first look's.
    """
    faces = refiner.look(frame, [window_of_box(face.box_xyxy) for face in proposed])
    faces = _distinct([face for face in faces if face.score >= WORTH_ANOTHER * least])
    again = refiner.look(frame, [window_of_box(f.box_xyxy) for f in faces], mirrored=True)
    found = [
        replace(two if two.score >= least else one, score=(one.score + 2 * two.score) / 3)
        for one, two in zip(faces, again, strict=True)
    ]
    return _distinct([face for face in found if face.score >= least])


def _reduced(picture: NDArray[np.uint8], px: int, whole: Shape) -> NDArray[np.uint8]:
    """A picture of a frame of this shape, its longer side made this long."""
    height, width = _sides(whole, px)
    return resized(picture, width, height)


def _in_frame(found: list[DetectedFace], px: int, whole: Shape) -> list[DetectedFace]:
    """Where in the frame they are who were found in a picture reduced so."""
    height, width = _sides(whole, px)
    across = np.array([whole[1] / width, whole[0] / height], np.float32)
    shift = (across - 1) / 2
    return [
        DetectedFace(
            np.asarray(face.box_xyxy * np.tile(across, 2) + np.tile(shift, 2), np.float32),
            np.asarray(face.landmarks_xy * across + shift, np.float32),
            face.score,
        )
        for face in found
    ]


def _sides(shape: Shape, px: int) -> tuple[int, int]:
    """Height and width of a frame whose longer side is made this long."""
    scale = px / max(shape[:2])
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def window_of(expected: Placement) -> NDArray[np.float64]:
    """The refiner's window for a face that is expected in this square."""
    lower = BOX_LOWER * expected.size_px
    x = expected.centre_xy[0] - lower * math.sin(expected.angle)
    y = expected.centre_xy[1] + lower * math.cos(expected.angle)
    return np.array([x, y, SPAN * BOX_SHARE * expected.size_px])


def _inside(face: DetectedFace, expected: Placement) -> bool:
    """Near enough to a window's middle, and of its size, to be judged well in that window."""
    low, high = face.box_xyxy[:2], face.box_xyxy[2:]
    x, y, side = window_of(expected)
    off = float(np.abs((low + high) / 2 - (x, y)).max()) / side
    factor = float((high - low).max()) * SPAN / side
    return bool(off < 0.2 and 0.65 < factor < 1.5)


def _distinct(faces: list[DetectedFace]) -> list[DetectedFace]:
    """Each face once, the best score first."""
    if not faces:
        return []
    boxes = np.stack([face.box_xyxy for face in faces])
    scores = np.array([face.score for face in faces], np.float32)
    return [faces[index] for index in suppress(boxes, scores, SAME_FACE)]
