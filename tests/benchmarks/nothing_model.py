"""`vidref restore` with a model that computes nothing: python -m ... CLIP PLAN OUTPUT

It takes and gives crops of 512 px, as the bundled model does, so that what is left is the cost of
everything else at that size.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vidref.model.context import Reference
from vidref.model.restorer import Face, PersonContext, Sampling
from vidref.pipeline.restore import restore_clip
from vidref.settings import Settings


class Nothing:
    """Gives every crop back a little paler."""

    name, sha256 = "nothing", "0" * 64
    recogniser_sha256, mirrored_embeddings = None, False
    crop_px, batch, uses_references, side_by_side = 512, 4, False, True

    def remember(
        self, references: Sequence[Reference], weights: Sequence[float] | None = None
    ) -> PersonContext:
        return PersonContext(torch.zeros(0, 1, 1), ())

    def restore(self, faces: Sequence[Face], sampling: Sampling | None = None) -> Tensor:
        return torch.stack([face.crop for face in faces]).mul_(0.95)


def main() -> None:
    clip, plan, output = map(Path, sys.argv[1:4])
    flags = {"plan": plan, "overwrite": True, **dict(pair.split("=") for pair in sys.argv[4:])}
    restore_clip(clip, output, Settings.load(None, flags), model=Nothing())


if __name__ == "__main__":
    main()
