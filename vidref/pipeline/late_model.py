"""The model of a run: known by name from the beginning, loaded when the first face needs it.

Loading it takes seconds, most of them for torch and diffusers; a clip without a face to restore
never pays them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from vidref.model.found import describe_bundle, is_foreign
from vidref.settings import Settings

if TYPE_CHECKING:
    from vidref.model.loading import CropRestorer

NEEDS_NO_TORCH = ("auto", "cpu")


class KnownModel(Protocol):
    """What determines the output of a model, beside its settings."""

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str: ...

    @property
    def batch(self) -> int: ...


class LateModel:
    """The settings' model; what can be wrong with it is said at once, before long work."""

    def __init__(self, settings: Settings, warm: CropRestorer | None = None) -> None:
        """`warm` is one that is loaded already."""
        self._settings, self._model = settings, warm
        wanted = settings.model
        if warm is None and (is_foreign(wanted.where) or wanted.device not in NEEDS_NO_TORCH):
            self.get()
        self.known: KnownModel = self._model or describe_bundle(wanted.where)

    def get(self) -> CropRestorer:
        if self._model is None:
            from vidref.pipeline.restoration import open_model

            self._model = open_model(self._settings)
        return self._model
