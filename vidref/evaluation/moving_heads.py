"""Heads cut out of real clips, moving: the same person minutes apart, for clips that are composed.

Every clip shows one person. A few windows of it, as far apart as it allows, become portraits that
move; `relit` shows one as another camera would after a cut, in another light.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.evaluation.composed_clips import Image, MovingPortrait, Portrait
from vidref.faces.geometry import Placement, placement_of, take_crop, to_crop
from vidref.faces.pack import FacePack

WINDOWS, WINDOW_S = 3, 2.4
VIEW_PX, VIEW_SPAN = 288, 1.5
"""A view's side, and how many face squares it shows: a head's ellipse and some room."""
STEADY = np.hanning(11)[1:-1]
"""Landmarks are averaged over nine frames, or the composed head would shake with their errors."""


REACH = 1.2
"""How far around a face, in squares, a picture is kept."""


@dataclass(frozen=True)
class _Seen:
    landmarks_xy: NDArray[np.float32]
    part: Image
    corner: NDArray[np.int_]
    """Where the part lies in its frame."""


def load_moving(clips: Sequence[Path], pack: FacePack) -> dict[str, list[MovingPortrait]]:
    """For each clip's person, by the clip's name, the windows of it."""
    return {clip.stem: _windows(clip, pack) for clip in clips}


def relit(portrait: MovingPortrait, rng: np.random.Generator) -> MovingPortrait:
    """In another light, by another camera: brightness, contrast, colour, a shaded side, blur."""
    gain, gamma = rng.uniform(0.65, 1.3), rng.uniform(0.75, 1.3)
    colour = rng.uniform(0.9, 1.1, 3)
    side, shade = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    blur = rng.uniform(0, 2.0)
    y, x = np.mgrid[:VIEW_PX, :VIEW_PX] / VIEW_PX - 0.5
    light = gain * (1 - shade * (np.cos(side) * x + np.sin(side) * y) * 2)

    def seen(view: Portrait) -> Portrait:
        smooth = cv2.GaussianBlur(view.rgb, (0, 0), blur) if blur > 0.3 else view.rgb
        shown = (smooth / 255.0) ** gamma * light[..., None] * colour * 255
        return Portrait(view.person, np.clip(shown, 0, 255).astype(np.uint8), view.landmarks_xy)

    return MovingPortrait(portrait.person, tuple(map(seen, portrait.views)), portrait.rate)


def _windows(clip: Path, pack: FacePack) -> list[MovingPortrait]:
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        rate, count = float(stream.average_rate or 25), stream.frames
        length = min(round(WINDOW_S * rate), count)
        wanted = min(WINDOWS, max(1, count // length))
        starts = np.linspace(0, count - length, wanted).astype(int)
        views: list[list[_Seen]] = [[] for _ in starts]
        for index, frame in enumerate(container.decode(video=0)):
            for start, seen in zip(starts, views, strict=True):
                if start <= index < start + length:
                    rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                    seen.append(_see(pack, rgb, seen))
    return [MovingPortrait(clip.stem, _cut_out(clip.stem, seen), rate) for seen in views]


def _see(pack: FacePack, rgb: Image, before: Sequence[_Seen]) -> _Seen:
    near = pack.detect_near(rgb, placement_of(before[-1].landmarks_xy)) if before else []
    five = max(near or pack.detect(rgb), key=lambda face: face.score).landmarks_xy
    place = placement_of(five)
    low = np.maximum(np.array(place.centre_xy) - REACH * place.size_px, 0).astype(int)
    high = (np.array(place.centre_xy) + REACH * place.size_px).astype(int)
    return _Seen(five, rgb[low[1] : high[1], low[0] : high[0]].copy(), low)


def _cut_out(person: str, seen: Sequence[_Seen]) -> tuple[Portrait, ...]:
    points = np.array([one.landmarks_xy for one in seen])
    half = len(STEADY) // 2
    around = np.pad(points, ((half, half), (0, 0), (0, 0)), mode="edge")
    portraits = []
    for index, one in enumerate(seen):
        near = around[index : index + len(STEADY)]
        five = (near * STEADY[:, None, None]).sum(0) / STEADY.sum() - one.corner
        place = placement_of(five)
        room = Placement(place.centre_xy, VIEW_SPAN * place.size_px, place.angle)
        there = to_crop(room, VIEW_PX)
        moved = (five @ there[:, :2].T + there[:, 2]).astype(np.float32)
        portraits.append(Portrait(person, take_crop(one.part, room, VIEW_PX), moved))
    return tuple(portraits)
