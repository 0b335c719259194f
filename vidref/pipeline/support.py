"""What of a restored face is supported by evidence, and what was invented.

The same moment is restored several times from evidence that is worth the same: as it is, in the
mirror, moved a little, with a little noise, each with another seed. Where these answers differ the
model did not know. Measured on portraits whose truth is known (tests/benchmarks/support.py), the
error of a block of the face follows from two things:

- how much the answers differ, over the whole face: this says how wrong the face is;
- how much fine detail the answer has in the block: this says where it is wrong.

Block by block the differences alone say less than the detail does, and nothing beside it. The two
give the error that is to be expected there; a block whose expected error can hardly be seen is
supported, the others are invented in part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidref.errors import InputError
from vidref.faces.geometry import take_crop
from vidref.pipeline.footage import images_at
from vidref.pipeline.plan import Plan, PlannedTrack
from vidref.pipeline.square_view import look

if TYPE_CHECKING:
    from vidref.pipeline.restoration import Restoration

SIDE, BLOCK = 512, 16
BLOCKS = SIDE // BLOCK
VISIBLE = 10.0
"""Levels of 255: a mean error below it is taken for supported."""
INTERCEPT, OF_DETAIL, OF_DIFFERENCE = -0.099, 0.691, 1.35
"""Of the logarithms, by least squares on 24 degraded portraits of the training split."""
CALIBRATED = "b72081db4500c7eb4a3d994a102ca47aa3c963912c4a0b86fbe0d6ba6a849d7a"
"""SHA-256 of the restorer that the three were measured with."""
FLOOR = 0.3
LOOKS = 3
SHIFT = 1 / 128
NOISE = 6 / 127.5
Map = NDArray[np.float32]


@dataclass(frozen=True)
class SupportLook:
    """One face: when, as restored (uint8), and the expected error of its blocks (levels of 255)."""

    seconds: float
    restored: NDArray[np.uint8]
    expected: Map


@dataclass(frozen=True)
class Support:
    """A person's figure, 0 to 1, and the looks it was measured on."""

    supported: float
    looks: tuple[SupportLook, ...]
    is_calibrated: bool
    """Whether the scale was measured with the very model that restored."""


def measure_support(restoration: Restoration, source: Path, threads: int) -> dict[str, Support]:
    """Everyone's figure who was restored and can be read again, by the person's id."""
    plan = restoration.plan
    wanted: dict[int, list[PlannedTrack]] = {}
    for person in plan.people:
        for pts, track in _moments(plan, person.id):
            wanted.setdefault(pts, []).append(track)
    looks: dict[str, list[SupportLook]] = {}
    for pts, track, crop in _crops(restoration, source, wanted, threads):
        base, others = answers(restoration, track.person, crop)
        seconds = float((pts - plan.source.first_pts) * plan.source.time_base)
        shown = np.rint(np.clip(base, 0, 255)).astype(np.uint8)
        expected = expected_error(detail(base), difference(base, others))
        looks.setdefault(track.person, []).append(SupportLook(seconds, shown, expected))
    is_calibrated = restoration.model.sha256 == CALIBRATED
    return {
        id: Support(
            float(np.mean([supported_share(found.expected) for found in mine])),
            tuple(mine),
            is_calibrated,
        )
        for id, mine in looks.items()
    }


def answers(restoration: Restoration, person: str, crop: NDArray[Any]) -> tuple[Map, list[Map]]:
    """The restored face and its alternatives, (512, 512, 3) in levels of 255."""
    from vidref.model.restorer import Face
    from vidref.pipeline.rebuild import as_picture, as_tensor

    context = restoration.evidence.contexts[person]
    given = variations(as_tensor(crop))
    faces = [
        Face(tensor, person if number == 0 else f"{person}, seed {number}", context)
        for number, tensor in enumerate(given)
    ]
    # texture that is drawn says nothing of what the evidence supports
    restored = restoration.model.restore(faces, replace(restoration.touch.sampling, grain=0.0))
    base, *others = undone([as_picture(tensor) * 255 for tensor in restored])
    return base, others


