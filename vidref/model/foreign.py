"""Face models that people have already (GFPGAN, RestoreFormer, CodeFormer and others), by spandrel.

They look at one crop and know no references; what they gain here is our tracking, blending, streams
and resume. spandrel says what a file is and reads it with a restricted unpickler.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from vidref.errors import MissingDependencyError, ModelError
from vidref.model.context import Reference
from vidref.model.fidelity import believe_input
from vidref.model.restorer import Face, PersonContext, Sampling

CROP_PX = 512

FACE_CALLS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    # fresh noise in every call would make the same face differ from frame to frame
    "GFPGAN": lambda model, x: model(x, return_rgb=False, randomize_noise=False)[0],
    "RestoreFormer": lambda model, x: model(x)[0],
    "CodeFormer": lambda model, x: model(x)[0],
}
"""Architectures whose networks take and give [-1, 1]; spandrel's own call of GFPGAN does not
bring its pictures into that range."""


class ForeignRestorer:
    """One of those models behind the interface of our own; one crop a call."""

    batch = 1
    max_references = 0
    uses_references = side_by_side = False

    def __init__(self, descriptor: Any, path: Path, device: torch.device) -> None:
        self.name = f"{descriptor.architecture.name} ({path.name})"
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.recogniser_sha256: str | None = None
        self.mirrored_embeddings = False
        self.crop_px = CROP_PX
        self.device = device
        self._descriptor = descriptor.eval()
        self._call = FACE_CALLS.get(descriptor.architecture.id)

    def remember(
        self, references: Sequence[Reference], weights: Sequence[float] | None = None
    ) -> PersonContext:
        """Nothing: these models know no person."""
        return PersonContext(torch.zeros(0, 1, 1), ())

    @torch.inference_mode()
    def restore(self, faces: Sequence[Face], sampling: Sampling | None = None) -> Tensor:
        """Restored crops (B, 3, S, S) in [-1, 1] on the CPU; of the sampling, fidelity counts."""
        fidelity = (sampling or Sampling()).fidelity
        done = [self._restore_one(face.crop[None].float(), fidelity) for face in faces]
        return torch.cat(done) if done else torch.zeros(0, 3, CROP_PX, CROP_PX)

    def _restore_one(self, crop: Tensor, fidelity: float) -> Tensor:
        given = crop.to(self.device)
        if self._call is not None:
            found = self._call(self._descriptor.model, given).clamp(-1, 1)
        else:
            found = self._descriptor((given + 1) / 2) * 2 - 1
        if found.shape[-2:] != given.shape[-2:]:  # a model that enlarges
            found = functional.interpolate(found, given.shape[-2:], mode="area")
        return believe_input(found.float(), given, fidelity).cpu()


def load_foreign(path: Path, device: str | torch.device = "cpu") -> ForeignRestorer:
    """A file of weights in any format that spandrel knows."""
    if not path.is_file():
        raise ModelError(f"There is no file {path}: check the path that --model gives.")
    spandrel = _spandrel()
    device = torch.device(device)
    damaged = (
        RuntimeError,
        ValueError,
        KeyError,
        OSError,
        EOFError,
        AssertionError,
        UnpicklingError,
    )
    try:
        descriptor = spandrel.ModelLoader(device).load_from_file(path)
    except spandrel.UnsupportedModelError as error:
        raise ModelError(
            f"{path.name} is of no architecture that spandrel knows: give GFPGAN, RestoreFormer "
            "or another restoring model (CodeFormer needs: pip install spandrel_extra_arches)."
        ) from error
    except damaged as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(
            f"{path.name} cannot be read as a model ({reason}): it is damaged, or holds more than "
            "weights; get it anew."
        ) from error
    if not isinstance(descriptor, spandrel.ImageModelDescriptor) or (
        descriptor.input_channels,
        descriptor.output_channels,
    ) != (3, 3):
        raise ModelError(
            f"{path.name} ({descriptor.architecture.name}) does not make a colour picture of a "
            "colour picture: --model needs a face or image restoring model."
        )
    return ForeignRestorer(descriptor, path, device)


def _spandrel() -> Any:
    try:
        import spandrel
    except (ImportError, RuntimeError) as error:  # a torchvision that does not fit torch raises so
        raise MissingDependencyError(
            f"Models of others are loaded by spandrel, which is not usable here ({error}): "
            "pip install 'vidref[models]'."
        ) from error
    try:
        import spandrel_extra_arches
    except ImportError:
        return spandrel
    spandrel_extra_arches.install(ignore_duplicates=True)
    return spandrel
