"""vidref restores faces in video as the person really looked.

The whole public API is on this screen; everything heavy is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vidref.errors import VidrefError
from vidref.version import __version__

if TYPE_CHECKING:
    from vidref.api import analyse, compare, load_people, restore, restore_frames
    from vidref.pipeline.plan import Plan
    from vidref.pipeline.progress import Progress
    from vidref.pipeline.result import RestoreResult
    from vidref.settings import Settings

__all__ = [
    "Plan",
    "Progress",
    "RestoreResult",
    "Settings",
    "VidrefError",
    "__version__",
    "analyse",
    "compare",
    "load_people",
    "restore",
    "restore_frames",
]

_HOMES = {
    "Plan": "vidref.pipeline.plan",
    "Progress": "vidref.pipeline.progress",
    "RestoreResult": "vidref.pipeline.result",
    "Settings": "vidref.settings",
    "analyse": "vidref.api",
    "compare": "vidref.api",
    "load_people": "vidref.api",
    "restore": "vidref.api",
    "restore_frames": "vidref.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidref' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
