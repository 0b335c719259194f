"""Which clips are wanted: those of a folder, or those that a manifest lists, each with its output.

Everything is checked here, before any work: an unknown setting in line 7 is told at once.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from vidref.errors import InputError, SettingsError
from vidref.fleet import storage
from vidref.fleet.state import Request
from vidref.media.containers import MUXERS
from vidref.settings import WORDS, Settings

MANIFESTS = (".csv", ".jsonl")
LISTS = {"people": ";", "drop": ";"}
"""Columns that hold several values, and what divides them in CSV."""
NOT_HERE = ("plan", "refs")
"""Words that mean something else here: a plan belongs to one clip; `refs` may be a URL."""


@dataclass(frozen=True)
class Wanted:
    """What the user said of all clips; `flags` by the words of the command line."""

    output: str
    flags: dict[str, Any]
    config: Path | None = None
    references: str | None = None
    patterns: tuple[str, ...] = ()
    recursive: bool = True


def requests_of(source: str, wanted: Wanted) -> list[Request]:
    """Every clip of a folder or of a manifest."""
    if source.lower().endswith(MANIFESTS):
        found = list(_listed(source, wanted))
    else:
        found = list(_in_folder(source, wanted))
    return _apart(found)


def settings_of(wanted: Wanted, more: dict[str, Any] | None = None) -> Settings:
    """The settings of one clip: the batch's, and its own over them."""
    settings = Settings.load(wanted.config, {**wanted.flags, **(more or {})})
    evidence = settings.evidence
    if evidence.report or evidence.uncertainty or evidence.c2pa:
        raise SettingsError(
            "Reports, maps of uncertainty and signatures are made by `vidref restore`, one clip at "
            "a time: leave them out of a batch."
        )
    return settings


def _in_folder(source: str, wanted: Wanted) -> Iterator[Request]:
    if storage.is_url(source):
        base = source.rstrip("/")
    else:
        base = str(storage.as_path(source))
        if storage.as_path(source).is_file():
            raise InputError(
                f"{source} is a file: give a folder, or a manifest that ends in .csv or .jsonl; "
                "`vidref restore` takes single clips."
            )
    if _same(wanted.output, base):
        raise InputError(
            f"The results would replace the clips in {source}: give another folder with -o."
        )
    settings = settings_of(wanted)
    words = settings.model_dump_json()
    for place, name in storage.files_below(source, wanted.recursive):
        if _is_below(place, wanted.output) or not _is_wanted(name, wanted.patterns):
            continue
        output = storage.join(wanted.output, *_output_name(name, settings).split("/"))
        yield Request(_absolute(place), _absolute(output), words, _references(wanted.references))


def _listed(source: str, wanted: Wanted) -> Iterator[Request]:
    text = storage.fetch(source)
    try:
        content = text.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The manifest {source} cannot be read ({error}).") from error
    rows = _csv_rows(content) if source.lower().endswith(".csv") else _jsonl_rows(content, source)
    folder = storage.parent_of(_absolute(source))
    taken: dict[str, str] = {}
    for line, row in rows:
        where = f"{source}, line {line}"
        found = _request(row, where, folder, wanted)
        other = taken.setdefault(found.output, found.source)
        if row.get("output") and other != found.source:
            raise InputError(f"{where}: {found.output} is the output of {other} already.")
        yield found


def _csv_rows(content: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(content))
    for row in reader:
        named = {name.strip(): value for name, value in row.items() if name is not None}
        if None in row:
            named["too many columns"] = ""
        yield (
            reader.line_num,
            {
                name: value.split(LISTS[name]) if name in LISTS else value.strip()
                for name, value in named.items()
                if value is not None and (value.strip() or name not in (*WORDS, "output", "refs"))
            },
        )


def _jsonl_rows(content: str, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, text in enumerate(content.splitlines(), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"{source}, line {line}: this is not JSON ({error.msg}).") from error
        if not isinstance(row, dict):
            raise InputError(f"{source}, line {line}: write an object with names and values.")
        yield line, row


def _request(row: dict[str, Any], where: str, folder: str, wanted: Wanted) -> Request:
    own = dict(row)
    clip = own.pop("source", None)
    if not clip or not isinstance(clip, str):
        raise InputError(f"{where}: there is no source, the clip to restore.")
    refs = own.pop("refs", None)
    name = own.pop("output", None)
    for word in own:
        if word in NOT_HERE or (word not in WORDS and "." not in word):
            known = ", ".join(["source", "output", "refs", *(w for w in WORDS if w != "plan")])
            raise InputError(f"{where}: {word!r} is unknown; known are: {known}.")
    for word in LISTS:
        if isinstance(own.get(word), list):
            own[word] = [part.strip() if isinstance(part, str) else part for part in own[word]]
    if own.get("drop") == ["unsupported"]:
        own["drop"] = "unsupported"
    try:
        settings = settings_of(wanted, own)
    except SettingsError as error:
        raise SettingsError(f"{where}: {error}") from error
    name = name or _output_name(Path(clip).name, settings)
    output = name if storage.is_url(name) else storage.join(wanted.output, *name.split("/"))
    references = _references(_from(folder, refs) if refs else wanted.references)
    place = _absolute(_from(folder, clip))
    if _same(place, output):
        raise InputError(f"{where}: the result would replace the clip; give another output.")
    return Request(place, _absolute(output), settings.model_dump_json(), references)


def _output_name(name: str, settings: Settings) -> str:
    """The clip's own name; lossless pictures need a container that holds them."""
    if settings.output.lossless and Path(name).suffix.lower() in MUXERS:
        return Path(name).with_suffix(".mkv").as_posix()
    return name


def _apart(requests: Sequence[Request]) -> list[Request]:
    """Two clips never share an output: the second keeps its whole name within its own."""
    taken: dict[str, str] = {}
    found = []
    for wanted in requests:
        output = wanted.output
        if taken.get(output, wanted.source) != wanted.source:
            folder, name = storage.parent_of(output), Path(output.rpartition("/")[2])
            output = storage.join(folder, f"{Path(wanted.source).name}{name.suffix}")
        if output in taken:
            raise InputError(f"{wanted.source} and {taken[output]} would both become {output}.")
        taken[output] = wanted.source
        found.append(Request(wanted.source, output, wanted.settings, wanted.references))
    return found


def _is_wanted(name: str, patterns: Sequence[str]) -> bool:
    if not patterns:
        return Path(name).suffix.lower() in MUXERS
    last = name.rpartition("/")[2]
    return any(fnmatch(name, pattern) or fnmatch(last, pattern) for pattern in patterns)


def _references(place: str | None) -> str | None:
    return None if place is None else _absolute(place)


def _from(folder: str, place: str) -> str:
    """What a manifest names is found from where the manifest lies."""
    if storage.is_url(place) or storage.as_path(place).is_absolute():
        return place
    return storage.join(folder, *place.split("/"))


def _absolute(place: str) -> str:
    """In one spelling, whoever is started again from elsewhere."""
    if storage.is_url(place):
        return place
    path = storage.as_path(place)
    return str(path.parent.resolve() / path.name if path.name else path.resolve())


def _is_below(place: str, folder: str) -> bool:
    if storage.is_url(place) or storage.is_url(folder):
        return place.startswith(folder.rstrip("/") + "/")
    inside = storage.as_path(folder).resolve()
    return storage.as_path(place).resolve().is_relative_to(inside)


def _same(one: str, other: str) -> bool:
    return _absolute(one).rstrip("/") == _absolute(other).rstrip("/")
