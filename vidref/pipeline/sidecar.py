"""What was done to the file, for whoever must defend it: one sentence in it, a JSON beside it.

The sentence names the tool, the model, the references and the seed; the JSON adds, for each person,
the likeness to their references before and after, and which faces were left alone and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vidref.errors import OutputError
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.identity import Facts, summary
from vidref.pipeline.plan import FrameReference, Reference
from vidref.pipeline.restoration import Restoration
from vidref.settings import Settings
from vidref.version import __version__

VERSION = 1
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
        is_ours = "vidref_sidecar" in json.loads(path.read_bytes())
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
        f"{wanted.noise} noise, seed {wanted.seed}."
    )


def sidecar(restoration: Restoration, settings: Settings, identity: Facts) -> dict[str, Any]:
    """The JSON's content."""
    plan, model = restoration.plan, restoration.model
    return {
        "vidref_sidecar": VERSION,
        "vidref": __version__,
        "source": {"name": plan.source.name, "bytes": plan.source.bytes},
        "model": {"name": model.name, "sha256": model.sha256},
        "face_pack": {"name": plan.face_pack.name, "sha256": plan.face_pack.sha256},
        "settings": settings.model.model_dump(mode="json"),
        "people": [
            {
                "id": person.id,
                "name": person.name,
                "restored": person.restore,
                "why": person.why,
                "confidence": person.confidence,
                "references": [_described(r) for r in plan.references_of(person.id)],
                "identity": summary(identity[person.id]) if person.id in identity else None,
                "looks": identity.get(person.id, []),
            }
            for person in plan.people
        ],
        "left_alone": [
            {
                "track": track.id,
                "person": track.person,
                "first_pts": track.first_pts,
                "last_pts": track.last_pts,
                "why": track.why if not track.restore else plan.person(track.person).why,
            }
            for track in plan.tracks
            if not plan.is_restored(track)
        ],
        "notes": list(plan.notes),
    }


def write_sidecar(path: Path, content: dict[str, Any]) -> None:
    unfinished = UnfinishedFile(path)
    try:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        unfinished.path.write_text(text, encoding="utf-8")
    except BaseException:
        unfinished.discard()
        raise
    unfinished.keep()


def _described(reference: Reference) -> dict[str, Any]:
    if isinstance(reference, FrameReference):
        return {"pts": reference.pts, "quality": reference.quality, "weight": reference.weight}
    return {
        "photo": reference.photo.name,
        "sha256": reference.sha256,
        "quality": reference.quality,
        "weight": reference.weight,
    }
