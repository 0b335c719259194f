"""What a run did, for its caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class RestoreResult:
    """What a run did; `warnings` are sentences the user should read."""

    source: Path
    output: Path
    frames: int
    seconds: float
    encoder: str
    warnings: tuple[str, ...] = field(default=())
    faces: int = 0
    """Faces rebuilt, over all frames."""
    sidecar: Path | None = None
