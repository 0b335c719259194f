"""The tracker: faces found now and then in single frames become tracks, one per face and shot.

It works on numbers alone and decides three things: which face is which (`push`), where and how soon
to look again (`look`), and, once a shot is over, each face's whole steady path (`finish`). A face
must be found several times to be believed, may be missed for a while without being forgotten, and
is known again by its embedding, which is asked for only where it can decide something.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidref.faces.association import (
    IMPOSSIBLE,
    MOST_TURN,
    SAME_FACE,
    Costs,
    ambiguous,
    apart,
    assign,
    cost,
    distinct,
    overlap,
    strays,
)
from vidref.faces.detected import DetectedFace
from vidref.faces.followed import Embed, Finds, Followed
from vidref.faces.geometry import Placement, placement_of
from vidref.faces.motion import Motion
from vidref.faces.paths import Shot, Sighting, Track, whole_path
from vidref.faces.pose import turned_deg
from vidref.faces.stitch import stitched
from vidref.faces.swaps import put_right
from vidref.faces.turned import TOO_FAR_DEG

DETECT_EVERY = 8
"""Frames between looks at the whole frame, unless something happens."""
NEAR_EVERY = 3
"""Frames between looks at a face that moves as expected."""
NEEDED = 3
"""Looks that must find a face before it is believed; fewer only in a shot of fewer frames."""
PATIENCE = 2
"""Looks that may miss a face that is not believed yet."""
BRISK = 0.7
"""Sizes a second from which a face is looked at in every frame: what lies between two looks is
guessed, and a nodding head then is off by twice as much as a look is."""
UNSURE = 0.02
"""Where a face is uncertain by this share of its size, it is time to look again."""
KEPT_S = 2.0
"""How long a face that is not seen is waited for."""
FOLLOWED_S = 1.0
"""How long one is expected where it was going; from then on only its embedding brings it back."""
EMBED_EVERY_S = 1.0
SMALLEST_EMBEDDED_PX = 24.0
TOUCHING = 0.1
"""Overlap of squares from which faces are watched in every frame."""
NEARBY = 1.5
"""Distance, in face sizes, at which someone missing could be the one who is found."""
UNWATCHED_S = 0.25
"""A face that was missed for longer shows by its embedding that it is still the same."""
VERY_PLACE = 0.5
"""Overlap with a face that looks unlike itself, from which what is found is in its place."""
SURE = 0.9
"""A face that always looks aside (`turned.TOO_FAR_DEG`) shows little, and takes such scores to be
believed; it would not be restored either. Of what was found so in the scenes, nine of twelve things
(fur, leaves, a dog) scored less, and four of twenty-nine heads."""
UNLIKE = 0.3
"""How far below the pack's own limit a cosine must be to rule a person out."""
WEAK_DOUBT = 2.0
MOST_CHANGE = math.log(3)
"""How much larger or smaller someone may come back within two seconds."""


@dataclass(frozen=True)
class Look:
    """Where to look in a frame: at all of it, and near where faces are expected."""

    whole: bool
    near: tuple[Placement, ...]

    def __bool__(self) -> bool:
        return self.whole or bool(self.near)


@dataclass(frozen=True)
class Arrival:
    """A face that is believed now, and where it was found first."""

    id: int
    index: int
    placement: Placement


