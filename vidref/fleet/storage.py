"""Files where they are: a path, or a URL that fsspec understands (`s3://`, `gs://`, `memory://`).

Everything that works on a clip wants real files, so a URL is fetched once to each machine, under a
name that is the same in every process and on every machine, and results are sent when whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidref.errors import InputError, MissingDependencyError, OutputError

KEPT = 6
"""Fetched sources that stay on a machine; those used longest ago go first."""


def is_url(text: str | Path) -> bool:
    """Whether this is a place that only fsspec can reach."""
    return "://" in str(text) and not str(text).startswith("file://")


def as_path(text: str) -> Path:
    """A local place, written as a path or as file://."""
    return Path(text.removeprefix("file://"))


def join(folder: str, *parts: str) -> str:
    """A place below a folder."""
    if is_url(folder):
        return "/".join([folder.rstrip("/"), *parts])
    return str(as_path(folder).joinpath(*parts))


def parent_of(place: str) -> str:
    return place.rstrip("/").rpartition("/")[0] if is_url(place) else str(as_path(place).parent)


def exists(place: str) -> bool:
    if not is_url(place):
        return as_path(place).exists()
    system, path = _system(place)
    with _told(place, "looked for"):
        return bool(system.exists(path))


def fetch(place: str) -> Path:
    """The file itself, on this machine."""
    if not is_url(place):
        return as_path(place)
    system, path = _system(place)
    with _told(place, "read"):
        facts = system.info(path)
        if facts.get("type") == "directory":
            return _fetch_folder(place, system, path)
        return _kept(place, _version(facts), lambda to: _get(system, path, facts, to / _name(path)))


def fetch_to(place: str, path: Path) -> None:
    """One object under a name of our own."""
    system, source = _system(place)
    with _told(place, "read"):
        system.get_file(source, str(path))


def send(file: Path, place: str) -> None:
    """Store a whole file under its final name; object stores show it only when it is whole."""
    system, path = _system(place)
    with _told(place, "written"):
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        system.put_file(str(file), path)


def remove(place: str) -> None:
    """Remove a folder and what is in it, if it is there."""
    if not is_url(place):
        shutil.rmtree(as_path(place), ignore_errors=True)
        return
    system, path = _system(place)
    with _told(place, "removed"):
        if system.exists(path):
            system.rm(path, recursive=True)


def files_below(folder: str, recursive: bool) -> Iterator[tuple[str, str]]:
    """(place, its name below the folder) of every file, in order; hidden ones are left out."""
    if is_url(folder):
        system, path = _system(folder)
        with _told(folder, "listed"):
            found = sorted(system.find(path, maxdepth=None if recursive else 1))
        base = path.rstrip("/") + "/"
        names = [name.removeprefix(base) for name in found]
    else:
        names = sorted(_walk(as_path(folder), recursive))
    for name in names:
        if not any(part.startswith(".") for part in name.split("/")):
            yield join(folder, *name.split("/")), name


def folder_here(place: str) -> Path:
    """Where something about this place is kept on this machine, the same in every process."""
    base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "vidref" / _short(place.rstrip("/"))


def _walk(folder: Path, recursive: bool) -> Iterator[str]:
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}: check the path.")
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(folders) if recursive else []
        for name in files:
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _system(place: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingDependencyError(f"{place} needs fsspec: pip install 'vidref[s3]'.") from error
    try:
        system, path = fsspec.core.url_to_fs(place)
    except ImportError as error:
        raise MissingDependencyError(
            f"{place} needs a package that is not installed ({error}): "
            "pip install 'vidref[s3]' for s3://."
        ) from error
    except ValueError as error:
        raise InputError(f"{place} is no place that is known here ({error}).") from error
    system.invalidate_cache()
    return system, path


@contextmanager
def _told(place: str, done: str) -> Iterator[None]:
    """Whatever a store answers becomes one sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise InputError(f"There is nothing at {place}: check the address.") from error
    except (InputError, OutputError):
        raise
    except Exception as error:
        words = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(
            f"{place} could not be {done} ({words}): check the address and your access."
        ) from error


def _fetch_folder(place: str, system: Any, path: str) -> Path:
    facts = system.find(path, detail=True)
    version = _short("".join(f"{name}{_version(facts[name])}" for name in sorted(facts)))

    def fill(to: Path) -> None:
        root = to / _name(path)
        for name, fact in facts.items():
            target = root / name.removeprefix(path.rstrip("/") + "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            _get(system, name, fact, target)

    return _kept(place, version, fill)


def _get(system: Any, path: str, facts: dict[str, Any], to: Path) -> None:
    system.get_file(path, str(to))
    changed = facts.get("LastModified") or facts.get("mtime") or facts.get("created")
    if changed is not None:  # the time is part of what is known of a photo
        stamp = changed.timestamp() if hasattr(changed, "timestamp") else float(changed)
        os.utime(to, (stamp, stamp))


def _kept(place: str, version: str, fill: Any) -> Path:
    """The folder of what was fetched under this name and version, filled if it is not there."""
    name = place.rstrip("/").rpartition("/")[2]
    root = Path(tempfile.gettempdir()) / f"vidref-fetched-{os.getuid()}"
    home = root / _short(f"{place} {version}")
    if not home.exists():
        part = root / f"{home.name}.{uuid.uuid4().hex}.part"
        part.mkdir(parents=True, mode=0o700)
        try:
            fill(part)
            part.rename(home)
        except OSError:
            if not home.exists():  # else another process was first
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        _forget_oldest(root)
    os.utime(home)
    return home / name


def _forget_oldest(root: Path) -> None:
    homes = sorted(
        (p for p in root.iterdir() if not p.name.endswith(".part")), key=lambda p: p.stat().st_mtime
    )
    for home in homes[:-KEPT]:
        shutil.rmtree(home, ignore_errors=True)


def _version(facts: dict[str, Any]) -> str:
    changed = facts.get("ETag") or facts.get("LastModified") or facts.get("created")
    return f"{facts.get('size')} {changed}"


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]
