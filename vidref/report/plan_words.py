"""A plan told in a few lines: who is in the clip, how long, what is known, what is left alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidref.pipeline.plan import PhotoReference, Plan, PlannedPerson, PlannedTrack

MOST_SHOWN = 12


def summary(plan: Plan) -> str:
    """The lines that `vidref analyse` prints."""
    source = plan.source
    seconds = float((source.last_pts - source.first_pts) * source.time_base)
    shots, people = len(plan.shots), len(plan.people)
    lines = [
        f"{source.name}: {_count(source.frames, 'frame')}, {clock(seconds)}, "
        f"{_count(shots, 'shot')}, {_count(people, 'person', 'people')}"
    ]
    width = max([len(person.name) for person in plan.people[:MOST_SHOWN]], default=0)
    for person in plan.people[:MOST_SHOWN]:
        lines.append(f"  {person.name:{width}}  {_line(plan, person)}")
    if people > MOST_SHOWN:
        lines.append(f"  and {people - MOST_SHOWN} more")
    alone = [(not plan.is_restored(track), gap.why) for track, gap in plan.left_alone()]
    for (whole, why), count in Counter((whole, _kind(why)) for whole, why in alone).most_common():
        what = (
            _count(count, "face") if whole else f"{_count(count, 'stretch', 'stretches')} of faces"
        )
        lines.append(f"  left alone: {what}. {why}")
    return "\n".join(lines)


def facts_of(plan: Plan, source: Path, output: Path, sheets: Sequence[Path]) -> dict[str, Any]:
    """The same for a program."""
    return {
        "source": str(source),
        "plan": str(output),
        "frames": plan.source.frames,
        "shots": len(plan.shots),
        "people": [
            {
                "id": person.id,
                "name": person.name,
                "named_by": person.named_by,
                "confidence": person.confidence,
                "unsure": person.unsure,
                "seconds": round(seconds_of(plan, person), 3),
                "restored_tracks": sum(plan.is_restored(t) for t in plan.tracks_of(person.id)),
                "tracks": sum(1 for _ in plan.tracks_of(person.id)),
                "references": len(person.references),
            }
            for person in plan.people
        ],
        "sheets": [str(path) for path in sheets],
        "warnings": list(plan.notes),
    }


def seconds_of(plan: Plan, person: PlannedPerson) -> float:
    """How long somebody is on screen."""
    return sum(_length(plan, track) for track in plan.tracks_of(person.id))


def clock(seconds: float) -> str:
    """1:02:03, 2:03 or 3.4 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def known_of(person: PlannedPerson) -> str:
    """What the model will see of somebody, in words."""
    photos = sum(isinstance(reference, PhotoReference) for reference in person.references)
    own = len(person.references) - photos
    parts = [_count(photos, "photo")] if photos else []
    parts += [_count(own, "view of the clip", "views of the clip")] if own else []
    return f"from {' and '.join(parts)}" if parts else "without references"


def _line(plan: Plan, person: PlannedPerson) -> str:
    tracks = list(plan.tracks_of(person.id))
    restored = sum(plan.is_restored(track) for track in tracks)
    done = "restored" if restored == len(tracks) else f"restored in {restored} of {len(tracks)}"
    if not restored:
        done = "left alone"
    doubt = " (unsure who)" if person.unsure else ""
    return f"{clock(seconds_of(plan, person))} on screen, {done}, {known_of(person)}{doubt}"


def _length(plan: Plan, track: PlannedTrack) -> float:
    source = plan.source
    usual = (source.last_pts - source.first_pts) / max(1, source.frames - 1)
    return float((track.last_pts - track.first_pts + usual) * source.time_base)


def _kind(why: str) -> str:
    """The reason without the figures that differ from face to face."""
    return why.split(" (")[0].rstrip(".") + "."


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
