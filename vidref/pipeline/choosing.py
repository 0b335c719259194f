"""The evidence for each person: views of the clip read again and looked at closely, and photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vidref.faces.candidates import Candidate, Candidates, likeness_of_stamps, together
from vidref.faces.geometry import CROP_PX, Placement, to_frame
from vidref.faces.likeness import Embedding, Likeness
from vidref.faces.pack import FacePack
from vidref.faces.paths import Track
from vidref.faces.photos import NamedPerson, Photo
from vidref.faces.references import (
    APART_S,
    SAME_PICTURE,
    WANTED,
    choose_self_references,
    least_score,
    open_eyed,
    weigh,
)
from vidref.faces.references import PhotoReference as ChosenPhoto
from vidref.pipeline import plan
from vidref.pipeline.closer import embed_views, key_of
from vidref.pipeline.footage import Footage
from vidref.pipeline.looking import Seen
from vidref.pipeline.naming import Somebody
from vidref.pipeline.upright import as_stored

MOST_STRAYING = 0.15
"""How far, in shares of the side, one look may be from the smoothed path and be believed."""
POOR = 0.5
"""The score below which a view that was passed over is told what is wrong with it: there less than
six tenths of the detail are left (tests/benchmarks/quality_limits.py)."""
EYES_SHUT = "The eyes are more closed than usual."
PASSED_OVER_SHOWN = 6
"""Views that came near and were not chosen, told in the plan with their reasons."""


@dataclass(frozen=True)
class Evidence:
    """A person's references, the weightiest first, and what was set aside."""

    references: tuple[plan.Reference, ...]
    set_aside: tuple[plan.SetAside, ...]


def choose_evidence(
    people: Sequence[Somebody],
    named: Sequence[NamedPerson],
    seen: Seen,
    footage: Footage,
    pack: FacePack,
    likeness: Likeness,
) -> list[Evidence]:
    """The evidence for each of the people, in their order."""
    photos = {person.name: person for person in named}
    parts = [_views_of(who, seen) for who in people]
    own = [
        choose_self_references(part, WANTED, who.face, likeness.agrees)
        for who, part in zip(people, parts, strict=True)
    ]
    embeddings = embed_views([v for views in own for v in views], seen, footage, pack)
    result = []
    for who, part, views in zip(people, parts, own, strict=True):
        views = [replace(v, embedding=embeddings[key_of(v)]) for v in views]
        good = [v for v in views if _agrees(v, who.face, likeness)]
        doubtful = [v for v in views if not _agrees(v, who.face, likeness)]
        if not good and doubtful:
            # What was seen of this person is little, and unlike itself: the likeliest view serves.
            good = [max(doubtful, key=lambda v: _likeness(v, who.face))]
            doubtful = [v for v in doubtful if v is not good[0]]
        person = photos.get(who.name) if who.name is not None else None
        result.append(_weighed(who, person, good, doubtful, part, seen, likeness))
    return result


def _views_of(who: Somebody, seen: Seen) -> list[Candidates]:
    """What was kept of each track, without the looks that were mistaken."""
    return [
        replace(seen.views[track.id].candidates, best=_steadied(track, seen))
        for track in who.tracks
        if track.id in seen.views
    ]


def _steadied(track: Track, seen: Seen) -> list[Candidate]:
    """The views that lie on their track's smoothed path, each moved onto it."""
    views = seen.views[track.id].candidates.best
    frames = {view.frame for view in views}
    path = {f.index: f.placement for f in track.frames if f.index in frames}
    return [
        replace(view, placement=path[view.frame])
        for view in views
        if view.frame in path and _strays(view.placement, path[view.frame]) < MOST_STRAYING
    ]


def _strays(one: Placement, other: Placement) -> float:
    """How far the square's corners are apart, as a share of its side."""
    corners = [
        to_frame(p) @ np.array([[0, 0, 1], [CROP_PX, 0, 1], [0, CROP_PX, 1]]).T
        for p in (one, other)
    ]
    return float(np.linalg.norm(corners[0] - corners[1], axis=0).max() / other.size_px)


