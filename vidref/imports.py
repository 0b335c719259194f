"""Large libraries of which we use a corner: what else they import waits until it is touched.

diffusers' U-Net imports all of its transformers, insightface's recogniser all of scipy: seconds
before every run, for classes that it never makes. Within `only_promised` such a module is found and
named, but its code runs when somebody first asks it for something, in this process or never.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


@contextmanager
def only_promised(*names: str) -> Iterator[None]:
    """Imports of `names` are put off; what has been imported before stays as it is."""
    finder = _Finder(frozenset(names))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the promised modules as the others do, and has their code wait."""

    def __init__(self, promised: frozenset[str]) -> None:
        self._promised = promised
        self._thread = threading.get_ident()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # What other threads import meanwhile is their own affair.
        if name not in self._promised or threading.get_ident() != self._thread:
            return None
        for finder in sys.meta_path:
            if not isinstance(finder, _Finder) and (found := finder.find_spec(name, path, target)):
                if found.loader is not None:
                    found.loader = _Later(found.loader)
                return found
        return None


class _Later(importlib.abc.Loader):
    """Runs a module's code at the first question that the module cannot answer yet."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._turn = threading.RLock()
        self._running = self._done = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._loader.create_module(spec)
        return made

    def exec_module(self, module: ModuleType) -> None:
        def answer(name: str) -> Any:
            # The import system, and those who look through all modules, ask for such names.
            if name.startswith("__") and name != "__all__":
                raise AttributeError(name)
            self._run(module)
            if name not in vars(module):
                own = vars(module).get("__getattr__")
                if own is None or own is answer:
                    raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
                return own(name)
            return vars(module)[name]

        vars(module)["__getattr__"] = answer

    def _run(self, module: ModuleType) -> None:
        with self._turn:
            if self._running or self._done:
                return
            self._running = True
            spec = module.__spec__
            assert spec is not None
            spec.loader = module.__loader__ = self._loader
            promise = vars(module)["__getattr__"]
            try:
                self._loader.exec_module(module)
                self._done = True
            finally:
                self._running = False
            if vars(module).get("__getattr__") is promise:
                del vars(module)["__getattr__"]
