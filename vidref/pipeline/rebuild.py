"""The faces' own stream: frames go in, and come out with their faces rebuilt in their own planes.

Four stages, each in its own thread with a bounded queue behind it: decode, crop, restore, place.
A frame without a face passes through them untouched. Every call of the network has one fixed shape
and noise belongs to the person, so what comes out does not depend on queues, batches or neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vidref.errors import ModelError
from vidref.faces.blend import place_back
from vidref.faces.geometry import Placement, take_crop
from vidref.media.colour import UNSPECIFIED, Box, Colour, read_rgb, write_rgb
from vidref.media.frames import Frame, Passing
from vidref.model.loading import CropRestorer
from vidref.model.restorer import Face, PersonContext, Sampling
from vidref.pipeline.identity import IdentityWatch
from vidref.pipeline.stream import run_ahead

if TYPE_CHECKING:
    import av.video.frame

Item = Frame | Passing
FRAMES_HELD = 16
"""Frames that may wait for a batch to fill; a padded call costs as much as a full one."""


@dataclass(frozen=True)
class FaceHere:
    """A face to rebuild in a frame: whose, and where."""

    person: str
    placement: Placement


@dataclass(frozen=True)
class Touch:
    """How faces are rebuilt."""

    sampling: Sampling
    strength: float = 1.0
    shared_noise: bool = True


@dataclass
class _Work:
    """A face on its way through the stages."""

    here: FaceHere
    box: Box
    region: NDArray[Any]
    crop: NDArray[Any]
    restored: NDArray[np.float32] | None = None


_Busy = tuple[Item, list[_Work]]


class Rebuilder:
    """`faces_at(frame)` says which faces of a frame are rebuilt; `contexts` is what is known."""

    def __init__(
        self,
        model: CropRestorer,
        contexts: dict[str, PersonContext],
        faces_at: Callable[[Frame], list[FaceHere]],
        touch: Touch,
        colour: Colour | None = None,
        watch: IdentityWatch | None = None,
    ) -> None:
        """`colour` is the clip's, for frames that say nothing of it."""
        self._model, self._contexts, self._touch = model, contexts, touch
        self._faces_at, self._colour, self._watch = faces_at, colour, watch
        self.faces = 0

    def stream(self, items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
        """The same items in the same order; at most `depth` wait between two stages."""
        cropped = run_ahead(self._cropped(run_ahead(items, depth)), depth)
        with closing(run_ahead(self._restored(cropped), depth)) as restored:
            for item, works in restored:
                if works and isinstance(item, Frame):
                    self._place(item, works)
                yield item

    def _cropped(self, items: Iterable[Item]) -> Iterator[_Busy]:
        for item in items:
            yield item, [*self._works(item)] if isinstance(item, Frame) else []

    def _works(self, frame: Frame) -> Iterator[_Work]:
        for here in self._faces_at(frame):
            image = frame.image
            box = box_around(here.placement).clipped(image.width, image.height)
            if box.right - box.left < 2 or box.bottom - box.top < 2:
                continue
            region = read_rgb(image, colour_of(image, self._colour), box)
            crop = take_crop(region, inside(here.placement, box), self._model.crop_px)
            yield _Work(here, box, region, crop)

    def _restored(self, busy: Iterable[_Busy]) -> Iterator[_Busy]:
        held: deque[_Busy] = deque()
        waiting: list[tuple[_Work, int]] = []
        size = self._model.batch
        for item, works in busy:
            held.append((item, works))
            if isinstance(item, Frame):
                waiting += [(work, item.pts) for work in works]
            while len(waiting) >= size:
                self._run(waiting[:size])
                del waiting[:size]
            if len(held) > FRAMES_HELD and waiting:
                self._run(waiting)
                waiting = []
            while held and all(work.restored is not None for work in held[0][1]):
                yield held.popleft()
        if waiting:
            self._run(waiting)
        yield from held

    def _run(self, waiting: list[tuple[_Work, int]]) -> None:
        faces = [self._face(work, pts) for work, pts in waiting]
        for (work, _), restored in zip(
            waiting, self._model.restore(faces, self._touch.sampling), strict=True
        ):
            work.restored = as_picture(restored)
            if not np.isfinite(work.restored).all():
                raise ModelError(
                    f"{self._model.name} gave no picture (numbers that are not finite): "
                    "try --dtype float32, or another --model."
                )
        self.faces += len(faces)

    def _face(self, work: _Work, pts: int) -> Face:
        person = work.here.person
        noise = person if self._touch.shared_noise else f"{person} at {pts}"
        return Face(as_tensor(work.crop), noise, self._contexts[person])

    def _place(self, frame: Frame, works: list[_Work]) -> None:
        image = frame.image
        colour = colour_of(image, self._colour)
        for work in works:
            assert work.restored is not None
            if self._watch is not None:
                person, time_s = work.here.person, float(frame.time)
                self._watch.see(person, frame.pts, time_s, work.crop, work.restored)
            placed = place_back(
                work.region,
                work.crop,
                work.restored,
                inside(work.here.placement, work.box),
                self._touch.strength,
            )
            write_rgb(image, colour, work.box, placed.rgb, placed.mask)


def colour_of(image: av.video.frame.VideoFrame, clip: Colour | None) -> Colour:
    """A frame's own tags, and the clip's where it says nothing."""
    own = Colour.of_frame(image)
    if clip is None:
        return own
    return Colour(
        clip.matrix if own.matrix == UNSPECIFIED else own.matrix,
        own.range or clip.range,
        clip.primaries if own.primaries == UNSPECIFIED else own.primaries,
        clip.transfer if own.transfer == UNSPECIFIED else own.transfer,
    )


def box_around(placement: Placement) -> Box:
    """The upright box that holds the turned square, with a pixel to spare for interpolation."""
    turn = abs(np.cos(placement.angle)) + abs(np.sin(placement.angle))
    reach = placement.size_px / 2 * turn + 2
    x, y = placement.centre_xy
    return Box(
        int(np.floor(x - reach)),
        int(np.floor(y - reach)),
        int(np.ceil(x + reach)) + 1,
        int(np.ceil(y + reach)) + 1,
    )


def inside(placement: Placement, box: Box) -> Placement:
    """The same square in the coordinates of a box's own pixels."""
    x, y = placement.centre_xy
    return replace(placement, centre_xy=(x - box.left, y - box.top))


def as_tensor(picture: NDArray[Any]) -> Any:
    """HxWx3 uint8 or uint16 to (3, H, W) in [-1, 1]: the door into the model room."""
    import torch

    top = float(np.iinfo(picture.dtype).max)
    values = np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32)
    return torch.from_numpy(values * (2 / top) - 1)


def as_picture(tensor: Any) -> NDArray[np.float32]:
    """(3, H, W) in [-1, 1] to HxWx3 in [0, 1]: the way out."""
    values = (tensor.float().numpy().transpose(1, 2, 0) + 1) / 2
    return np.ascontiguousarray(values, np.float32)
