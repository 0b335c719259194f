"""The faces' own stream: frames go in, and come out with their faces rebuilt in their own planes.

Four stages, each in its own thread with a bounded queue behind it: decode, crop, restore, place;
whoever takes the frames, usually to encode them, is the fifth.
A frame without a face passes through them untouched. Every call of the network has one fixed shape
and noise belongs to the person, so what comes out does not depend on queues, batches or neighbours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref.errors import ModelError
from vidref.faces.blend import place_back
from vidref.faces.geometry import Placement, take_crop
from vidref.media.colour import Colour, write_rgb
from vidref.media.frames import Frame, Passing
from vidref.model.loading import CropRestorer
from vidref.model.restorer import Face, PersonContext, Sampling
from vidref.pipeline.identity import IdentityWatch
from vidref.pipeline.square_view import SquareView, colour_of, look
from vidref.pipeline.stream import run_ahead

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

    view: SquareView
    person: str
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
        pixel_aspect: float = 1.0,
    ) -> None:
        """`colour` is the clip's, for frames that say nothing of it."""
        self._aspect = pixel_aspect
        self._model, self._contexts, self._touch = model, contexts, touch
        self._faces_at, self._colour, self._watch = faces_at, colour, watch
        self.faces = 0

    def stream(self, items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
        """The same items in the same order; at most `depth` wait between two stages."""
        cropped = run_ahead(self._cropped(run_ahead(items, depth)), depth)
        restored = run_ahead(self._restored(cropped), depth)
        return run_ahead(self._placed(restored), depth)

    def _placed(self, busy: Iterable[_Busy]) -> Iterator[Item]:
        for item, works in busy:
            if works and isinstance(item, Frame):
                self._place(item, works)
            yield item

    def _cropped(self, items: Iterable[Item]) -> Iterator[_Busy]:
        for item in items:
            yield item, [*self._works(item)] if isinstance(item, Frame) else []

    def _works(self, frame: Frame) -> Iterator[_Work]:
        crop_px = self._model.crop_px
        for here in self._faces_at(frame):
            view = look(frame.image, self._colour, here.placement, self._aspect)
            if view is not None:
                yield _Work(view, here.person, take_crop(view.rgb, view.placement, crop_px))

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
        person = work.person
        noise = person if self._touch.shared_noise else f"{person} at {pts}"
        return Face(as_tensor(work.crop), noise, self._contexts[person])

    def _place(self, frame: Frame, works: list[_Work]) -> None:
        image = frame.image
        colour = colour_of(image, self._colour)
        for number, work in enumerate(works):
            assert work.restored is not None
            if self._watch is not None:
                time_s = float(frame.time)
                self._watch.see(work.person, frame.pts, time_s, work.crop, work.restored)
            view = work.view
            placed = place_back(
                view.rgb, work.crop, work.restored, view.placement, self._touch.strength
            )
            # What the first face was taken from is still there; the next may overlap with it.
            before = view.stored if number == 0 else None
            write_rgb(image, colour, view.box, *view.as_stored(placed), before)


def as_tensor(picture: NDArray[Any]) -> Any:
    """HxWx3 uint8 or uint16 to (3, H, W) in [-1, 1]: the door into the model room."""
    import cv2
    import torch

    values = np.empty((3, *picture.shape[:2]), np.float32)
    for plane, channel in zip(values, cv2.split(picture), strict=True):
        plane[...] = channel
    values *= np.float32(2 / np.iinfo(picture.dtype).max)
    values -= 1
    return torch.from_numpy(values)


def as_picture(tensor: Any) -> NDArray[np.float32]:
    """(3, H, W) in [-1, 1] to HxWx3 in [0, 1]: the way out."""
    import cv2

    values = np.asarray(cv2.merge([*tensor.float().numpy()]), np.float32)
    values += 1
    values *= np.float32(0.5)
    return values