def variations(crop: Any) -> list[Any]:
    """The crop (3, S, S), then the same evidence mirrored, moved, and with a little noise."""
    import torch

    side = crop.shape[-1]
    step = max(1, round(side * SHIFT))
    noise = torch.randn(crop.shape, generator=torch.Generator().manual_seed(1))
    return [
        crop,
        crop.flip(2),
        torch.roll(crop, (step, step), (1, 2)),
        (crop + NOISE * noise).clamp(-1, 1),
    ]


def undone(restored: Sequence[Map]) -> list[Map]:
    """What was restored of each variation, put back to where the crop itself is, at 512 px."""
    base, mirrored, moved, noisy = restored
    step = max(1, round(base.shape[0] * SHIFT))
    back = [base, mirrored[:, ::-1], np.roll(moved, (-step, -step), (0, 1)), noisy]
    return [_at_512(np.ascontiguousarray(picture)) for picture in back]


def difference(base: Map, others: Sequence[Map]) -> float:
    """How much the answers differ from the first, over the whole face (levels of 255)."""
    return float(np.mean([np.abs(base - other).mean() for other in others]))


def detail(picture: Map) -> Map:
    """How steep brightness is in each block (levels of 255 a pixel), (32, 32)."""
    import cv2

    grey = cv2.GaussianBlur(picture.mean(2), (0, 0), 1)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *way) / 8 for way in ((1, 0), (0, 1)))
    return by_block(np.hypot(across, down))


def expected_error(detail: Map, difference: float) -> Map:
    """The mean error that is to be expected in each block (levels of 255)."""
    power = INTERCEPT + OF_DETAIL * np.log(detail + FLOOR)
    power = power + OF_DIFFERENCE * math.log(difference + FLOOR)
    return np.asarray(np.maximum(np.exp(power) - FLOOR, 0), np.float32)


def supported_share(expected: Map) -> float:
    """The share of the face's blocks whose expected error can hardly be seen."""
    return float((expected[face_blocks()] < VISIBLE).mean())


def face_blocks() -> NDArray[np.bool_]:
    """The blocks that a face fills, of its aligned square."""
    y, x = np.mgrid[0:BLOCKS, 0:BLOCKS] + 0.5
    return np.asarray(((x - 16) / 11.5) ** 2 + ((y - 16.5) / 14.5) ** 2 <= 1)


def by_block(values: NDArray[Any]) -> Map:
    """Means over blocks of 16 px."""
    return np.asarray(values.reshape(BLOCKS, BLOCK, BLOCKS, BLOCK).mean((1, 3)), np.float32)


def _at_512(picture: Map) -> Map:
    if picture.shape[0] == SIDE:
        return picture
    import cv2

    how = cv2.INTER_AREA if picture.shape[0] > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (SIDE, SIDE), interpolation=how), np.float32)


def _moments(plan: Plan, person: str) -> Iterator[tuple[int, PlannedTrack]]:
    """A few moments spread over the time in which the person is restored: at knots of the path,
    because those are frames."""
    knots = [
        (knot[0], track)
        for track in plan.tracks_of(person)
        if plan.is_restored(track)
        for knot in track.path
        if track.shown_at(knot[0], plan.source.time_base) == 1
    ]
    knots.sort(key=lambda item: item[0])
    count = min(LOOKS, len(knots))
    for number in range(count):
        yield knots[round((number + 0.5) / count * len(knots) - 0.5)]


def _crops(
    restoration: Restoration, source: Path, wanted: dict[int, list[PlannedTrack]], threads: int
) -> Iterator[tuple[int, PlannedTrack, NDArray[Any]]]:
    was = restoration.plan.source
    images = images_at(source, wanted, threads, was.deinterlaced, was.is_clean)
    try:
        for pts, image in images:
            for track in wanted[pts]:
                placement = track.trajectory.at(pts)
                view = look(image, restoration.colour, placement, float(was.pixel_aspect))
                if view is not None:
                    side = restoration.model.crop_px
                    yield pts, track, take_crop(view.rgb, view.placement, side)
    except InputError:
        return  # an edited path may have knots between two frames
