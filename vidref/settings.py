"""One typed tree of settings: configs/default.yaml, then the user's file, then flags.

It is validated once, here; rooms receive plain values and never read configuration.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from vidref.errors import SettingsError

CONFIGS = Path(__file__).parent / "configs"


def parse_time(value: Any) -> Fraction | None:
    """Seconds, `m:s` or `h:m:s`, exact: no float ever stands between a user and a frame."""
    if value is None or isinstance(value, Fraction):
        return value
    fields = str(value).split(":")
    if len(fields) > 3:
        raise ValueError(f"{value!r} is not a time; write seconds, m:s or h:m:s")
    seconds = Fraction(0)
    for part in fields:
        try:
            seconds = seconds * 60 + Fraction(part.strip())
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{value!r} is not a time; write seconds, m:s or h:m:s") from error
    if seconds < 0:
        raise ValueError(f"{value!r} lies before the clip's beginning; write 0 or more")
    return seconds


WORDS = {
    "start": "span.start",
    "end": "span.end",
    "preview": "span.preview",
    "refs": "faces.references",
    "sure": "faces.sure",
    "people": "faces.people",
    "min_face": "faces.min_face",
    "max_faces": "faces.max_faces",
    "detect_every": "faces.detect_every",
    "faces": "faces.pack",
    "plan": "faces.plan",
    "model": "model.where",
    "fidelity": "model.fidelity",
    "strength": "model.strength",
    "grain": "model.grain",
    "steps": "model.steps",
    "seed": "model.seed",
    "noise": "model.noise",
    "combine": "model.combine",
    "device": "model.device",
    "dtype": "model.dtype",
    "batch": "model.batch",
    "restart": "job.restart",
    "codec": "output.codec",
    "crf": "output.crf",
    "preset": "output.preset",
    "lossless": "output.lossless",
    "prores": "output.prores",
    "container": "output.container",
    "drop": "output.drop",
    "overwrite": "output.overwrite",
    "deinterlace": "picture.deinterlace",
    "report": "evidence.report",
    "uncertainty": "evidence.uncertainty",
    "c2pa": "evidence.c2pa",
    "cert": "evidence.certificate",
    "key": "evidence.key",
    "threads": "threads",
}
"""The words of the command line and of the Python API, and the settings that they mean."""

Time = Annotated[Fraction | None, BeforeValidator(parse_time)]


class _Branch(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class SpanSettings(_Branch):
    """Which part of the clip."""

    start: Time
    end: Time
    preview: Time

    @model_validator(mode="after")
    def _is_not_empty(self) -> SpanSettings:
        if self.preview is not None and self.end is not None:
            raise ValueError("give --end or --preview, not both")
        if self.preview == 0:
            raise ValueError("a preview of 0 seconds shows nothing")
        if self.end is not None and self.end <= (self.start or 0):
            raise ValueError("--end must lie after --start")
        return self

    @property
    def bounds(self) -> tuple[Fraction, Fraction | None]:
        start = self.start or Fraction(0)
        return start, start + self.preview if self.preview else self.end


class OutputSettings(_Branch):
    """How the picture is encoded and what the file leaves out."""

    container: str | None
    codec: str | None
    crf: Annotated[float, Field(ge=0, le=63)] | None
    preset: str | None
    lossless: bool
    prores: bool
    drop: tuple[int, ...] | Literal["unsupported"]
    overwrite: bool


class PictureSettings(_Branch):
    """What is done to the whole picture: nothing, unless asked."""

    deinterlace: bool


class ModelSettings(_Branch):
    """Which model rebuilds faces, and how."""

    where: str
    steps: Annotated[int, Field(ge=1, le=1000)]
    fidelity: Annotated[float, Field(ge=0, le=1)]
    strength: Annotated[float, Field(ge=0, le=1)]
    grain: Annotated[float, Field(ge=0, le=1)] | None
    seed: Annotated[int, Field(ge=0)]
    noise: Literal["shared", "independent"]
    combine: Literal["concatenated", "average", "weighted"]
    device: str
    dtype: Literal["auto", "float32", "bfloat16", "float16"]
    batch: Annotated[int, Field(ge=1)]


class FacesSettings(_Branch):
    """Whose faces are restored, what is known of them, and how they are found."""

    pack: str
    references: Path | None
    sure: bool
    people: tuple[str, ...]
    min_face: Annotated[float, Field(ge=0)]
    max_faces: Annotated[int, Field(ge=1)] | None
    detect_every: Annotated[int, Field(ge=1)] | None
    plan: Path | None


class EvidenceSettings(_Branch):
    """What is written for whoever must defend the result; nothing of it changes the picture."""

    report: bool
    uncertainty: bool
    c2pa: bool
    certificate: Path | None
    key: Path | None

    @model_validator(mode="after")
    def _is_signed_with_something(self) -> EvidenceSettings:
        if self.c2pa and (self.certificate is None or self.key is None):
            raise ValueError("--c2pa signs the file: name --cert (a chain in PEM) and --key")
        return self


class JobSettings(_Branch):
    """How long work is cut up, so that nothing finished is lost."""

    segment_s: Annotated[Fraction, BeforeValidator(parse_time), Field(gt=0)]
    restart: bool


class Settings(_Branch):
    """Everything a run can be told."""

    span: SpanSettings
    output: OutputSettings
    picture: PictureSettings
    faces: FacesSettings
    model: ModelSettings
    evidence: EvidenceSettings
    job: JobSettings
    threads: Annotated[int, Field(ge=0)]
    queue_frames: Annotated[int, Field(ge=1)]

    @staticmethod
    def load(config: Path | None = None, flags: dict[str, Any] | None = None) -> Settings:
        """`flags` maps words ("crf") or dotted names ("output.crf") to values; None: not given."""
        tree = _read(CONFIGS / "default.yaml")
        if config is not None:
            _merge(tree, _read(config), str(config))
        for name, value in (flags or {}).items():
            if value is not None:
                _set(tree, WORDS.get(name, name), value)
        try:
            return Settings.model_validate(tree)
        except ValidationError as error:
            raise SettingsError(_sentence(error)) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise SettingsError(f"The config {path} cannot be read ({reason}).") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise SettingsError(f"The config {path}{where} is not valid YAML.") from error
    if not isinstance(tree, dict):
        raise SettingsError(f"The config {path} must hold names and values, as default.yaml does.")
    return tree


def _merge(tree: dict[str, Any], over: dict[str, Any], source: str) -> None:
    for name, value in over.items():
        if name not in tree:
            known = ", ".join(tree)
            raise SettingsError(f"{source} sets {name!r}, which is unknown; known are: {known}.")
        if isinstance(tree[name], dict):
            if not isinstance(value, dict):
                raise SettingsError(f"{source}: {name!r} holds settings, not a single value.")
            _merge(tree[name], value, source)
        else:
            tree[name] = value


def _set(tree: dict[str, Any], dotted: str, value: Any) -> None:
    *branches, leaf = dotted.split(".")
    at: Any = tree
    for branch in branches:
        at = at.get(branch) if isinstance(at, dict) else None
    if not isinstance(at, dict) or leaf not in at:
        raise SettingsError(f"There is no setting {dotted!r}; known words are: {', '.join(WORDS)}.")
    at[leaf] = value


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if not isinstance(part, int))
    message = first["msg"].removeprefix("Value error, ")
    if not where or isinstance(first.get("input"), dict):  # a rule about several settings
        return f"{message}."
    return f"The setting {where} cannot be {first.get('input')!r}: {message}."
