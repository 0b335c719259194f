"""vidref restores faces in video as the person really looked.

The whole public API is on this screen; everything heavy is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vidref.errors import VidrefError

if TYPE_CHECKING:
    from vidref.api import restore
    from vidref.pipeline.progress import Progress
    from vidref.pipeline.restore import RestoreResult
    from vidref.settings import Settings

__all__ = ["Progress", "RestoreResult", "Settings", "VidrefError", "restore"]
__version__ = "0.1.0"

_HOMES = {
    "Progress": "vidref.pipeline.progress",
    "RestoreResult": "vidref.pipeline.restore",
    "Settings": "vidref.settings",
    "restore": "vidref.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vidref' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
