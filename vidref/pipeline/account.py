"""What the sidecar beside an output says, as types: the one place where its fields are named.

`sidecar.schema.json` is made from these types, and a test holds the two together. Later versions
may add fields; a reader of version 2 finds those of version 2 in all of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from vidref.errors import InputError
from vidref.pipeline.plan import Square
from vidref.pipeline.plan_file import laid_out
from vidref.pipeline.trajectory import Knot

MARK = "vidref_sidecar"
SCHEMA = Path(__file__).with_name("sidecar.schema.json")


@dataclass(frozen=True)
class Network:
    """A model or face pack; `sha256` is that of its weights."""

    name: str
    sha256: str


@dataclass(frozen=True)
class SourceAccount:
    """The clip as it was; times are whole ticks of `time_base` seconds."""

    name: str
    bytes: int
    fingerprint: str
    width: int
    height: int
    pixel_aspect: str
    """Width of a stored pixel over its height; positions are told in pixels made square."""
    time_base: str
    frames: int
    first_pts: int
    last_pts: int
    start_s: str = "0"
    """How far into the clip the output begins (`--start`)."""

    def seconds(self, pts: int) -> float:
        """From the first analysed frame to `pts`."""
        return float((pts - self.first_pts) * Fraction(self.time_base))


@dataclass(frozen=True)
class UsedReference:
    """A photo (`photo`, `sha256` of its file) or a moment of the clip itself (`pts`)."""

    quality: float
    weight: float
    face: Square
    """x and y of the face square's centre, its side, its turn in degrees clockwise."""
    pts: int | None = None
    photo: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class RefusedReference:
    """What was looked at as a reference and not used, and why."""

    reason: str
    pts: int | None = None
    photo: str | None = None
    quality: float | None = None


@dataclass(frozen=True)
class Likeness:
    """Mean likeness to the references (cosine of the face pack's embeddings), over `looks`."""

    looks: int
    before: float
    after: float


@dataclass(frozen=True)
class PersonAccount:
    """Somebody in the clip, what was known of them, and how they came out."""

    id: str
    name: str
    restored: bool
    why: str
    confidence: float
    references: tuple[UsedReference, ...]
    set_aside: tuple[RefusedReference, ...] = ()
    identity: Likeness | None = None
    looks: tuple[tuple[float, float, float], ...] = ()
    """(seconds, before, after) of each comparison."""
    supported: float | None = None
    """The share of the face that is supported by evidence, where it was asked for."""


@dataclass(frozen=True)
class TrackAccount:
    """A face followed through one shot: `path` holds (pts, x, y, side, turn) at some moments."""

    id: int
    person: str
    restored: bool
    why: str
    path: tuple[Knot, ...]


@dataclass(frozen=True)
class LeftAlone:
    """A track that was not restored, or a stretch of one that was, and why."""

    track: int
    person: str
    first_pts: int
    last_pts: int
    why: str
    frames: int | None = None
    """Of a stretch: how many frames of the restored track it is."""


@dataclass(frozen=True)
class Account:
    """The whole sidecar."""

    vidref_sidecar: Literal[2]
    vidref: str
    """The version that made the output."""
    source: SourceAccount
    model: Network
    face_pack: Network
    settings: dict[str, Any]
    people: tuple[PersonAccount, ...]
    tracks: tuple[TrackAccount, ...]
    shots: tuple[int, ...] = ()
    """The pts at which each shot begins."""
    left_alone: tuple[LeftAlone, ...] = ()
    notes: tuple[str, ...] = field(default=())


@cache
def _accounts() -> TypeAdapter[Account]:
    return TypeAdapter(Account)  # made when it is needed: it takes longer than all of this file


def account_text(account: Account) -> str:
    """The sidecar's text; what is not known is left out."""
    tree = _accounts().dump_python(account, mode="json", exclude_none=True)
    return laid_out(tree) + "\n"


def read_account(path: Path) -> Account:
    """The sidecar at `path`; one of another version, or anything else, is an `InputError`."""
    try:
        tree = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a sidecar of vidref: check the path.") from error
    version = tree.get(MARK) if isinstance(tree, dict) else None
    if version != 2:
        told = "no sidecar of vidref" if version is None else f"a sidecar of version {version}"
        raise InputError(f"{path} is {told}; this vidref reads version 2: restore the clip again.")
    try:
        return _accounts().validate_python(tree)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{path}: {where} is not what a sidecar holds there ({first['msg'].lower()}); "
            "restore the clip again."
        ) from error


def schema() -> dict[str, Any]:
    """The JSON schema of the sidecar (draft 2020-12)."""
    tree = _accounts().json_schema(mode="validation")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The sidecar of a clip that vidref restored",
        **{name: value for name, value in tree.items() if name != "title"},
    }


def schema_text() -> str:
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
