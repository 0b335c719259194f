"""What was done to the file, for whoever must defend it: one sentence in it, a JSON beside it.

The sentence names the tool, the model, the references and the seed; the JSON adds, for each person,
the likeness to their references before and after, and which faces were left alone and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vidref.errors import OutputError
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.account import (
    MARK,
    Account,
    LeftAlone,
    Likeness,
    Network,
    PersonAccount,
    RefusedReference,
    SourceAccount,
    TrackAccount,
    UsedReference,
    account_text,
)
from vidref.pipeline.drawn import drawn
from vidref.pipeline.identity import Facts, summary
from vidref.pipeline.plan import FrameReference, Plan, PlannedPerson, Reference
from vidref.settings import Settings
from vidref.version import __version__

if TYPE_CHECKING:
    from vidref.pipeline.restoration import Restoration

VERSION: Literal[2] = 2
SHORT = 12
"""Digits of a SHA-256 in the sentence; the JSON has all of them."""


def sidecar_path(output: Path) -> Path:
    """`NAME.EXT.json` beside the output."""
    return output.with_name(f"{output.name}.json")


def check_sidecar(output: Path, overwrite: bool) -> None:
    """Refuse to replace a file of that name which is not an earlier sidecar of ours."""
    path = sidecar_path(output)
    if overwrite or not path.exists():
        return
    try:
        is_ours = MARK in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        is_ours = False
    if not is_ours:
        raise OutputError(
            f"{path}, where the account of the run belongs, exists already and is not one; "
            "give the output another name, or --overwrite."
        )


def statement(restoration: Restoration, settings: Settings) -> str:
    """The sentence that the output's metadata carries."""
    plan, model, wanted = restoration.plan, restoration.model, settings.model
    photos = sorted(
        {
            reference.sha256[:SHORT]
            for person in plan.people
            if person.restore
            for reference in plan.references_of(person.id)
            if not isinstance(reference, FrameReference)
        }
    )
    views = sum(
        isinstance(reference, FrameReference)
        for person in plan.people
        if person.restore
        for reference in plan.references_of(person.id)
    )
    evidence = [f"{views} views from the clip itself"] if views else []
    evidence += [f"photos with SHA-256 {', '.join(photos)}"] if photos else []
    if not model.uses_references:
        evidence = []
    return (
        f"Faces in this picture were restored by vidref {__version__}: model {model.name} "
        f"({model.sha256[:SHORT]}), references: {' and '.join(evidence) or 'none'}, "
        f"steps {wanted.steps}, fidelity {wanted.fidelity:g}, strength {wanted.strength:g}, "
        f"grain {drawn(wanted.grain, plan):g}, "
        f"{wanted.noise} noise, seed {wanted.seed}."
    )


def sidecar(restoration: Restoration, settings: Settings, identity: Facts) -> Account:
    """The JSON's content."""
    plan, model = restoration.plan, restoration.model
    return Account(
        vidref_sidecar=VERSION,
        vidref=__version__,
        source=_source(plan, settings),
        model=Network(model.name, model.sha256),
        face_pack=Network(plan.face_pack.name, plan.face_pack.sha256),
        settings=settings.model.model_dump(mode="json")
        | {"grain": drawn(settings.model.grain, plan)},
        people=tuple(_person(plan, person, identity.get(person.id, [])) for person in plan.people),
        tracks=tuple(
            TrackAccount(track.id, track.person, plan.is_restored(track), track.why, track.path)
            for track in plan.tracks
        ),
        shots=plan.shots,
        left_alone=tuple(
            LeftAlone(
                track.id,
                track.person,
                stretch.first_pts,
                stretch.last_pts,
                stretch.why,
                stretch.frames,
            )
            for track, stretch in plan.left_alone()
        ),
        notes=plan.notes,
    )


def write_sidecar(path: Path, account: Account) -> None:
    unfinished = UnfinishedFile(path)
    try:
        unfinished.path.write_text(account_text(account), encoding="utf-8")
    except BaseException:
        unfinished.discard()
        raise
    unfinished.keep()


def _source(plan: Plan, settings: Settings) -> SourceAccount:
    was = plan.source
    return SourceAccount(
        was.name, was.bytes, was.fingerprint, was.width, was.height, str(was.pixel_aspect),
        str(was.time_base), was.frames, was.first_pts, was.last_pts,
        str(settings.span.bounds[0]),
    )  # fmt: skip


def _person(plan: Plan, person: PlannedPerson, looks: list[list[float]]) -> PersonAccount:
    return PersonAccount(
        id=person.id,
        name=person.name,
        restored=person.restore,
        why=person.why,
        confidence=person.confidence,
        references=tuple(_used(reference) for reference in plan.references_of(person.id)),
        set_aside=tuple(
            RefusedReference(
                item.reason, item.pts, item.photo.name if item.photo else None, item.quality
            )
            for item in person.set_aside
        ),
        identity=_likeness(looks),
        looks=tuple((time_s, before, after) for time_s, before, after in looks),
    )


def _likeness(looks: list[list[float]]) -> Likeness | None:
    if not looks:
        return None
    means = summary(looks)
    return Likeness(int(means["looks"]), means["before"], means["after"])


def _used(reference: Reference) -> UsedReference:
    told = (reference.quality, reference.weight, reference.face)
    if isinstance(reference, FrameReference):
        return UsedReference(*told, pts=reference.pts)
    return UsedReference(*told, photo=reference.photo.name, sha256=reference.sha256)
