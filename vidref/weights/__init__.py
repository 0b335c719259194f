"""What ships with the tool, and the check that it is still what shipped.

A folder of weights names the SHA-256 of its files, in `SHA256SUMS` (as `sha256sum` writes and
checks it) or, for a single file, in `NAME.sha256`. Knows nothing of what the files are for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from vidref.errors import ModelError

BUNDLED = Path(__file__).resolve().parent
FACE_PACK = BUNDLED / "face-pack"
SUMS = "SHA256SUMS"


def bundled_folders() -> dict[str, Path]:
    """Everything that ships, by the name of its folder."""
    return {
        folder.name: folder
        for folder in sorted(BUNDLED.iterdir())
        if folder.is_dir() and not folder.name.startswith("_")
    }


def recorded_hashes(folder: Path) -> dict[Path, str]:
    """The files of a folder whose hashes are recorded; empty where none are."""
    known: dict[Path, str] = {}
    sums = folder / SUMS
    if sums.is_file():
        for line in sums.read_text().splitlines():
            digest, _, name = line.strip().partition("  ")
            if not name:
                raise ModelError(f"{sums}: not in the format of sha256sum; install it anew.")
            known[folder / name] = digest
    for single in sorted(folder.glob("*.sha256")):
        matching = [p for p in folder.glob(f"{single.stem}.*") if p != single]
        for file in matching:
            known[file] = single.read_text().split()[0]
    return known


def verify(folder: Path) -> list[Path]:
    """Checks every recorded hash and returns the files checked; a difference is a `ModelError`."""
    known = recorded_hashes(folder)
    for file, digest in known.items():
        if not file.is_file():
            raise ModelError(f"{file} is missing: install vidref, or fetch the pack, anew.")
        if hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise ModelError(
                f"{file} is not what was shipped (its SHA-256 differs: damaged, cut short or "
                "changed): install vidref, or fetch the pack, anew."
            )
    return list(known)


def record(folder: Path, pattern: str = "*.onnx") -> None:
    """Writes `SHA256SUMS` for the files of a folder."""
    files = sorted(folder.glob(pattern))
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in files]
    (folder / SUMS).write_text("".join(lines))
