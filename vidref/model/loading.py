"""The one way to a model: whatever turns crops into restored crops meets `CropRestorer`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from vidref.errors import SettingsError
from vidref.model.context import Reference
from vidref.model.foreign import load_foreign
from vidref.model.found import is_foreign
from vidref.model.restorer import Face, PersonContext, Restorer, Sampling

DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class CropRestorer(Protocol):
    """Degraded aligned crops in, restored crops out; knows nothing of video."""

    name: str
    sha256: str
    recogniser_sha256: str | None
    """The recogniser that its references' embeddings must come from, where it minds."""
    mirrored_embeddings: bool
    """Whether those are means of a face and its mirror image."""
    crop_px: int
    batch: int
    """Faces in one call of the network; calls of other sizes are padded to it."""
    uses_references: bool
    side_by_side: bool
    """Whether it is so small that several calls at a time, each on one core, are the best use of a
    processor."""

    def remember(
        self, references: Sequence[Reference], weights: Sequence[float] | None = None
    ) -> PersonContext:
        """What the model keeps of a person: asked for once."""

    def restore(self, faces: Sequence[Face], sampling: Sampling | None = None) -> Tensor:
        """(B, 3, S, S) in [-1, 1] on the CPU, in the order given."""


def load_restorer(where: str, device: str = "auto", dtype: str = "auto") -> CropRestorer:
    """`bundled`, a bundle's folder, a hub id, or a file of another face model's weights."""
    target = choose_device(device)
    if is_foreign(where):
        return load_foreign(Path(where), target)
    restorer = Restorer.load(where, target)
    if dtype != "auto":
        restorer.autocast = DTYPES[dtype]
    return restorer


def choose_device(name: str) -> str:
    """`auto` takes a GPU where there is one."""
    mps = getattr(torch.backends, "mps", None)
    found = {"cuda": torch.cuda.is_available(), "mps": bool(mps and mps.is_available())}
    if name == "auto":
        return next((kind for kind, there in found.items() if there), "cpu")
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise SettingsError(f"{name!r} is no device; write cpu, cuda, cuda:1 or mps.") from error
    if kind != "cpu" and not found.get(kind, False):
        raise SettingsError(
            f"This machine has no usable {name} device: leave --device out, or write cpu; "
            "`vidref doctor` shows what is here."
        )
    return name
