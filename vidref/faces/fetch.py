"""Fetching insightface's packs: only when asked to, whole or not at all.

insightface's own downloader does the transfer; from a mirror or a local zip it is the same archive.
The hashes of what arrived are recorded beside it, so that later damage is noticed.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from vidref import weights
from vidref.errors import InputError, MissingDependencyError, ModelError
from vidref.faces.pack import LOCAL_PACKS


def fetch_pack(name: str, source: str | None = None) -> Path:
    """Puts the pack `name` into insightface's folder and returns where it is."""
    folder = LOCAL_PACKS.expanduser() / name
    if Path(name).name != name or name in ("", ".", ".."):
        raise InputError(f"{name} is not the name of a pack: write it as in buffalo_l.")
    if folder.exists():
        raise ModelError(f"{folder} is here already: remove it first to fetch it anew.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{name}-") as work:
        local = Path(source).expanduser() if source and "://" not in source else None
        archive = local or _download(name, source, Path(work))
        part = Path(work) / "part"
        _unpack(archive, part)
        weights.record(part)
        shutil.move(part, folder)
    return folder


def _download(name: str, mirror: str | None, work: Path) -> Path:
    try:
        from insightface.utils.download import download_file
        from insightface.utils.storage import model_zoo_download_url
        from requests import RequestException
    except ImportError as error:
        raise MissingDependencyError(
            f"Fetching packs needs insightface ({error}): pip install insightface."
        ) from error
    file = f"{name}.zip"
    url = f"{mirror.rstrip('/')}/{file}" if mirror else model_zoo_download_url(file)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            download_file(url, path=str(work / file), overwrite=True)
    except (RequestException, RuntimeError, OSError) as error:
        raise ModelError(
            f"{url} cannot be fetched ({type(error).__name__}): go online, or give a mirror or a "
            "local zip with --from."
        ) from error
    return work / file


def _unpack(archive: Path, folder: Path) -> None:
    """Only the ONNX files, by their bare names: an archive has no say in where they go."""
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as packed:
            for member in packed.namelist():
                name = PurePosixPath(member).name
                if name.endswith(".onnx"):
                    with packed.open(member) as source, (folder / name).open("wb") as target:
                        shutil.copyfileobj(source, target)
    except (OSError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{archive} is not a whole zip archive ({error}): fetch it anew."
        ) from error
    if not any(folder.glob("*.onnx")):
        raise ModelError(f"{archive} holds no ONNX files: it is not a face pack.")
