"""The faces' own stream: frames go in, and come out with their faces rebuilt in their own planes.

Five stages, each in its own thread with a bounded queue behind it: decode, crop, restore, steady,
place; whoever takes the frames, usually to encode them, is the sixth. A frame without a face passes
through them untouched. Every call of the network has one fixed shape, noise belongs to the person,
and a face depends on as many frames to each side as `steady.REACH`, which whoever reads a part of a
clip reads too: what comes out does not depend on queues, batches or where reading began.
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
from vidref.faces.colour_match import as_float
from vidref.faces.geometry import Placement, take_crop
from vidref.faces.steady import Around, Moment, Moments, in_time, moment, steadied
from vidref.media.colour import Colour, write_rgb
from vidref.media.frames import Frame, Passing
from vidref.model.loading import CropRestorer
from vidref.model.restorer import Face, PersonContext, Sampling
from vidref.pipeline.cores import short_turns
from vidref.pipeline.identity import IdentityWatch
from vidref.pipeline.memory import give_back_free, large_apart
from vidref.pipeline.square_view import SquareView, colour_of, look
from vidref.pipeline.stream import in_order, run_ahead

Item = Frame | Passing
FRAMES_HELD = 16
"""Frames that may wait for a batch to fill; a padded call costs as much as a full one."""

GIVEN_BACK_EVERY = 16
"""Frames with faces after which free memory leaves the process: a millisecond a frame."""

LEAST_SIDE = 128
"""Pixels of the face square that are always shown."""


@dataclass(frozen=True)
class FaceHere:
    """A face to rebuild in a frame: whose, where, in which track, and how much is shown of it.

    `strength` is the track's share of the restoration, `shown` this frame's: it fades where the
    head turns away, and what is below it is the picture as it was.
    """

    person: str
    placement: Placement
    track: int
    strength: float = 1.0
    shown: float = 1.0


@dataclass(frozen=True)
class Touch:
    """How faces are rebuilt."""

    sampling: Sampling
    strength: float = 1.0
    shared_noise: bool = True
    calls: int = 1
    """So many of the model at a time."""
    threads: int = 1
    """So many average faces over time; neither changes a bit."""


@dataclass
class _Work:
    """A face on its way through the stages; `shown` is what shall be seen of it, `thumb` the
    steadied input in small."""

    view: SquareView
    here: FaceHere
    crop: NDArray[np.float32]
    shown: NDArray[np.float32] | None = None
    thumb: NDArray[np.float32] | None = None


_Busy = tuple[Item, list[_Work]]
_Call = tuple[list[tuple[_Work, int]], list[_Busy]]
"""Faces, each with its frame's time, and frames."""


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
        large_apart()
        with short_turns():
            yield from self._through(items, depth)

    def _through(self, items: Iterable[Item], depth: int) -> Generator[Item, None, None]:
        # Between stages that hold pictures of faces a batch is enough to keep all of them busy.
        few = min(depth, self._model.batch)
        cropped = run_ahead(self._cropped(run_ahead(items, depth)), few)
        restored = run_ahead(self._restored(cropped), few)
        steadied = run_ahead(self._steadied(restored), few)
        return run_ahead(self._placed(steadied), depth)

    def _placed(self, busy: Iterable[_Busy]) -> Iterator[Item]:
        placed = 0
        for item, works in busy:
            if works and isinstance(item, Frame):
                self._place(item, works)
                placed += 1
                if placed % GIVEN_BACK_EVERY == 0:
                    give_back_free()
            yield item

    def _cropped(self, items: Iterable[Item]) -> Iterator[_Busy]:
        for item in items:
            yield item, [*self._works(item)] if isinstance(item, Frame) else []

    def _works(self, frame: Frame) -> Iterator[_Work]:
        crop_px = self._model.crop_px
        for here in self._faces_at(frame):
            view = look(frame.image, self._colour, here.placement, self._aspect)
            if view is not None:
                # Of floats OpenCV takes it faster, and nothing is rounded.
                crop = take_crop(as_float(view.rgb), view.placement, crop_px)
                np.clip(crop, 0, 1, out=crop)
                # Of some faces nothing is rebuilt; they are steadied as they are.
                yield _Work(view, here, crop, None if here.strength else crop)

    def _restored(self, busy: Iterable[_Busy]) -> Iterator[_Busy]:
        for those in in_order(self._run, self._calls(busy), self._touch.calls):
            self.faces += sum(work.here.strength > 0 for _, works in those for work in works)
            yield from those

    def _calls(self, busy: Iterable[_Busy]) -> Iterator[_Call]:
        """The faces of each call, with the frames that are done when it and those before it are."""
        held: deque[_Busy] = deque()
        waiting: list[tuple[_Work, int]] = []
        size = self._model.batch
        for item, works in busy:
            held.append((item, works))
            if isinstance(item, Frame):
                waiting += [(work, item.pts) for work in works if work.shown is None]
            while len(waiting) >= size:
                faces, waiting = waiting[:size], waiting[size:]
                yield faces, _before(waiting, held)
            if len(held) > FRAMES_HELD and waiting:
                faces, waiting = waiting, []
                yield faces, _before(waiting, held)
            if not waiting and held:
                yield [], _before(waiting, held)
        yield waiting, [*held]

    def _run(self, call: _Call) -> list[_Busy]:
        waiting, done = call
        if not waiting:
            return done
        faces = [self._face(work, pts) for work, pts in waiting]
        for (work, _), restored in zip(
            waiting, self._model.restore(faces, self._touch.sampling), strict=True
        ):
            work.shown = as_picture(restored)
            if not np.isfinite(work.shown).all():
                raise ModelError(
                    f"{self._model.name} gave no picture (numbers that are not finite): "
                    "try --dtype float32, or another --model."
                )
        return done

    def _steadied(self, busy: Iterable[_Busy]) -> Iterator[_Busy]:
        """The same with every face steadied by the frames around."""
        for those in in_order(_steadily, in_time(_framed(busy)), self._touch.threads):
            yield from those

    def _face(self, work: _Work, pts: int) -> Face:
        person = work.here.person
        noise = person if self._touch.shared_noise else f"{person} at {pts}"
        return Face(as_tensor(work.crop), noise, self._contexts[person], work.here.strength)

    def _place(self, frame: Frame, works: list[_Work]) -> None:
        image = frame.image
        colour = colour_of(image, self._colour)
        for number, work in enumerate(works):
            assert work.shown is not None
            if self._watch is not None:
                time_s = float(frame.time)
                self._watch.see(work.here.person, frame.pts, time_s, work.crop, work.shown)
            view = work.view
            placed = place_back(
                view.rgb,
                work.crop,
                work.shown,
                view.placement,
                self._touch.strength * work.here.shown,
                thumb=work.thumb,
            )
            new = view.as_stored(placed)
            if new.mask.size:
                # What the first face was taken from is still there; the next may overlap with it.
                before = new.before if number == 0 else None
                write_rgb(image, colour, new.box, new.rgb, new.mask, before)


