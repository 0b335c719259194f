"""From tracks to people: which tracks are one person, and what each person is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vidref.faces.likeness import Embedding, Likeness, mean_face
from vidref.faces.paths import Presence, Track
from vidref.faces.people import Answer, Appearance, Verdict, join_tracks, name_people
from vidref.faces.photos import NamedPerson
from vidref.pipeline.looking import Seen
from vidref.pipeline.meant import believed, meant

BY_CLOTHES = "Shots were joined because the face may be the same and the clothes are: look at them."
LOOKS_APART_S, LOOKS_APART = 0.15, 1 / 16
"""A face in doubt is looked at in every frame: such looks would outvote all others. In a track of a
second or two a sixteenth of its length is enough."""


@dataclass(frozen=True)
class Somebody:
    """A person of the clip, and what is known of them before anything is decided."""

    tracks: tuple[Track, ...]
    face: Embedding | None
    name: str | None
    """None where the photos do not say, or say it without certainty."""
    unsure: bool
    confidence: float
    why: str

    @property
    def frames(self) -> int:
        return sum(len(track.frames) for track in self.tracks)


def find_people(
    seen: Seen, named: Sequence[NamedPerson], likeness: Likeness, sure: bool = False
) -> list[Somebody]:
    """Everyone in the clip, those who are on screen longest first.

    `sure`: the user knows that the people in the photos are there, so the likeliest match counts.
    """
    tracks = {track.id: track for track in seen.tracks}
    people = join_tracks([appearance_of(track, seen) for track in seen.tracks], likeness)
    faces = {person.name: person.embedding for person in named if person.photos}
    verdicts = name_people(people, faces, likeness)
    verdicts = meant(verdicts, people, faces, likeness)
    if sure:
        verdicts = believed(verdicts, people, faces, likeness)
    found = [
        _somebody(
            tuple(tracks[id] for id in person.tracks),
            person.face,
            person.confidence,
            replace(verdict, reason=f"{verdict.reason} {BY_CLOTHES}")
            if person.by_clothes
            else verdict,
        )
        for person, verdict in zip(people, verdicts, strict=True)
    ]
    return sorted(_one_each(found), key=lambda who: (-who.frames, who.tracks[0].first))


def appearance_of(track: Track, seen: Seen) -> Appearance:
    """What is known of a track's face, by looks that are some time apart."""
    moments = [f.time_s for f in track.frames if f.presence is Presence.SEEN]
    views = seen.views.get(track.id)
    apart_s = min(LOOKS_APART_S, LOOKS_APART * (moments[-1] - moments[0]))
    looks: list[tuple[float, Embedding]] = []
    for look in track.appearances:
        time_s = float(seen.times_s[look.index])
        if not looks or time_s - looks[-1][0] >= apart_s:
            looks.append((time_s, look.vector))
    return Appearance(
        track.id,
        moments[0],
        moments[-1],
        np.stack([vector for _, vector in looks]) if looks else np.zeros((0, 0), np.float32),
        np.array([views.score_at(time_s) if views else 0.0 for time_s, _ in looks], np.float32),
        track.clothes,
    )


def _somebody(
    tracks: tuple[Track, ...], face: Embedding | None, joined: float, verdict: Verdict
) -> Somebody:
    if verdict.answer is Answer.NAMED:
        confidence = min(joined, verdict.confidence)
        return Somebody(tracks, face, verdict.name, False, confidence, verdict.reason)
    unsure = verdict.answer is Answer.UNSURE
    return Somebody(tracks, face, None, unsure, joined, verdict.reason)


def _one_each(found: Sequence[Somebody]) -> list[Somebody]:
    """Those who were given one name are one person: they share their evidence."""
    result: list[Somebody] = []
    place: dict[str, int] = {}
    for who in found:
        if who.name is None or who.name not in place:
            if who.name is not None:
                place[who.name] = len(result)
            result.append(who)
            continue
        other = result[place[who.name]]
        result[place[who.name]] = replace(
            other,
            tracks=tuple(sorted((*other.tracks, *who.tracks), key=lambda t: (t.first, t.id))),
            face=_mean(other, who),
            confidence=min(other.confidence, who.confidence),
        )
    return result


def _mean(one: Somebody, other: Somebody) -> Embedding | None:
    vectors = [(who.face, who.frames) for who in (one, other) if who.face is not None]
    if not vectors:
        return None
    return mean_face(np.stack([v for v, _ in vectors]), np.array([n for _, n in vectors]))
