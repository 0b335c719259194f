"""Single moments of the footage, read again after the one pass to see whose faces they show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from vidref.faces.candidates import Candidate
from vidref.faces.clothes import Clothes, clothes_of, mean_clothes
from vidref.faces.geometry import Placement, points_of
from vidref.faces.likeness import Embedding, Likeness
from vidref.faces.pack import FacePack, aligned
from vidref.faces.paths import Appearance, Presence, Track, TrackFrame
from vidref.faces.people import Person, faces_in_doubt, join_tracks
from vidref.faces.track import SMALLEST_EMBEDDED_PX
from vidref.faces.turned import TOO_FAR_DEG
from vidref.pipeline.footage import Footage
from vidref.pipeline.looking import Seen
from vidref.pipeline.naming import appearance_of
from vidref.pipeline.upright import upright_rgb

ViewKey = tuple[int, Placement]

BRIEF_S = 8.0
"""A longer track has been recognised often enough."""
LOOKS = 24
"""How many moments of a brief track are enough, its best views among them."""
TRACKS_EACH = 4
"""Of how many tracks of each person."""
DRESSED = 6
"""Moments of a track at which it is seen what is worn."""
OTHERS = 8
"""How many others are looked at, to know what people wear here."""


def key_of(view: Candidate) -> ViewKey:
    return view.frame, view.placement


def embed_views(
    views: Iterable[Candidate], seen: Seen, footage: Footage, pack: FacePack
) -> dict[ViewKey, Embedding]:
    """How the recogniser sees each view."""
    return _embed(map(key_of, views), seen, footage, pack)


def _embed(
    keys: Iterable[ViewKey], seen: Seen, footage: Footage, pack: FacePack
) -> dict[ViewKey, Embedding]:
    by_frame: dict[int, list[Placement]] = {}
    for frame, placement in keys:
        by_frame.setdefault(frame, []).append(placement)
    found: dict[ViewKey, Embedding] = {}
    for frame, rgb in _pictures(by_frame, seen, footage):
        places = by_frame[frame]
        crops = [aligned(rgb, points_of(place).astype(np.float32)) for place in places]
        for place, vector in zip(places, pack.embed_aligned(crops), strict=True):
            found[frame, place] = vector
    return found


def _pictures(
    frames: Iterable[int], seen: Seen, footage: Footage
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Frames by their numbers, read again one at a time."""
    by_pts = {int(seen.pts[frame]): frame for frame in frames}
    for pts, image in footage.again(by_pts):
        yield by_pts[pts], upright_rgb(image, footage.turns(image), footage.pixel_aspect)


def with_faces(seen: Seen, footage: Footage, pack: FacePack) -> Seen:
    """The same, where tracks too short to have been recognised on the way are now."""
    best: dict[int, Candidate] = {}
    for track in seen.tracks:
        views = seen.views[track.id].candidates.best if track.id in seen.views else []
        large = [v for v in views if v.placement.size_px >= SMALLEST_EMBEDDED_PX]
        if large and not track.appearances:
            best[track.id] = max(large, key=lambda view: view.quality.score)
    vectors = embed_views(best.values(), seen, footage, pack)
    tracks = [
        replace(track, appearances=(_appearance(best[track.id], vectors),))
        if track.id in best
        else track
        for track in seen.tracks
    ]
    return replace(seen, tracks=tracks)


def with_more_views(seen: Seen, footage: Footage, pack: FacePack, likeness: Likeness) -> Seen:
    """The same, with more looks at tracks of which it is in doubt whether they are one person.

    Where that leaves it in doubt, it is also seen what they and others wear.
    """
    brief = {track.id: track for track in seen.tracks if _is_brief(track)}
    doubtful = _longest(_worth_a_look(_people(seen, likeness), likeness), brief)
    more = {id: _other_moments(brief[id], seen) for id in doubtful}
    vectors = _embed(chain(*more.values()), seen, footage, pack)
    tracks = []
    for track in seen.tracks:
        looks = [Appearance(frame, vectors[frame, at]) for frame, at in more.get(track.id, [])]
        looks = sorted([*track.appearances, *looks], key=lambda look: look.index)
        tracks.append(replace(track, appearances=tuple(looks)))
    return _with_clothes(replace(seen, tracks=tracks), footage, likeness)


