"""A bundle as it lies on disk: where it is, that it is whole, what it says of itself.

No torch here: a clip without faces needs no network, only to be told early that one is missing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from vidref import weights
from vidref.errors import MissingDependencyError, ModelError
from vidref.model.config import RestorerConfig, parse_config

WEIGHTS, HASH, CARD = "restorer.safetensors", "restorer.sha256", "CARD.md"
BUNDLED = weights.BUNDLED / "restorer"
FOREIGN = (".pth", ".pt", ".ckpt", ".safetensors")
"""The suffixes of other people's face models, which `foreign.py` loads."""
USUAL_BATCH = 4
"""Faces in one call of the network, unless it is told otherwise."""
SMALL_PX = 256
"""A network that works on pictures up to this side has too little to do for many cores."""


@dataclass(frozen=True)
class FoundBundle:
    """What is known of a model before it is loaded."""

    name: str
    sha256: str
    side_by_side: bool
    batch: int = USUAL_BATCH


def describe_bundle(where: str) -> FoundBundle:
    """The bundle that `where` names, refused if it is damaged."""
    folder = find_bundle(where)
    digest = check_hash(folder)
    config = read_header(folder / WEIGHTS)
    return FoundBundle(config.name, digest, is_small(config))


def is_small(config: RestorerConfig) -> bool:
    """Whether calls of such a network are best made side by side, each on one core."""
    return (config.working_size or config.size) <= SMALL_PX


def is_foreign(where: str) -> bool:
    """Whether this names a file of another face model, there or not."""
    return Path(where).suffix.lower() in FOREIGN and not Path(where).is_dir()


def find_bundle(where: str) -> Path:
    """The folder of a bundle: "bundled", a folder, or a hub id that the user named."""
    if where == "bundled":
        folder = BUNDLED
        if not (folder / WEIGHTS).exists():
            raise ModelError(
                f"{folder}: this installation carries no restorer: reinstall it or name a bundle."
            )
        return folder
    folder = Path(where)
    if (folder / WEIGHTS).exists():
        return folder
    if folder.exists() or where.count("/") != 1:
        raise ModelError(f"{where}: no {WEIGHTS} there: give a bundle's folder or a hub id.")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingDependencyError(
            f"{where} is a hub id, which needs huggingface_hub: pip install huggingface_hub."
        ) from error
    try:
        return Path(snapshot_download(where, allow_patterns=[WEIGHTS, HASH, CARD]))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{where}: neither a folder here nor a bundle that could be fetched from the hub: "
            "check the name and the connection."
        ) from error


def check_hash(folder: Path) -> str:
    """The weights' SHA-256; refused if they are not what was published, or nobody vouches."""
    digest = weights.recorded_hashes(folder).get(folder / WEIGHTS)
    if digest is None:
        raise ModelError(f"{folder}: needs both {WEIGHTS} and {HASH}: fetch the bundle again.")
    weights.verify(folder)
    return digest


def read_header(path: Path) -> RestorerConfig:
    """The configuration that travels in the weights' file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            header = (file.metadata() or {}).get("restorer")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error}).") from error
    if header is None:
        raise ModelError(
            f"{path}: holds weights but no restorer configuration: not a vidref bundle."
        )
    try:
        return parse_config(json.loads(header), str(path))
    except json.JSONDecodeError as error:
        raise ModelError(f"{path}: its header is damaged: fetch the bundle again.") from error
