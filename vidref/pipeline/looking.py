"""The one pass over the pictures: every face followed, and the best views of each remembered.

What is held is numbers a frame and a handful of small views a track, never pixels of a frame.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vidref.faces.candidates import Candidate, Candidates, stamp_of
from vidref.faces.geometry import placement_of
from vidref.faces.pack import DetectedFace, FacePack
from vidref.faces.paths import Track
from vidref.faces.quality import measure
from vidref.faces.track import DETECT_EVERY
from vidref.faces.watch import Watcher
from vidref.pipeline.footage import Footage, View
from vidref.pipeline.progress import OnProgress, Progress
from vidref.pipeline.upright import upright_rgb

MEASURE_EVERY_S = 0.2
"""Views of a face nearer in time are too alike for both to be measured."""
KEPT_VIEWS = 16
PROGRESS_EVERY_S = 0.2


@dataclass
class Views:
    """What was seen of one track: its best views, and how good every measured one was."""

    candidates: Candidates = field(default_factory=partial(Candidates, KEPT_VIEWS))
    times_s: array[float] = field(default_factory=lambda: array("d"))
    scores: array[float] = field(default_factory=lambda: array("d"))
    sharpness: array[float] = field(default_factory=lambda: array("d"))

    def score_at(self, time_s: float) -> float:
        """The score measured nearest to a moment."""
        if not self.times_s:
            return 0.0
        return self.scores[int(np.abs(np.asarray(self.times_s) - time_s).argmin())]


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
    """Width and height of each picture as stored, (n, 2)."""


def look_at(
    footage: Footage, pack: FacePack, detect_every: int | None, on_progress: OnProgress
) -> Seen:
    """Follow every face from the first picture to the last."""
    watcher = Watcher(pack, detect_every or DETECT_EVERY)
    views: dict[int, Views] = {}
    pts, times, turns, sizes = array("q"), array("d"), array("b"), array("i")
    shots: list[int] = []
    begun = reported = time.monotonic()
    for view in footage.views():
        if view.begins_shot:
            if shots:
                watcher.cut()
            shots.append(view.pts)
        turn = footage.turns(view.image)
        pts.append(view.pts)
        times.append(view.time_s)
        turns.append(turn)
        sizes.extend((view.image.width, view.image.height))
        _see(watcher, view, _once(partial(upright_rgb, view.image, turn)), views)
        now = time.monotonic()
        if now - reported >= PROGRESS_EVERY_S:
            reported = now
            on_progress(Progress("analyse", len(pts), footage.total, now - begun))
    on_progress(Progress("analyse", len(pts), len(pts), time.monotonic() - begun, is_final=True))
    return Seen(
        watcher.finish(), views, np.array(pts), np.array(times), tuple(shots), np.array(turns),
        np.array(sizes).reshape(-1, 2),
    )  # fmt: skip


def _see(
    watcher: Watcher, view: View, rgb: Callable[[], NDArray[np.uint8]], views: dict[int, Views]
) -> None:
    for track, face in watcher.see(view.index, view.time_s, rgb):
        of_track = views.setdefault(track, Views())
        last = of_track.times_s[-1] if of_track.times_s else -np.inf
        if view.time_s - last >= MEASURE_EVERY_S:
            _measure(of_track, view, rgb(), face)


def _measure(of_track: Views, view: View, rgb: NDArray[np.uint8], face: DetectedFace) -> None:
    quality = measure(rgb, face.landmarks_xy)
    of_track.times_s.append(view.time_s)
    of_track.scores.append(quality.score)
    of_track.sharpness.append(quality.sharpness)
    if not of_track.candidates.wants(quality):
        of_track.candidates.count(quality)
        return
    placement = placement_of(face.landmarks_xy)
    stamp = stamp_of(rgb, placement)
    of_track.candidates.offer(Candidate(view.index, view.time_s, placement, quality, stamp))


def _once(make: Callable[[], NDArray[np.uint8]]) -> Callable[[], NDArray[np.uint8]]:
    """The same picture every time, made when it is first needed."""
    made: list[NDArray[np.uint8]] = []

    def get() -> NDArray[np.uint8]:
        if not made:
            made.append(make())
        return made[0]

    return get