def _with_clothes(seen: Seen, footage: Footage, likeness: Likeness) -> Seen:
    """The same, with the clothes of those about whom they may decide, and of some of the others."""
    people = _people(seen, likeness)
    pairs = faces_in_doubt(people, likeness, likeness.perhaps, likeness.margin)
    if not pairs:
        return seen
    tracks = {track.id: track for track in seen.tracks}
    asked = _longest(pairs, tracks)
    in_doubt = {id for pair in pairs for person in pair for id in person.tracks}
    others = [person for person in people if not in_doubt & set(person.tracks)]
    longest = [max(person.tracks, key=lambda id: len(tracks[id].frames)) for person in others]
    longest.sort(key=lambda id: -len(tracks[id].frames))
    moments: dict[int, list[tuple[int, Placement]]] = {}
    for id in [*asked, *longest[:OTHERS]]:
        for frame in _spread([f for f in tracks[id].frames if _is_clear(f)], DRESSED):
            moments.setdefault(frame.index, []).append((id, frame.placement))
    worn: dict[int, list[Clothes]] = {}
    for index, rgb in _pictures(moments, seen, footage):
        for id, placement in moments[index]:
            if (clothes := clothes_of(rgb, placement)) is not None:
                worn.setdefault(id, []).append(clothes)
    return replace(
        seen,
        tracks=[
            replace(track, clothes=mean_clothes(worn[track.id])) if track.id in worn else track
            for track in seen.tracks
        ],
    )


def _people(seen: Seen, likeness: Likeness) -> list[Person]:
    return join_tracks([appearance_of(track, seen) for track in seen.tracks], likeness)


def _worth_a_look(people: Sequence[Person], likeness: Likeness) -> list[tuple[Person, Person]]:
    """Those who may well be one, and those who are each other's likeliest or nearly so."""
    likely = faces_in_doubt(people, likeness, likeness.perhaps)
    return likely + faces_in_doubt(people, likeness, likeness.closer, -likeness.margin)


def _longest(pairs: Iterable[tuple[Person, Person]], tracks: dict[int, Track]) -> set[int]:
    """A few tracks of each: a person who is in a film for an hour is not looked at throughout."""
    found: set[int] = set()
    for person in chain(*pairs):
        own = [id for id in person.tracks if id in tracks]
        found |= set(sorted(own, key=lambda id: -len(tracks[id].frames))[:TRACKS_EACH])
    return found


def _is_brief(track: Track) -> bool:
    return track.frames[-1].time_s - track.frames[0].time_s < BRIEF_S


def _other_moments(track: Track, seen: Seen) -> list[ViewKey]:
    """Its best views, and others so that there are enough; not those that were recognised."""
    known = {look.index for look in track.appearances}
    best = seen.views[track.id].candidates.best if track.id in seen.views else []
    moments = {v.frame: v.placement for v in best if v.frame not in known}
    rest = [
        f for f in track.frames if _is_clear(f) and f.index not in known and f.index not in moments
    ]
    moments |= {f.index: f.placement for f in _spread(rest, max(0, LOOKS - len(moments)))}
    return [(at, p) for at, p in moments.items() if p.size_px >= SMALLEST_EMBEDDED_PX]


def _is_clear(frame: TrackFrame) -> bool:
    """Found, and not from the side."""
    return frame.presence is Presence.SEEN and abs(frame.turned_deg) <= TOO_FAR_DEG


def _spread(frames: Sequence[TrackFrame], count: int) -> list[TrackFrame]:
    """So many of them, evenly over their time."""
    at = np.linspace(0, len(frames) - 1, min(count, len(frames)))
    return [frames[round(k)] for k in at]


def _appearance(view: Candidate, vectors: dict[ViewKey, Embedding]) -> Appearance:
    return Appearance(view.frame, vectors[key_of(view)])
