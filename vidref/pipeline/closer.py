"""Single moments of the footage, read again after the one pass to see whose faces they show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from vidref.faces.candidates import Candidate
from vidref.faces.geometry import Placement, points_of
from vidref.faces.likeness import Embedding, Likeness
from vidref.faces.pack import FacePack, aligned
from vidref.faces.paths import Appearance, Track
from vidref.faces.people import Person, join_tracks, may_be_one
from vidref.faces.track import SMALLEST_EMBEDDED_PX
from vidref.pipeline.footage import Footage
from vidref.pipeline.looking import Seen
from vidref.pipeline.naming import appearance_of
from vidref.pipeline.upright import upright_rgb

ViewKey = tuple[int, Placement]

BRIEF_S = 8.0
"""A longer track has been recognised often enough."""


def key_of(view: Candidate) -> ViewKey:
    return view.frame, view.placement


def embed_views(
    views: Iterable[Candidate], seen: Seen, footage: Footage, pack: FacePack
) -> dict[ViewKey, Embedding]:
    """How the recogniser sees each view; pictures are read one at a time."""
    by_pts: dict[int, list[Candidate]] = {}
    for view in views:
        by_pts.setdefault(int(seen.pts[view.frame]), []).append(view)
    found: dict[ViewKey, Embedding] = {}
    for pts, image in footage.again(by_pts):
        rgb = upright_rgb(image, footage.turns(image), footage.pixel_aspect)
        crops = [aligned(rgb, points_of(view.placement).astype(np.float32)) for view in by_pts[pts]]
        for view, vector in zip(by_pts[pts], pack.embed_aligned(crops), strict=True):
            found[key_of(view)] = vector
    return found


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
    """The same, with more looks at tracks of which it is in doubt whether they are one person."""
    people = join_tracks([appearance_of(track, seen) for track in seen.tracks], likeness)
    doubtful = {track for person in _in_doubt(people, likeness) for track in person.tracks}
    more = {
        track.id: _other_views(track, seen.views[track.id].candidates.best)
        for track in seen.tracks
        if track.id in doubtful and track.id in seen.views and _is_brief(track)
    }
    vectors = embed_views([view for views in more.values() for view in views], seen, footage, pack)
    tracks = []
    for track in seen.tracks:
        looks = [_appearance(view, vectors) for view in more.get(track.id, [])]
        looks = sorted([*track.appearances, *looks], key=lambda look: look.index)
        tracks.append(replace(track, appearances=tuple(looks)))
    return replace(seen, tracks=tracks)


def _in_doubt(people: Sequence[Person], likeness: Likeness) -> Iterator[Person]:
    """Those who may be somebody else of them too."""
    known = [(person, person.face) for person in people if person.face is not None]
    if not known:
        return
    faces = np.stack([face for _, face in known])
    cosines = np.triu(faces @ faces.T, 1)
    for pair in np.argwhere((cosines >= likeness.closer) & (cosines < likeness.joins)):
        one, other = (known[k][0] for k in pair)
        if may_be_one(one, other):
            yield from (one, other)


def _is_brief(track: Track) -> bool:
    return track.frames[-1].time_s - track.frames[0].time_s < BRIEF_S


def _other_views(track: Track, views: Sequence[Candidate]) -> list[Candidate]:
    """Its best views, but those of frames in which it was recognised already."""
    known = {look.index for look in track.appearances}
    return [
        view
        for view in views
        if view.frame not in known and view.placement.size_px >= SMALLEST_EMBEDDED_PX
    ]


def _appearance(view: Candidate, vectors: dict[ViewKey, Embedding]) -> Appearance:
    return Appearance(view.frame, vectors[key_of(view)])
