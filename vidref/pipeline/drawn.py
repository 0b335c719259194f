"""How much of the texture that a face lacks is drawn (`model/grain.py`)."""

from __future__ import annotations

from vidref.pipeline.plan import Plan


def drawn(wanted: float | None, plan: Plan) -> float:
    """What is asked for; by itself all of it in a picture, and none in a clip.

    What lies still in the aligned face does not move as skin does, frame by frame: on a large face
    that was measured to flicker more than it pleases (tests/benchmarks/results/restored_clips.md).
    """
    if wanted is not None:
        return wanted
    return 1.0 if plan.source.frames == 1 else 0.0
