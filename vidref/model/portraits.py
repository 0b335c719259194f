"""Reference crops become `Reference`s, embedded by the very recogniser a restorer was trained with.

Embeddings of another recogniser mean something else, so a stranger to the model is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from vidref.errors import ModelError
from vidref.model.context import Reference
from vidref.model.recogniser import Recogniser


class Portraits:
    """Makes references for one restorer."""

    def __init__(self, recogniser: Recogniser | None, mirrored: bool = True) -> None:
        self._recogniser = recogniser
        self._mirrored = mirrored

    @classmethod
    def for_model(
        cls, name: str, sha256: str | None, mirrored: bool, recognisers: Iterable[Path]
    ) -> Portraits:
        """`sha256` is the recogniser that the model names; `recognisers` are those at hand."""
        if sha256 is None:
            return cls(None)
        for path in recognisers:
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                return cls(Recogniser(path), mirrored)
        raise ModelError(
            f"The model {name} was trained with another recogniser (SHA-256 {sha256[:12]}...) than "
            "this installation carries: use the model that came with it, or reinstall vidref."
        )

    @torch.inference_mode()
    def reference(self, image: Tensor) -> Reference:
        """`image` (1, 3, S, S) in [-1, 1]."""
        if self._recogniser is None:
            return Reference(image)
        return Reference(image, self._recogniser.embed(image, mirrored=self._mirrored))
