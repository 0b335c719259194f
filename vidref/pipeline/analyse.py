"""Pass 1: a clip, a photo or a folder of frames is read once, and the plan for pass 2 comes out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from vidref.errors import InputError, SettingsError
from vidref.faces.likeness import likeness_for
from vidref.faces.pack import FacePack, load_pack
from vidref.faces.paths import Track, TrackFrame
from vidref.faces.photos import NamedPerson, load_people
from vidref.model.found import is_foreign
from vidref.pipeline import plan
from vidref.pipeline.choosing import Evidence, choose_evidence
from vidref.pipeline.closer import with_faces, with_more_views
from vidref.pipeline.footage import footage_of
from vidref.pipeline.looking import Seen, look_at
from vidref.pipeline.memory import one_heap
from vidref.pipeline.naming import Somebody, find_people
from vidref.pipeline.need import EVERYTHING, measured_need
from vidref.pipeline.progress import OnProgress, ignore_progress
from vidref.pipeline.selection import (
    Decision,
    Wish,
    decide,
    from_the_side,
    left_alone,
    with_stretches,
)
from vidref.pipeline.trajectory import Knot, sparse
from vidref.pipeline.upright import as_stored
from vidref.settings import Settings
from vidref.version import __version__

PIPE = Path("-")


def analyse_clip(
    source: Path,
    settings: Settings,
    on_progress: OnProgress = ignore_progress,
    pack: FacePack | None = None,
    on_face: Callable[[], None] = lambda: None,
) -> plan.Plan:
    """Find everyone in `source`, gather evidence for each, decide which faces to restore.

    `pack` is one that is warm already; `on_face` is called as soon as there is a face.
    """
    if source == PIPE:
        raise InputError(
            "Standard input can be read only once, and the best views of a face are read again: "
            "save it as a file first."
        )
    wanted = settings.faces
    one_heap()
    pack = pack or load_pack(wanted.pack, settings.threads)
    named = load_people(wanted.references, pack) if wanted.references is not None else []
    _check_names(wanted.people, named)
    likeness = likeness_for(pack)
    footage = footage_of(source, settings)
    seen = look_at(footage, pack, wanted.detect_every, on_progress, on_face)
    seen = with_more_views(with_faces(seen, footage, pack), footage, pack, likeness)
    people = find_people(seen, named, likeness, wanted.sure)
    wish = Wish(wanted.people, wanted.min_face, wanted.max_faces)
    need = EVERYTHING if is_foreign(settings.model.where) else measured_need()
    decisions = decide(people, seen.views, wish, need)
    evidence = choose_evidence(people, named, seen, footage, pack, likeness)
    return plan.Plan(
        source=footage.described(int(seen.pts[0]), int(seen.pts[-1]), len(seen.pts)),
        made_by=f"vidref {__version__}",
        face_pack=plan.PlannedPack(pack.name, _digest(pack.folder)),
        settings=_told(settings),
        shots=seen.shots,
        people=tuple(_people(people, evidence)),
        tracks=tuple(_tracks(people, decisions, seen)),
        notes=(*_notes(pack, named, people, seen, wanted.sure), *footage.notes()),
    )


def _check_names(wanted: Sequence[str], named: Sequence[NamedPerson]) -> None:
    known = [person.name for person in named]
    for name in wanted:
        if not known:
            raise SettingsError(
                f"Nobody is called {name} yet: give photos of the people with --refs."
            )
        if name not in known:
            raise SettingsError(
                f"There is no {name} among the references; there are: {', '.join(known)}."
            )


def _people(
    people: Sequence[Somebody], evidence: Sequence[Evidence]
) -> Iterator[plan.PlannedPerson]:
    for number, (who, known) in enumerate(zip(people, evidence, strict=True), start=1):
        yield plan.PlannedPerson(
            id=f"p{number}",
            name=who.name or f"person {number}",
            restore=True,
            named_by="photos" if who.name else "nobody",
            confidence=round(who.confidence, 3),
            unsure=who.unsure,
            why=who.why,
            references=known.references,
            set_aside=known.set_aside,
        )


def _tracks(
    people: Sequence[Somebody], decisions: dict[int, Decision], seen: Seen
) -> Iterator[plan.PlannedTrack]:
    """Every track, in as many pieces as it has between long absences, in the order of time."""
    pieces = [
        (piece, track, f"p{number}")
        for number, who in enumerate(people, start=1)
        for track in who.tracks
        for piece in _unbroken(track)
    ]
    pieces.sort(key=lambda item: (item[0][0].index, item[1].id))
    for number, (piece, track, person) in enumerate(pieces, start=1):
        decision = with_stretches(decisions[track.id], piece)
        views = seen.views.get(track.id)
        yield plan.PlannedTrack(
            id=number,
            person=person,
            shot=track.shot,
            restore=decision.restore,
            strength=decision.strength,
            why=decision.why,
            quality=round(float(np.median(views.scores)), 3) if views and views.scores else 0.0,
            path=_path(piece, seen),
            left_alone=tuple(
                plan.LeftAlone(
                    int(seen.pts[stretch[0].index]),
                    int(seen.pts[stretch[-1].index]),
                    len(stretch),
                    from_the_side(stretch),
                )
                for stretch in (left_alone(piece) if decision.restore else [])
            ),
        )


def _unbroken(track: Track) -> Iterator[list[TrackFrame]]:
    """Runs of frames without a hole."""
    numbered = enumerate(track.frames)
    for _, run in groupby(numbered, key=lambda item: item[1].index - item[0]):
        yield [frame for _, frame in run]


def _path(frames: Sequence[TrackFrame], seen: Seen) -> tuple[Knot, ...]:
    pts = [int(seen.pts[frame.index]) for frame in frames]
    placements = [
        as_stored(f.placement, int(seen.turns[f.index]), *(int(s) for s in seen.sizes[f.index]))
        for f in frames
    ]
    return sparse(pts, placements).knots


def _digest(folder: Path) -> str:
    """One hash of all the networks of a pack."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.onnx")):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _told(settings: Settings) -> plan.AnalysisSettings:
    faces, span = settings.faces, settings.span
    start, end = span.bounds
    return plan.AnalysisSettings(
        people=faces.people,
        min_face_px=faces.min_face,
        references=None if faces.references is None else str(faces.references),
        max_faces=faces.max_faces,
        detect_every=faces.detect_every,
        start=str(start) if start else None,
        end=None if end is None else str(end),
    )


def _notes(
    pack: FacePack,
    named: Sequence[NamedPerson],
    people: Sequence[Somebody],
    seen: Seen,
    sure: bool,
) -> Iterator[str]:
    if pack.licence_note:
        yield pack.licence_note
    present = {who.name for who in people}
    for person in named:
        if not person.photos:
            reasons = " ".join(dict.fromkeys(item.reason for item in person.set_aside))
            yield f"None of the photos of {person.name} can be used. {reasons}".strip()
        elif person.name not in present:
            yield _missing(person.name, bool(seen.tracks) and not sure)
        elif person.set_aside:
            aside = len(person.set_aside)
            count = "1 photo" if aside == 1 else f"{aside} photos"
            yield f"Set aside of {person.name}: {count} (see the plan)."
    yield from (who.why for who in people if who.name and who.confidence < 0.5)
    if not seen.tracks:
        yield "No face was found."


def _missing(name: str, may_be_there: bool) -> str:
    if not may_be_there:
        return f"{name} was not found in the clip."
    return (
        f"Nobody in the clip is surely {name}, so the photos of {name} are not used; "
        f"if {name} is in it, say so with --sure."
    )