def _weighed(
    who: Somebody,
    person: NamedPerson | None,
    good: Sequence[Candidate],
    doubtful: Sequence[Candidate],
    parts: Sequence[Candidates],
    seen: Seen,
    likeness: Likeness,
) -> Evidence:
    photos = person.photos if person else ()
    face = who.face if who.face is not None else _mean_of(good)
    chosen = weigh(good, photos, face, likeness) if good or photos else []
    references: list[plan.Reference] = []
    used: set[int] = set()
    for reference in chosen:
        item = reference.photo if isinstance(reference, ChosenPhoto) else reference.view
        used.add(id(item))
        references.append(_planned(item, reference.weight, seen))
    aside = [_passed_over_photo(photo) for photo in photos if id(photo) not in used]
    aside += [
        plan.SetAside(item.reason, photo=item.path.resolve())
        for item in (person.set_aside if person else ())
    ]
    reasons = [
        (v, "The face in it does not agree with this person's other views.") for v in doubtful
    ]
    reasons += [(v, "Other references are better.") for v in good if id(v) not in used]
    reasons += _passed_over(parts, [*good, *doubtful])
    aside += [_set_aside(view, reason, seen) for view, reason in reasons]
    return Evidence(tuple(references), tuple(aside))


def _planned(item: Candidate | Photo, weight: float, seen: Seen) -> plan.Reference:
    quality, weight = round(item.quality.score, 3), round(weight, 3)
    if isinstance(item, Photo):
        square = plan.square_of(item.placement)
        return plan.PhotoReference(item.path.resolve(), item.sha256, square, quality, weight)
    return plan.FrameReference(int(seen.pts[item.frame]), _stored(item, seen), quality, weight)


def _passed_over_photo(photo: Photo) -> plan.SetAside:
    return plan.SetAside(
        "Other references are better.",
        photo=photo.path.resolve(),
        face=plan.square_of(photo.placement),
        quality=round(photo.quality.score, 3),
    )


def _set_aside(view: Candidate, reason: str, seen: Seen) -> plan.SetAside:
    return plan.SetAside(
        reason,
        pts=int(seen.pts[view.frame]),
        face=_stored(view, seen),
        quality=round(view.quality.score, 3),
    )


def _passed_over(
    parts: Sequence[Candidates], chosen: Sequence[Candidate]
) -> list[tuple[Candidate, str]]:
    """The best views that were not chosen, and why not."""
    views, counts = together(parts)
    awake = open_eyed(views)
    least = least_score(awake, counts)
    taken = {(view.frame, view.time_s) for view in chosen}
    rest = [view for view in views if (view.frame, view.time_s) not in taken]
    rest.sort(key=lambda view: -view.quality.score)
    open_ = {id(view) for view in awake}
    return [
        (view, _why_not(view, chosen, least) if id(view) in open_ else EYES_SHUT)
        for view in _apart(rest)[:PASSED_OVER_SHOWN]
    ]


def _apart(views: Sequence[Candidate]) -> list[Candidate]:
    """Without those of a moment that a better one shows already."""
    kept: list[Candidate] = []
    for view in views:
        if all(abs(view.time_s - other.time_s) >= APART_S for other in kept):
            kept.append(view)
    return kept


def _why_not(view: Candidate, chosen: Sequence[Candidate], least: float) -> str:
    if view.quality.score < POOR:
        return f"It is too poor: {view.quality.weakest()}."
    if view.quality.score < least:
        return "It is not among the best tenth of this person's views."
    for other in chosen:
        if abs(view.time_s - other.time_s) < APART_S:
            return f"It is the same moment as the reference at {other.time_s:.1f} s."
        if likeness_of_stamps(view.stamp, other.stamp) >= SAME_PICTURE:
            return f"It shows nothing that the reference at {other.time_s:.1f} s does not."
    return "Others add more: they are better, or show the face differently."


def _agrees(view: Candidate, face: Embedding | None, likeness: Likeness) -> bool:
    return _likeness(view, face) >= likeness.agrees


def _likeness(view: Candidate, face: Embedding | None) -> float:
    return 1.0 if face is None or view.embedding is None else float(view.embedding @ face)


def _mean_of(views: Sequence[Candidate]) -> Embedding:
    vectors = [view.embedding for view in views if view.embedding is not None]
    total = np.sum(vectors, axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), np.float32)


def _stored(view: Candidate, seen: Seen) -> plan.Square:
    width, height = (int(side) for side in seen.sizes[view.frame])
    placement = as_stored(view.placement, int(seen.turns[view.frame]), width, height)
    return plan.square_of(placement)
