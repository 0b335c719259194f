"""What one clip shows of a person, lent to the others: `--share-people`.

Only people whom the photos name borrow, and of those only whose own face says so too lend: the
user's flag says that a name means the same person in every clip, and one wrong name must not hand a
stranger's views to all of them. A view is kept as a photo cut from its frame, and joins another
clip's plan as one; it must be nearly as good as the best that the clip has itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vidref.faces.references import NEAR_BEST, WANTED
from vidref.media.access import FrameAccess
from vidref.media.colour import Colour
from vidref.pipeline.plan import FrameReference, PhotoReference, Plan, PlannedPerson, square_of
from vidref.pipeline.square_view import look

BY_PHOTOS = "photos"
SURE = 0.5
"""Confidence from which the face itself, and not only who else is in the clip, gave the name."""


@dataclass(frozen=True)
class Lent:
    """A person's own view, stored as a photo."""

    person: str
    photo: str
    sha256: str
    face: tuple[float, float, float, float]
    quality: float
    weight: float


def keep_own_views(
    plan: Plan, source: Path, colour: Colour | None, clip: int, people: Path
) -> None:
    """Store what `clip` can lend in the folder `people`."""
    people.mkdir(parents=True, exist_ok=True)
    views = list(_cut_out(plan, source, colour, clip, people))
    listed = people / f"{clip}.json"
    part = listed.with_suffix(".part")
    part.write_text(json.dumps([asdict(view) for view in views]), encoding="utf-8")
    part.replace(listed)


def with_lent_views(plan: Plan, clip: int, people: Path) -> Plan:
    """The plan with the best that other clips show of its people."""
    lent = [
        Lent(**{**view, "face": tuple(view["face"])})
        for file in sorted(people.glob("*.json"), key=lambda file: int(file.stem))
        if int(file.stem) != clip
        for view in json.loads(file.read_text(encoding="utf-8"))
    ]
    return replace(
        plan,
        people=tuple(
            _with(person, [v for v in lent if v.person == person.name])
            if _is_named(person)
            else person
            for person in plan.people
        ),
    )


def _with(person: PlannedPerson, lent: list[Lent]) -> PlannedPerson:
    best = max((reference.quality for reference in person.references), default=0.0)
    good = [view for view in lent if view.quality >= NEAR_BEST * best]
    good.sort(key=lambda view: (-view.quality, view.photo))
    borrowed = [
        PhotoReference(Path(v.photo), v.sha256, v.face, v.quality, v.weight) for v in good[:WANTED]
    ]
    references = sorted((*person.references, *borrowed), key=lambda r: -r.weight)
    return replace(person, references=tuple(references))


def _cut_out(
    plan: Plan, source: Path, colour: Colour | None, clip: int, people: Path
) -> Iterator[Lent]:
    import cv2

    wanted = [
        (person, view)
        for person in plan.people
        if _is_named(person) and person.confidence >= SURE
        for view in person.references
        if isinstance(view, FrameReference) and view.weight > 0
    ]
    if not wanted:
        return
    wanted.sort(key=lambda pair: pair[1].pts)
    aspect = float(plan.source.pixel_aspect)
    clean = plan.source.is_clean
    with FrameAccess(source, deinterlace=plan.source.deinterlaced, is_clean=clean) as access:
        for person, view in wanted:
            region = look(access.frame_at(view.pts).image, colour, view.placement, aspect)
            if region is None:
                continue
            rgb = region.rgb if region.rgb.dtype == "uint8" else (region.rgb >> 8).astype("uint8")
            data = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
            path = people.resolve() / f"{clip}-{person.id}-{view.pts}.png"
            path.write_bytes(data)
            face = square_of(region.placement)
            digest = hashlib.sha256(data).hexdigest()
            yield Lent(person.name, str(path), digest, face, view.quality, view.weight)


def _is_named(person: PlannedPerson) -> bool:
    return person.named_by == BY_PHOTOS and not person.unsure
