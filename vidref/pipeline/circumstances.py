"""Everything that determines the output, in words: what must be equal for a job to go on.

A job that goes on under other circumstances would have a seam in it where they changed.
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av

from vidref.faces.photos import find_people
from vidref.pipeline.cores import model_share
from vidref.pipeline.late_model import KnownModel
from vidref.pipeline.same_source import fingerprint
from vidref.pipeline.target import Target
from vidref.settings import Settings
from vidref.version import __version__

NOT_SEEN = {
    *("output.overwrite", "job.restart", "queue_frames", "model.batch", "model.where"),
    *(f"evidence.{name}" for name in ("report", "uncertainty", "c2pa", "certificate", "key")),
}
"""Settings that change nothing in the output; the model is known by its hash."""


def circumstances(
    source: Path, target: Target, settings: Settings, model: KnownModel
) -> dict[str, str]:
    """A word for each thing, by its name."""
    size, digest = fingerprint(source)
    found = {
        "the clip": f"{size} bytes {digest[:12]}",
        "the container": target.container,
        "the encoder": f"{target.encoding.encoder} {target.encoding.pix_fmt}",
        "the model": f"{model.name} {model.sha256[:12]}",
        "vidref": __version__,
        "FFmpeg": ".".join(map(str, av.library_versions["libavcodec"])),
        "torch": version("torch"),
        "the model's threads": str(model_share(model.side_by_side, settings.threads).threads),
        "the processor": platform.machine(),
        "the faces in one call": str(model.batch),
    }
    if settings.faces.references is not None:
        found["the photos"] = _photos(settings.faces.references)
    if settings.faces.plan is not None:
        found["the plan"] = hashlib.sha256(settings.faces.plan.read_bytes()).hexdigest()[:12]
    for name, value in _leaves(settings.model_dump(mode="json")):
        if name not in NOT_SEEN:
            found[f"the setting {name}"] = str(value)
    return found


def _photos(folder: Path) -> str:
    """Names, sizes and times of the user's photos: which are there, without reading them."""
    digest, count = hashlib.sha256(), 0
    for name, files in find_people(folder):
        for file in files:
            facts = file.stat()
            digest.update(f"{name}/{file.name}:{facts.st_size}:{facts.st_mtime_ns};".encode())
            count += 1
    return f"{count} files {digest.hexdigest()[:12]}"


def _leaves(tree: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in tree.items():
        if isinstance(value, dict):
            found += _leaves(value, f"{above}{name}.")
        else:
            found.append((f"{above}{name}", value))
    return found
