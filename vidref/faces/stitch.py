"""Pieces of one face's path within a shot, put together.

A face that turns away may look unlike itself for a moment, and then the tracker begins another
track where the first one is. Within a shot nobody takes another's very place in half a second,
so such pieces are one face, unless the recogniser is sure that they are not.
"""

from __future__ import annotations

from bisect import bisect_right

from vidref.faces.association import overlap
from vidref.faces.followed import Followed
from vidref.faces.paths import Shot, Sighting

GAP_S = 0.5
SAME_PLACE = 0.4
VERY_PLACE = 0.7
SURELY_OTHER = 0.1
"""Cosine of two mean faces below which only the very same place makes them one: a single blurred
view of a face (two-people, 1.1 s) had -0.03 to the same face three frames later."""
LIKE_ENOUGH = 0.3
"""Cosine from which a piece that lies in a hole of a path, and at its edge, belongs into it: half a
face that comes out from behind a pillar. Who passes before a face is in its place as well."""
TOGETHER = 0.8
"""Share of the moments that two pieces have in common in which they must be at one place."""


def stitched(faces: list[Followed], shot: Shot) -> list[tuple[Followed, tuple[int, ...]]]:
    """Every face once, with the ids of the pieces that were put into it."""
    result: list[tuple[Followed, tuple[int, ...]]] = []
    for piece in sorted(faces, key=lambda face: face.sightings[0].index):
        for number, (face, ids) in enumerate(result):
            if _is_one(face, piece, shot):
                _take(face, piece)
                result[number] = face, (*ids, piece.id)
                break
        else:
            result.append((piece, ()))
    return result


def _is_one(face: Followed, piece: Followed, shot: Shot) -> bool:
    """Whether `piece`, which begins later, goes on where `face` is."""
    likeness = None if piece.mean is None else face.likeness(piece.mean / _length(piece))
    around = _hole_around(face, piece)
    if around is not None and likeness is not None and likeness >= LIKE_ENOUGH:
        edges = zip(around, (piece.sightings[0], piece.sightings[-1]), strict=True)
        if any(_adjoin(one, other, shot) for one, other in edges):
            return True
    common = [s for s in piece.sightings if _nearest(face, s, shot) is not None]
    if not common or common[0].index != piece.sightings[0].index:
        return False
    near = _nearest(face, common[0], shot)
    assert near is not None
    at_once = overlap(common[0].placement, near.placement) >= VERY_PLACE
    if likeness is not None and likeness < SURELY_OTHER and not at_once:
        return False
    if piece.sightings[0].index > face.sightings[-1].index:
        # What comes later may well be elsewhere: heads jerk. Where the one ends the other begins.
        return overlap(common[0].placement, near.placement) > SAME_PLACE
    at_one_place = sum(
        overlap(s.placement, near.placement) > SAME_PLACE
        for s in common
        if (near := _nearest(face, s, shot)) is not None
    )
    return at_one_place >= TOGETHER * len(common)


def _hole_around(face: Followed, piece: Followed) -> tuple[Sighting, Sighting] | None:
    """The sightings of `face` before and after `piece`, if it has none while there is a piece."""
    indices = [s.index for s in face.sightings]
    before, after = (
        bisect_right(indices, s.index) for s in (piece.sightings[0], piece.sightings[-1])
    )
    if before != after or not 0 < before < len(indices):
        return None
    return face.sightings[before - 1], face.sightings[before]


def _adjoin(one: Sighting, other: Sighting, shot: Shot) -> bool:
    gap = abs(_time(shot, one) - _time(shot, other))
    return gap <= GAP_S and overlap(one.placement, other.placement) > SAME_PLACE


def _nearest(face: Followed, sighting: Sighting, shot: Shot) -> Sighting | None:
    """The sighting of `face` nearest in time, if it is near enough to be compared."""
    after = bisect_right([s.index for s in face.sightings], sighting.index)
    around = face.sightings[max(0, after - 1) : after + 1]
    nearest = min(around, key=lambda s: abs(s.index - sighting.index))
    gap = abs(_time(shot, nearest) - _time(shot, sighting))
    return nearest if gap <= GAP_S else None


def _time(shot: Shot, sighting: Sighting) -> float:
    return shot.times_s[sighting.index - shot.first]


def _take(face: Followed, piece: Followed) -> None:
    """Put the piece's sightings into the face; of two in one frame the surer one stays."""
    both = {s.index: s for s in piece.sightings}
    both |= {
        s.index: s for s in face.sightings if s.index not in both or s.score >= both[s.index].score
    }
    face.sightings[:] = [both[index] for index in sorted(both)]
    face.missed = (face.missed | piece.missed) - both.keys()
    face.appearances.extend(piece.appearances)
    face.appearances.sort(key=lambda appearance: appearance.index)


def _length(face: Followed) -> float:
    assert face.mean is not None
    return max(float((face.mean @ face.mean) ** 0.5), 1e-9)
