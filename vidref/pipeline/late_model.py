"""The model of a run: known by name from the beginning, loaded when there is a face.

Loading it takes seconds, most of them for torch and diffusers. A clip without a face never pays
them, and with the first face it begins beside the search for the others.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
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

    @property
    def side_by_side(self) -> bool: ...


class LateModel:
    """The settings' model; what can be wrong with it is said at once, before long work."""

    def __init__(self, settings: Settings, warm: CropRestorer | None = None) -> None:
        """`warm` is one that is loaded already."""
        self._settings = settings
        self._loading: Future[CropRestorer] | None = None
        if warm is not None:
            self._loading = Future()
            self._loading.set_result(warm)
        self.known: KnownModel
        wanted = settings.model
        if warm is None and not is_foreign(wanted.where) and wanted.device in NEEDS_NO_TORCH:
            self.known = describe_bundle(wanted.where)
        else:
            self.known = self.get()

    def begin(self) -> None:
        """Load it in a thread of its own, unless that was begun before."""
        if self._loading is None:
            with_one = ThreadPoolExecutor(1, "vidref-model")
            self._loading = with_one.submit(_load, self._settings)
            with_one.shutdown(wait=False)

    def get(self) -> CropRestorer:
        """The model; what went wrong with it is raised here."""
        self.begin()
        assert self._loading is not None
        return self._loading.result()


def _load(settings: Settings) -> CropRestorer:
    from vidref.pipeline.restoration import open_model

    return open_model(settings)
