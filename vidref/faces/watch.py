"""Looks at a clip's frames with a face pack where the tracker asks to, and tells it what is there.

The whole frame is searched now and then for new faces. A face that is known is looked at in a small
upright window around where it is expected: a hundredth of the cost, and its landmarks come from one
size and pose of the face whatever its size in the picture, which keeps them steady.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vidref.faces.association import overlap
from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import Placement, placement_of
from vidref.faces.pack import FacePack
from vidref.faces.paths import Track
from vidref.faces.track import DETECT_EVERY, NEEDED, Arrival, Look, Tracker

Rgb = NDArray[np.uint8]

WEAK = 0.5
"""Share of the pack's own least score from which a face already known is believed to be seen."""
SAME_LOOK = 0.3


class Watcher:
    """Follows the faces of a clip: `see` every frame in order, `cut` between shots, `finish`."""

    def __init__(self, pack: FacePack, detect_every: int = DETECT_EVERY) -> None:
        self._pack = pack
        self._weak = pack.with_least_score(WEAK * pack.least_score)
        self.tracker = Tracker(pack.least_score, pack.same_person, detect_every)
        self._recent: deque[tuple[int, Callable[[], Rgb]]] = deque(maxlen=detect_every + NEEDED)
        """The last frames, for faces that were there before they were found."""

    def see(
        self, index: int, time_s: float, rgb: Callable[[], Rgb], whole: bool = False
    ) -> list[tuple[int, DetectedFace]]:
        """The faces found in this frame with their tracks' ids; `rgb` is called only for a look."""
        self._recent.append((index, rgb))
        look = self.tracker.look(index, time_s, whole)
        if not look:
            self.tracker.push(index, time_s)
            return []
        frame = rgb()
        faces = self._find(frame, look)

        def embed(some: Sequence[DetectedFace]) -> NDArray[np.float32]:
            return self._pack.embed(frame, list(some))

        ids = self.tracker.push(index, time_s, faces, embed, look)
        for arrival in self.tracker.take_arrivals():
            self._look_back(arrival)
        return [(id, face) for id, face in zip(ids, faces, strict=True) if id is not None]

    def cut(self) -> None:
        """The next frame begins a new shot."""
        self._recent.clear()
        self.tracker.cut()

    def finish(self) -> list[Track]:
        return self.tracker.finish()

    def _look_back(self, arrival: Arrival) -> None:
        """Follows a new face back through the last frames, as far as it was there."""
        place = arrival.placement
        for index, rgb in reversed(self._recent):
            if index >= arrival.index:
                continue
            near = self._weak.detect_near(rgb(), place)
            shared = [overlap(placement_of(face.landmarks_xy), place) for face in near]
            best = int(np.argmax(shared)) if shared else -1
            if best < 0 or shared[best] < SAME_LOOK:
                return
            if not self.tracker.seen_before(arrival.id, index, near[best]):
                return
            place = placement_of(near[best].landmarks_xy)

    def _find(self, frame: Rgb, look: Look) -> list[DetectedFace]:
        found = [f for place in look.near for f in self._weak.detect_near(frame, place)]
        if look.whole:
            for face in self._pack.detect(frame):
                if not any(_same(face, other) for other in found):
                    closer = self._weak.detect_near(frame, placement_of(face.landmarks_xy))
                    # its points come from the closer look, but that it is a face from either
                    found += [
                        replace(f, score=max(f.score, face.score)) for f in closer if _same(face, f)
                    ] or [face]
        return found


def _same(one: DetectedFace, other: DetectedFace) -> bool:
    places: list[Placement] = [placement_of(face.landmarks_xy) for face in (one, other)]
    return overlap(*places) > SAME_LOOK
