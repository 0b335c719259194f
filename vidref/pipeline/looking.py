"""The one pass over the pictures: every face followed, and the best views of each remembered.

What is held is numbers a frame and a handful of small views a track, never pixels of a frame.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vidref.faces.association import SAME_FACE, overlap
from vidref.faces.candidates import Candidate, Candidates, stamp_of, together
from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import placement_of
from vidref.faces.pack import FacePack
from vidref.faces.paths import Track
from vidref.faces.quality import measure
from vidref.faces.track import DETECT_EVERY
from vidref.faces.turned import is_turned_away
from vidref.faces.watch import Watcher
from vidref.pipeline.footage import Footage, View
from vidref.pipeline.memory import give_back_free
from vidref.pipeline.progress import OnProgress, Progress
from vidref.pipeline.upright import squared, upright_rgb

MEASURE_EVERY_S = 0.2
"""Views of a face nearer in time are too alike for both to be measured."""
KEPT_VIEWS = 16
MOST_WAITING = 4
PROGRESS_EVERY_S = 0.2
GIVEN_BACK_EVERY = 64
"""Pictures after which free memory leaves the process."""


@dataclass
class Views:
    """What was seen of one track: its best views, and how good every measured one was."""

    candidates: Candidates = field(default_factory=partial(Candidates, KEPT_VIEWS))
    times_s: array[float] = field(default_factory=lambda: array("d"))
    scores: array[float] = field(default_factory=lambda: array("d"))
    detail: array[float] = field(default_factory=lambda: array("d"))
    asked_s: float = -np.inf
    """When a view of it was last given to be measured."""

    def score_at(self, time_s: float) -> float:
        """The score measured nearest to a moment."""
        if not self.times_s:
            return 0.0
        return self.scores[int(np.abs(np.asarray(self.times_s) - time_s).argmin())]


def together_with(pieces: Sequence[Views]) -> Views:
    """The views of one face whose track came in pieces."""
    if len(pieces) == 1:
        return pieces[0]
    best, counts = together(piece.candidates for piece in pieces)
    best = sorted(best, key=lambda view: -view.quality.score)[:KEPT_VIEWS]
    order = np.argsort(np.concatenate([piece.times_s for piece in pieces]), kind="stable")

    def in_order(columns: Sequence[array[float]]) -> array[float]:
        return array("d", np.concatenate(columns)[order])

    return Views(
        Candidates(KEPT_VIEWS, best, counts),
        in_order([piece.times_s for piece in pieces]),
        in_order([piece.scores for piece in pieces]),
        in_order([piece.detail for piece in pieces]),
    )


def on_path(track: Track, views: Views) -> Views:
    """Without the best views that show another face: pieces of paths may have been exchanged."""
    if not track.parts:
        return views
    path = {frame.index: frame.placement for frame in track.frames}
    best = [
        view
        for view in views.candidates.best
        if view.frame in path and overlap(view.placement, path[view.frame]) > SAME_FACE
    ]
    return replace(views, candidates=replace(views.candidates, best=best))


@dataclass(frozen=True)
class Seen:
    """All that one look at the footage gave."""

    tracks: Sequence[Track]
    views: dict[int, Views]
    pts: NDArray[np.int64]
    times_s: NDArray[np.float64]
    shots: tuple[int, ...]
    """The pts with which each shot begins."""
    turns: NDArray[np.int8]
    """How each picture is turned when it is shown, in quarters."""
    sizes: NDArray[np.int32]
    """Width and height of each picture as stored, in square pixels, (n, 2)."""


def look_at(
    footage: Footage,
    pack: FacePack,
    detect_every: int | None,
    on_progress: OnProgress,
    on_face: Callable[[], None] = lambda: None,
) -> Seen:
    """Follow every face from the first picture to the last; `on_face` is called with the first."""
    watcher = Watcher(pack, detect_every or DETECT_EVERY)
    views: dict[int, Views] = {}
    pts, times, turns, sizes = array("q"), array("d"), array("b"), array("i")
    shots: list[int] = []
    begun = reported = time.monotonic()
    with closing(footage.views()) as pictures, _Measurer() as measurer:
        for view in pictures:
            if view.begins_shot:
                if shots:
                    watcher.cut()
                shots.append(view.pts)
            turn, aspect = footage.turns(view.image), footage.pixel_aspect
            pts.append(view.pts)
            times.append(view.time_s)
            turns.append(turn)
            sizes.extend((squared(view.image.width, aspect), view.image.height))
            rgb = _once(partial(upright_rgb, view.image, turn, aspect))
            # A shot's last frame is always looked at, so that no face ends before its shot does.
            found = watcher.see(view.index, view.time_s, rgb, whole=view.ends_shot)
            if found and not views:
                on_face()
            for track, face in found:
                measurer.measure(views.setdefault(track, Views()), view, rgb, face)
            if len(pts) % GIVEN_BACK_EVERY == 0:
                give_back_free()
            now = time.monotonic()
            if now - reported >= PROGRESS_EVERY_S:
                reported = now
                on_progress(Progress("analyse", len(pts), footage.total, now - begun))
    on_progress(Progress("analyse", len(pts), len(pts), time.monotonic() - begun, is_final=True))
    tracks = watcher.finish()
    views = {
        track.id: on_path(track, together_with(pieces))
        for track in tracks
        if (pieces := [views[id] for id in (track.id, *track.parts) if id in views])
    }
    return Seen(
        tracks, views, np.array(pts), np.array(times), tuple(shots), np.array(turns),
        np.array(sizes).reshape(-1, 2),
    )  # fmt: skip


class _Measurer:
    """Measures views in a thread of its own, in the order in which they are given."""

    def __init__(self) -> None:
        self._worker = ThreadPoolExecutor(1, "vidref-measure")
        self._waiting: deque[Future[None]] = deque()

    def measure(
        self, views: Views, view: View, rgb: Callable[[], NDArray[np.uint8]], face: DetectedFace
    ) -> None:
        """Have a face measured, unless one of its track was a moment ago.

        A face from the side is nobody's reference, and its outline would pass for detail.
        """
        if view.time_s - views.asked_s < MEASURE_EVERY_S or is_turned_away(face.landmarks_xy):
            return
        views.asked_s = view.time_s
        at = (view.index, view.time_s)
        self._waiting.append(self._worker.submit(_measure, views, *at, rgb(), face))
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popleft().result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._worker.shutdown(cancel_futures=kind is not None)
        if kind is None:
            for future in self._waiting:
                future.result()


def _measure(
    views: Views, index: int, time_s: float, rgb: NDArray[np.uint8], face: DetectedFace
) -> None:
    quality = measure(rgb, face.landmarks_xy)
    views.times_s.append(time_s)
    views.scores.append(quality.score)
    views.detail.append(quality.detail)
    if not views.candidates.wants(quality):
        views.candidates.count(quality)
        return
    placement = placement_of(face.landmarks_xy)
    stamp = stamp_of(rgb, placement)
    views.candidates.offer(Candidate(index, time_s, placement, quality, stamp))


def _once(make: Callable[[], NDArray[np.uint8]]) -> Callable[[], NDArray[np.uint8]]:
    """The same picture every time, made when it is first needed."""
    made: list[NDArray[np.uint8]] = []

    def get() -> NDArray[np.uint8]:
        if not made:
            made.append(make())
        return made[0]

    return get
