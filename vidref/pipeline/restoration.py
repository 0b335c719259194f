"""Model, evidence and plan together: ready to rebuild the faces of one source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidref.faces.pack import FacePack, load_pack
from vidref.media.colour import Colour
from vidref.media.frames import Frame
from vidref.model.loading import CropRestorer, load_restorer
from vidref.model.restorer import Sampling
from vidref.pipeline.cores import model_share, steadying_threads
from vidref.pipeline.drawn import drawn
from vidref.pipeline.evidence import Evidence, gather
from vidref.pipeline.identity import IdentityWatch
from vidref.pipeline.plan import Plan
from vidref.pipeline.rebuild import FaceHere, Rebuilder, Touch
from vidref.settings import Settings


@dataclass(frozen=True)
class Restoration:
    """All that the frames need; made once for a source by every process that works on it."""

    plan: Plan
    model: CropRestorer
    pack: FacePack
    evidence: Evidence
    touch: Touch
    colour: Colour | None

    @classmethod
    def prepare(
        cls,
        plan: Plan,
        source: Path,
        colour: Colour | None,
        settings: Settings,
        model: CropRestorer,
        pack: FacePack | None = None,
    ) -> Restoration:
        """`pack` is one that is warm already, as `model` is."""
        pack = pack or load_pack(settings.faces.pack, settings.threads)
        evidence = gather(plan, source, colour, model, pack)
        return cls(plan, model, pack, evidence, touch_of(settings, model, plan), colour)

    def faces_at(self, frame: Frame) -> list[FaceHere]:
        return [
            FaceHere(face.person, face.placement, face.track, face.strength, face.shown)
            for face in self.plan.faces_at(frame.pts)
            if face.restore and face.shown > 0
        ]

    def watch(self, segment_of: Callable[[int], int] = lambda pts: 0) -> IdentityWatch:
        return IdentityWatch(self.pack, self.evidence.embeddings, segment_of)

    def rebuilder(self, watch: IdentityWatch) -> Rebuilder:
        return Rebuilder(
            self.model,
            self.evidence.contexts,
            self.faces_at,
            self.touch,
            self.colour,
            watch,
            float(self.plan.source.pixel_aspect),
        )


def open_model(settings: Settings) -> CropRestorer:
    """The model that the settings name, on the device and with the threads that they leave it."""
    wanted = settings.model
    model = load_restorer(wanted.where, wanted.device, wanted.dtype)
    give_threads(model, settings)
    return model


def give_threads(model: CropRestorer, settings: Settings) -> None:
    """From now on every call of the model computes with the threads that the settings leave it."""
    import torch

    torch.set_num_threads(model_share(model.side_by_side, settings.threads).threads)


def touch_of(settings: Settings, model: CropRestorer, plan: Plan) -> Touch:
    """The settings in the model room's own words."""
    wanted = settings.model
    sampling = Sampling(
        steps=wanted.steps,
        combine=wanted.combine,
        fidelity=wanted.fidelity,
        grain=drawn(wanted.grain, plan),
        seed=wanted.seed,
    )
    calls = model_share(model.side_by_side, settings.threads).calls
    threads = steadying_threads(settings.threads)
    return Touch(sampling, wanted.strength, wanted.noise == "shared", calls, threads)