def _before(waiting: list[tuple[_Work, int]], held: deque[_Busy]) -> list[_Busy]:
    """Takes from `held` what comes before the first face that is still waiting."""
    done: list[_Busy] = []
    while held and not (waiting and any(work is waiting[0][0] for work in held[0][1])):
        done.append(held.popleft())
    return done


_Framed = tuple[list[_Busy], list[_Work]]
"""A frame, after whatever came before it that is none; and its faces."""


def _steadily(one: tuple[_Framed, dict[int, Around]]) -> list[_Busy]:
    """Of a frame and what came before it, with its faces steadied."""
    (those, works), around = one
    for work in works:
        assert work.shown is not None
        found = steadied(work.shown, around[work.here.track])
        work.shown, work.thumb = found.shown, found.thumb
    return those


def _framed(busy: Iterable[_Busy]) -> Iterator[tuple[_Framed, Moments]]:
    held: list[_Busy] = []
    for item, works in busy:
        held.append((item, works))
        if isinstance(item, Frame):
            moments = {work.here.track: _moment(work) for work in works}
            yield (held, works), moments
            held = []
    yield (held, []), {}


def _moment(work: _Work) -> Moment:
    """What shall be seen of a face: as much of the restoration as its track asks for."""
    import cv2

    assert work.shown is not None
    if 0 < (share := work.here.strength) < 1:
        work.shown = np.asarray(cv2.addWeighted(work.shown, share, work.crop, 1 - share, 0))
    # A small face is shown small: the rest of the model's pixels would only be carried about.
    while work.view.placement.size_px <= (side := work.shown.shape[0]) / 2 >= LEAST_SIDE:
        half = cv2.resize(work.shown, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
        work.shown = np.asarray(half)
    return moment(work.crop, work.shown)


def as_tensor(picture: NDArray[Any]) -> Any:
    """HxWx3 whole numbers or floats in [0, 1] to (3, H, W) in [-1, 1]: the way into the model."""
    import cv2
    import torch

    values = np.empty((3, *picture.shape[:2]), np.float32)
    if np.issubdtype(picture.dtype, np.integer):
        picture = as_float(picture)
    for number, plane in enumerate(values):
        cv2.extractChannel(picture, number, plane)
    values *= 2
    values -= 1
    return torch.from_numpy(values)


def as_picture(tensor: Any) -> NDArray[np.float32]:
    """(3, H, W) in [-1, 1] to HxWx3 in [0, 1]: the way out."""
    import cv2

    values = np.asarray(cv2.merge([*tensor.float().numpy()]), np.float32)
    values += 1
    values *= np.float32(0.5)
    return values
