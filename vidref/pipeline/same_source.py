"""Knowing a source again without reading all of it: its size and samples of its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vidref.errors import InputError
from vidref.media.stills import find_stills, is_stills

SAMPLE = 1 << 18
SAMPLES = 8


def fingerprint(source: Path) -> tuple[int, str]:
    """(bytes, hash) of a clip, a photo, or the pictures of a folder."""
    files = find_stills(source) if is_stills(source) else [source]
    digest = hashlib.sha256()
    total = 0
    for file in files:
        try:
            size = file.stat().st_size
            digest.update(f"{file.name if source.is_dir() else ''}:{size};".encode())
            samples = SAMPLES if len(files) == 1 else 1
            with file.open("rb") as data:
                for k in range(samples):
                    data.seek(max(0, size - SAMPLE) * k // max(1, samples - 1))
                    digest.update(data.read(SAMPLE))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise InputError(f"{file} cannot be read ({reason}): check the file.") from error
        total += size
    return total, digest.hexdigest()[:32]
