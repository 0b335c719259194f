"""Single moments of the footage, read again after the one pass to see whose faces they show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from vidref.faces.candidates import Candidate
from vidref.faces.geometry import Placement, points_of
from vidref.faces.likeness import Embedding
from vidref.faces.pack import FacePack, aligned
from vidref.faces.paths import Appearance
from vidref.faces.track import SMALLEST_EMBEDDED_PX
from vidref.pipeline.footage import Footage
from vidref.pipeline.looking import Seen
from vidref.pipeline.upright import upright_rgb

ViewKey = tuple[int, Placement]


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


def _appearance(view: Candidate, vectors: dict[ViewKey, Embedding]) -> Appearance:
    return Appearance(view.frame, vectors[key_of(view)])
