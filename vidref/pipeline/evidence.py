"""From the plan's references to what the model is told of each person.

A view from the clip itself is read again at full resolution; a photo is the user's own file,
refused if it is no longer the one that was chosen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidref import weights
from vidref.errors import InputError
from vidref.faces.geometry import take_crop
from vidref.faces.pack import FacePack
from vidref.faces.pictures import read_picture
from vidref.media.access import FrameAccess
from vidref.media.colour import Colour
from vidref.media.stills import find_stills, is_stills, read_stills
from vidref.model.loading import CropRestorer
from vidref.model.portraits import Portraits
from vidref.model.restorer import PersonContext
from vidref.pipeline.identity import mean_embedding
from vidref.pipeline.plan import FrameReference, PhotoReference, Plan, Reference
from vidref.pipeline.rebuild import as_tensor
from vidref.pipeline.square_view import look


@dataclass(frozen=True)
class Evidence:
    """What is known of each person: for the model, and for whoever compares before and after."""

    contexts: dict[str, PersonContext]
    embeddings: dict[str, NDArray[np.float32]]


def gather(
    plan: Plan, source: Path, colour: Colour | None, model: CropRestorer, pack: FacePack
) -> Evidence:
    """Everyone's evidence; a person without references has a context that says so."""
    crops = dict(_crops(plan, source, colour, model.crop_px))
    portraits = _portraits(model, pack)
    contexts: dict[str, PersonContext] = {}
    embeddings: dict[str, NDArray[np.float32]] = {}
    for person in plan.people:
        references = [r for r in plan.references_of(person.id) if r.weight > 0 and r in crops]
        pictures = [crops[reference] for reference in references]
        known = mean_embedding(pack, pictures)
        if known is not None:
            embeddings[person.id] = known
        contexts[person.id] = model.remember(
            [portraits.reference(as_tensor(picture)[None]) for picture in pictures],
            [reference.weight for reference in references],
        )
    return Evidence(contexts, embeddings)


def _portraits(model: CropRestorer, pack: FacePack) -> Portraits:
    if not model.uses_references:
        return Portraits(None)
    at_hand = [*sorted(weights.FACE_PACK.glob("*.onnx")), *sorted(pack.folder.glob("*.onnx"))]
    return Portraits.for_model(
        model.name, model.recogniser_sha256, model.mirrored_embeddings, at_hand
    )


def _crops(
    plan: Plan, source: Path, colour: Colour | None, crop_px: int
) -> Iterator[tuple[Reference, NDArray[Any]]]:
    """Every reference of the plan with its aligned square."""
    wanted = dict.fromkeys(r for person in plan.people for r in plan.references_of(person.id))
    photos = [reference for reference in wanted if isinstance(reference, PhotoReference)]
    views = [reference for reference in wanted if isinstance(reference, FrameReference)]
    for photo in photos:
        picture = read_picture(photo.photo)
        if picture.sha256 != photo.sha256:
            raise InputError(
                f"{photo.photo} is not the photo that was chosen (its SHA-256 differs): "
                "analyse the clip again."
            )
        yield photo, take_crop(picture.rgb, photo.placement, crop_px)
    views.sort(key=lambda view: view.pts)
    for view, image in zip(views, _images(plan, source, views), strict=True):
        region = look(image, colour, view.placement, float(plan.source.pixel_aspect))
        if region is not None:
            yield view, take_crop(region.rgb, region.placement, crop_px)


def _images(plan: Plan, source: Path, views: list[FrameReference]) -> Iterator[Any]:
    """The pictures of some views, in their order."""
    if not views:
        return
    if is_stills(source):
        paths = find_stills(source)
        for still in read_stills([paths[view.pts] for view in views]):
            yield still.image
        return
    with FrameAccess(
        source, deinterlace=plan.source.deinterlaced, is_clean=plan.source.is_clean
    ) as access:
        for view in views:
            yield access.frame_at(view.pts).image
