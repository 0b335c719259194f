"""`vidref evaluate`: the measurements that the model cards and the README quote."""

from __future__ import annotations

import click

from vidref.cli.lazy import lazy_group

COMMANDS = {
    "face-pack": ("vidref.cli.evaluate_face_pack:face_pack", "Measure a face pack."),
    "folds": ("vidref.cli.evaluate_folds:folds", "Measure detectors trained without a fold."),
    "faces": ("vidref.cli.evaluate_faces:faces", "Measure restored faces."),
    "clip": ("vidref.cli.evaluate_clip:clip", "Measure a restored clip."),
    "ablate": ("vidref.cli.evaluate_ablate:ablate", "Compare every variant of the method."),
}


@click.group(cls=lazy_group(COMMANDS))
def evaluate() -> None:
    """Measure face packs, restored faces and restored clips."""
