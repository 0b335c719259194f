"""What a run did, for its caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidref.pipeline.plan import Plan


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
    report: Path | None = None
    plan: Plan | None = None
    """What was decided of the faces, where they were looked for."""