class Tracker:
    """Push every frame of a clip in order; say where a cut is; finish.

    `strong_score` and `same_person` are the face pack's: faces that score less than `strong_score`
    may go on a track but never begin one. `detect_every` is the most frames between two looks at
    the whole frame.
    """

    def __init__(
        self, strong_score: float, same_person: float, detect_every: int = DETECT_EVERY
    ) -> None:
        self._strong_score = strong_score
        self._same_person = same_person
        self._detect_every = max(1, detect_every)
        self._faces: list[Followed] = []
        self._gone: list[Followed] = []
        self._arrivals: list[Followed] = []
        self._tracks: list[Track] = []
        self._next_id = 1
        self._shot = Shot(0, 0, [])
        self._whole_at: int | None = None
        self._looks = 0

    def look(self, index: int, time_s: float, whole: bool = False) -> Look:
        """Where frame `index` should be looked at before it is pushed."""
        active = self._active()
        believed = [face for face in active if face.believed]
        since = index - self._whole_at if self._whole_at is not None else self._detect_every
        just_lost = any(face.misses == 1 for face in believed)
        whole = whole or since >= self._detect_every or (just_lost and since >= 2)
        near = [face for face in active if whole or self._is_due(face, index, time_s)]
        return Look(whole, tuple(self._window(face, time_s) for face in near))

    def push(
        self,
        index: int,
        time_s: float,
        faces: Sequence[DetectedFace] | None = None,
        embed: Embed | None = None,
        look: Look | None = None,
    ) -> list[int | None]:
        """Takes what was found in a frame; returns the track of each face, None for no track.

        `faces` None: nobody looked. `look` says where was looked, by default everywhere. `embed`
        gives the embeddings of some of these faces when they are needed.
        """
        if not self._shot.times_s:
            self._shot = Shot(self._shot.number, index, [])
        self._shot.times_s.append(time_s)
        if faces is None:
            return []
        look = look or Look(True, ())
        self._looks += 1
        if look.whole:
            self._whole_at = index
        places = [placement_of(face.landmarks_xy) for face in faces]
        kept = distinct(places, [face.score for face in faces])
        frame = Finds(index, time_s, [faces[i] for i in kept], [places[i] for i in kept], embed)
        searched = [
            face for face in self._active() if look.whole or self._was_near(face, look, frame)
        ]
        for face in self._faces:
            face.motion.go(time_s, time_s - face.seen_s if face.misses else 0.0)
        result: list[int | None] = [None] * len(faces)
        for face, number in self._associate(frame):
            result[kept[number]] = face.id
        self._miss(searched, frame)
        return result

    def take_arrivals(self) -> list[Arrival]:
        """Faces believed since the last call: they may have been there before they were found."""
        arrivals, self._arrivals = self._arrivals, []
        return [
            Arrival(face.id, face.sightings[0].index, face.sightings[0].placement)
            for face in arrivals
        ]

    def seen_before(self, id: int, index: int, found: DetectedFace) -> bool:
        """Adds an earlier sighting to a track, unless it is another track's."""
        place = placement_of(found.landmarks_xy)
        for other in self._faces + self._gone:
            near = (s for s in other.sightings if abs(s.index - index) <= NEAR_EVERY)
            if other.id != id and any(overlap(s.placement, place) > SAME_FACE for s in near):
                return False
        for face in self._faces:
            if face.id == id and index < face.sightings[0].index:
                doubt = 1.0 if found.score >= self._strong_score else WEAK_DOUBT
                turned = turned_deg(found.landmarks_xy)
                face.sightings.insert(0, Sighting(index, place, found.score, doubt, turned))
                return True
        return False

    def cut(self) -> None:
        """The next frame begins a new shot: all tracks end here, and motion with them."""
        self._gone += self._faces
        real = [face for face in self._gone if self._is_real(face)]
        for path in put_right(stitched(real, self._shot), self._shot, self._new_id):
            frames = whole_path(self._shot, path.sightings, path.missed)
            self._tracks.append(
                Track(path.id, self._shot.number, frames, path.appearances, path.parts)
            )
        self._faces, self._gone, self._arrivals = [], [], []
        self._looks, self._whole_at = 0, None
        self._shot = Shot(self._shot.number + 1, 0, [])

    def finish(self) -> list[Track]:
        """All tracks of the clip, by their first frames."""
        if self._shot.times_s:
            self.cut()
        return sorted(self._tracks, key=lambda track: (track.first, track.id))

    def _window(self, face: Followed, time_s: float) -> Placement:
        """Where to look for a face: in the same window for as long as the face stays in it.

        What a detector says depends on its window by up to a hundredth of the face. A window that
        followed every look would follow its own errors, and a still face would wander.
        """
        place, _ = face.motion.ahead(time_s, time_s - face.seen_s)
        if face.window is None or strays(place, face.window):
            face.window = place
        return face.window

    def _is_due(self, face: Followed, index: int, time_s: float) -> bool:
        if not face.believed or face.crowded or face.misses:
            return True
        since = index - face.sightings[-1].index
        often = 1 if face.motion.speed > BRISK else NEAR_EVERY
        return since >= often or face.motion.ahead(time_s)[1] > UNSURE

    def _was_near(self, face: Followed, look: Look, frame: Finds) -> bool:
        place, _ = face.motion.ahead(frame.time_s, frame.time_s - face.seen_s)
        return any(overlap(place, near) > 0.5 for near in look.near)

    def _active(self) -> list[Followed]:
        """Those who are followed, but the ones whose place another has taken."""
        return [face for face in self._faces if face.replaced_by not in self._faces]

    def _is_real(self, face: Followed) -> bool:
        often = face.believed or len(face.sightings) >= min(NEEDED, self._looks)
        return often and not _is_hardly_seen(face.sightings)

    def _associate(self, frame: Finds) -> list[tuple[Followed, int]]:
        """Pairs of a face followed and the number of a face found."""
        strong = [i for i, face in enumerate(frame.faces) if face.score >= self._strong_score]
        followed = [f for f in self._active() if frame.time_s - f.seen_s <= FOLLOWED_S]
        frame.need(self._doubtful(followed, frame))
        pairs = self._match(followed, strong, frame)
        taken = {number for _, number in pairs}
        known = {face.id for face, _ in pairs}
        weak = [i for i in range(len(frame.faces)) if i not in taken]
        rest = [f for f in followed if f.id not in known and f.believed]
        pairs += self._match(rest, weak, frame)
        taken = {number for _, number in pairs}
        for number in strong:
            place = frame.places[number]
            upright = abs(place.angle) <= MOST_TURN
            if number not in taken and upright and not self._covered(place, pairs, frame):
                pairs.append((self._again_or_new(number, frame, pairs), number))
        for face, number in pairs:
            self._see(face, number, frame)
        return pairs

    def _doubtful(self, followed: list[Followed], frame: Finds) -> list[int]:
        """Faces found that could be one or another, or someone hidden, or are due for a check."""
        costs = self._costs(followed, list(range(len(frame.faces))), frame)
        doubtful = set(ambiguous(costs))
        missing = [face for face in self._active() if face.misses and face.believed]
        for row, number in assign(costs):
            face, place = followed[row], frame.places[number]
            rivals = [f for f in missing if f is not face]
            if any(apart(f.motion.placement, place) < NEARBY for f in rivals):
                doubtful.add(number)
            if face.misses and frame.time_s - face.seen_s > UNWATCHED_S:
                doubtful.add(number)
            overdue = frame.time_s - face.embedded_s >= EMBED_EVERY_S
            if face.believed and (overdue or face.strikes):
                doubtful.add(number)
        large = SMALLEST_EMBEDDED_PX
        return sorted(n for n in doubtful if frame.places[n].size_px >= large)

    def _match(
        self, faces: list[Followed], numbers: list[int], frame: Finds
    ) -> list[tuple[Followed, int]]:
        pairs = assign(self._costs(faces, numbers, frame))
        return [(faces[row], numbers[column]) for row, column in pairs]

    def _costs(self, faces: list[Followed], numbers: list[int], frame: Finds) -> Costs:
        costs = np.full((len(faces), len(numbers)), IMPOSSIBLE)
        for row, face in enumerate(faces):
            place, spread = face.motion.placement, face.motion.spread
            for column, number in enumerate(numbers):
                likeness = face.likeness(frame.vectors.get(number))
                # A lone face may look unlike itself once; in a crowd it is another one.
                trusted = not (face.strikes or face.misses or face.crowded)
                if trusted or not self._is_unlike(likeness):
                    costs[row, column] = cost(place, spread, frame.places[number], likeness)
        return costs

    def _is_unlike(self, likeness: float | None) -> bool:
        return likeness is not None and likeness < self._same_person - UNLIKE

    def _covered(self, place: Placement, pairs: list[tuple[Followed, int]], frame: Finds) -> bool:
        """Is this a second, worse find of a face that has its pair?"""
        return any(overlap(place, frame.places[number]) > 0.35 for _, number in pairs)

    def _again_or_new(
        self, number: int, frame: Finds, pairs: list[tuple[Followed, int]]
    ) -> Followed:
        """Someone who was lost a moment ago and looks the same, or else a new face."""
        busy = {face.id for face, _ in pairs}
        size = frame.places[number].size_px
        lost = [
            f
            for f in self._faces
            if f.id not in busy and f.believed and f.mean is not None
            if abs(math.log(size / f.motion.placement.size_px)) < MOST_CHANGE
        ]
        if lost:
            frame.need([number])
            vector = frame.vectors.get(number)
            alike = sorted(((f.likeness(vector) or -1.0, f) for f in lost), key=lambda p: -p[0])
            clear = len(alike) == 1 or alike[0][0] > alike[1][0] + 0.1
            if alike[0][0] >= self._same_person and clear:
                face = alike[0][1]
                face.motion.restart(frame.places[number], frame.time_s)
                self._take_place(face)
                return face
        motion = Motion(frame.places[number], frame.time_s)
        face = Followed(self._new_id(), motion, frame.time_s, [])
        self._faces.append(face)
        self._take_place(face)
        return face

    def _take_place(self, face: Followed) -> None:
        """Whoever looks unlike himself where `face` is now is neither looked for nor missing."""
        face.replaced_by = None
        here = face.motion.placement
        for other in self._active():
            in_place = overlap(other.motion.placement, here) > VERY_PLACE
            if other is not face and other.strikes and in_place:
                other.replaced_by = face

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _see(self, face: Followed, number: int, frame: Finds) -> None:
        found, place = frame.faces[number], frame.places[number]
        doubt = 1.0 if found.score >= self._strong_score else WEAK_DOUBT
        if face.sightings:
            face.motion.see(place, doubt)
        turned = turned_deg(found.landmarks_xy)
        face.sightings.append(Sighting(frame.index, place, found.score, doubt, turned))
        face.seen_s, face.misses = frame.time_s, 0
        if not face.believed and len(face.sightings) >= NEEDED:
            face.believed = True
            self._arrivals.append(face)
        if face.believed and face.mean is None and place.size_px >= SMALLEST_EMBEDDED_PX:
            frame.need([number])
        if self._is_unlike(face.likeness(frame.vectors.get(number))):
            face.strikes += 1  # A bad view, or somebody else: the next look tells.
        elif number in frame.vectors:
            face.remember(frame.index, frame.time_s, frame.vectors[number])
        others = (f for f in self._active() if f is not face)
        face.crowded = any(overlap(f.motion.placement, place) > TOUCHING for f in others)

    def _miss(self, searched: list[Followed], frame: Finds) -> None:
        for face in searched:
            if face.seen_s < frame.time_s:
                face.missed.add(frame.index)
                face.misses += 1
        for face in list(self._faces):
            unseen = frame.time_s - face.seen_s
            forgotten = unseen > KEPT_S and face.misses > 0
            if forgotten or (not face.believed and face.misses > PATIENCE):
                self._faces.remove(face)
                if face.believed:
                    self._gone.append(face)


def _is_hardly_seen(sightings: Sequence[Sighting]) -> bool:
    """Aside in nine looks of ten, and not surely a face: a leaf may look like that."""
    aside = float(np.quantile([abs(seen.turned_deg) for seen in sightings], 0.1))
    return aside > TOO_FAR_DEG and float(np.median([seen.score for seen in sightings])) < SURE
