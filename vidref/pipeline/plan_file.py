"""The plan as a JSON file: written to be read and edited, checked line by line when read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vidref.errors import InputError
from vidref.media.unfinished import UnfinishedFile
from vidref.pipeline.plan import VERSION, Plan
from vidref.pipeline.same_source import fingerprint

WIDTH = 100
MARK = "vidref_plan"
UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
REMEDY = "correct that line, or analyse the clip again"
_PLANS: TypeAdapter[Plan] = TypeAdapter(Plan)

Where = tuple[str | int, ...]


def default_plan(source: Path) -> Path:
    """`NAME.plan.json` beside the source."""
    name = source.resolve().name if source.is_dir() else source.stem
    return source.with_name(f"{name}.plan.json")


def check_plan_target(path: Path) -> None:
    """Refuse a place that cannot be written before the clip is read, not after."""
    UnfinishedFile(path).discard()


def save_plan(plan: Plan, path: Path) -> None:
    """Write the plan; it gets its name only when it is whole."""
    text = plan_text(plan, path.resolve().parent)
    unfinished = UnfinishedFile(path)
    try:
        unfinished.path.write_text(text, encoding="utf-8")
    except BaseException:
        unfinished.discard()
        raise
    unfinished.keep()


def load_plan(path: Path) -> Plan:
    """Read a plan; whatever is wrong with it is an `InputError` that names the line."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a plan (it is not text): check the path.") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"The plan {path} cannot be read ({reason}): check the path.") from error
    try:
        return _parse(text, path.resolve().parent)
    except _Wrong as wrong:
        line = wrong.line or (None if wrong.where is None else _line_of(text, wrong.where))
        place = "" if line is None else f", line {line}"
        raise InputError(f"{path}{place}: {wrong}; {wrong.remedy}.") from wrong


def check_source(plan: Plan, plan_path: Path, source: Path) -> None:
    """Refuse a plan that was made for something else than `source`."""
    if fingerprint(source) != (plan.source.bytes, plan.source.fingerprint):
        raise InputError(
            f"{plan_path} was made for another file ({plan.source.name}, {plan.source.bytes} "
            f"bytes) than {source}: analyse it again."
        )


def plan_text(plan: Plan, folder: Path) -> str:
    """The JSON, as a file in `folder` holds it: photos below it are named from there."""
    tree = _PLANS.dump_python(plan, mode="json", exclude_none=True)
    for track in tree["tracks"]:
        if not track["left_alone"]:
            del track["left_alone"]
    for photo in _photos(tree):
        path = Path(photo["photo"])
        inside = path.is_relative_to(folder)
        photo["photo"] = path.relative_to(folder).as_posix() if inside else str(path)
    return laid_out({MARK: VERSION, **tree}) + "\n"


class _Wrong(Exception):
    """What is wrong, and at which place of the tree."""

    def __init__(
        self, what: str, where: Where | None, remedy: str = REMEDY, line: int | None = None
    ) -> None:
        super().__init__(what)
        self.where = where
        self.remedy = remedy
        self.line = line


def _parse(text: str, folder: Path) -> Plan:
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        what = f"this is not JSON ({error.msg[0].lower()}{error.msg[1:]})"
        remedy = "look at the commas and quotes there and on the line before"
        raise _Wrong(what, None, remedy, error.lineno) from error
    if not isinstance(tree, dict) or MARK not in tree:
        raise _Wrong("this is not a plan of vidref", None, "give the file that analyse wrote")
    if tree.pop(MARK) != VERSION:
        remedy = "update vidref, or analyse the clip again"
        raise _Wrong(
            f"plans of this kind are not known here (it must be {VERSION})", (MARK,), remedy
        )
    for photo in _photos(tree):
        photo["photo"] = os.path.normpath(folder / photo["photo"])
    try:
        plan = _PLANS.validate_python(tree)
    except ValidationError as error:
        raise _first_wrong(error, tree) from error
    for wrong in _contradictions(plan):
        raise wrong
    return plan


def _photos(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of the tree that names a photo, wherever a well-formed plan has them."""
    people = tree.get("people", []) if isinstance(tree, dict) else []
    for person in people if isinstance(people, list) else []:
        for kind in ("references", "set_aside"):
            items = person.get(kind, []) if isinstance(person, dict) else []
            for item in items if isinstance(items, list) else []:
                if isinstance(item, dict) and isinstance(item.get("photo"), str):
                    yield item


def _first_wrong(error: ValidationError, tree: Any) -> _Wrong:
    errors = error.errors(include_url=False)
    # A misspelt name is missing under its right one as well: the misspelling is what to show.
    first = next((e for e in errors if e["type"] in UNKNOWN), errors[0])
    where: list[str | int] = []
    at = tree
    part: Any
    for part in first["loc"]:
        # pydantic names the members of a union in between; the file knows nothing of them.
        if (isinstance(at, dict) and part in at) or (
            isinstance(at, list) and part in range(len(at))
        ):
            at = at[part]
        elif part == first["loc"][-1] and first["type"] == "missing":
            break
        else:
            continue
        where.append(part)
    name = ".".join(str(part) for part in where if isinstance(part, str)) or "the plan"
    if first["type"] == "missing":
        return _Wrong(f"{name} has no {first['loc'][-1]!r}", tuple(where))
    if first["type"] in UNKNOWN:
        return _Wrong(f"{first['loc'][-1]!r} is not known here", tuple(where))
    given = json.dumps(at) if isinstance(at, str | int | float | bool | None) else "what is there"
    message = first["msg"].replace("Input should", "it should").removeprefix("Value error, ")
    return _Wrong(f"{name} cannot be {given} ({message[0].lower()}{message[1:]})", tuple(where))


def _contradictions(plan: Plan) -> Iterator[_Wrong]:
    """What has the right types and still cannot be."""
    if not plan.shots:
        yield _Wrong("there is no shot", ("shots",))
    if any(b <= a for a, b in zip(plan.shots, plan.shots[1:], strict=False)):
        yield _Wrong("the shots are not in the order of time", ("shots",))
    if plan.source.time_base <= 0:
        yield _Wrong("the time base must be above 0", ("source", "time_base"))
    known: set[str] = set()
    for i, person in enumerate(plan.people):
        if person.id in known:
            yield _Wrong(f"two people have the id {person.id!r}", ("people", i, "id"))
        known.add(person.id)
        for k, reference in enumerate(person.references):
            here = ("people", i, "references", k)
            if reference.weight < 0:
                yield _Wrong("a weight cannot be below 0", (*here, "weight"))
            if reference.face[2] <= 0:
                yield _Wrong("the side of a face (third number) must be above 0", (*here, "face"))
    ids: set[int] = set()
    for i, track in enumerate(plan.tracks):
        if track.id in ids:
            yield _Wrong(f"two tracks have the id {track.id}", ("tracks", i, "id"))
        ids.add(track.id)
        if track.person not in known:
            remedy = f"the people are {', '.join(sorted(known)) or 'none'}"
            what = f"there is no person with the id {track.person!r}"
            yield _Wrong(what, ("tracks", i, "person"), remedy)
        if not 0 <= track.shot < len(plan.shots):
            yield _Wrong(f"there is no shot {track.shot}", ("tracks", i, "shot"))
        if not track.path:
            yield _Wrong("a track must have a path", ("tracks", i, "path"))
        for k, span in enumerate(track.left_alone):
            if span.last_pts < span.first_pts:
                what = "a stretch that is left alone cannot end before it begins"
                yield _Wrong(what, ("tracks", i, "left_alone", k))
        for k, knot in enumerate(track.path):
            if k and knot[0] <= track.path[k - 1][0]:
                yield _Wrong("times along a path must grow", ("tracks", i, "path", k))
            if knot[3] <= 0:
                what = "the side of a face (fourth number) must be above 0"
                yield _Wrong(what, ("tracks", i, "path", k))


def laid_out(value: Any, indent: str = "") -> str:
    """JSON in which whatever fits on a line stands on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(flat) <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    deeper = indent + " "
    if isinstance(value, dict):
        rows = [
            f"{json.dumps(k, ensure_ascii=False)}: {laid_out(v, deeper)}" for k, v in value.items()
        ]
        return "{\n" + ",\n".join(deeper + row for row in rows) + f"\n{indent}}}"
    if all(not isinstance(item, dict) for item in value):
        return "[\n" + _filled(value, deeper) + f"\n{indent}]"
    rows = [laid_out(item, deeper) for item in value]
    return "[\n" + ",\n".join(deeper + row for row in rows) + f"\n{indent}]"


def _filled(items: Sequence[Any], indent: str) -> str:
    """Numbers and short lists, as many on a line as fit."""
    lines, line = [], indent
    for k, item in enumerate(items):
        word = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
        word += "," if k + 1 < len(items) else ""
        if len(line) > len(indent) and len(line) + len(word) >= WIDTH:
            lines.append(line)
            line = indent
        line += word if line == indent else " " + word
    return "\n".join([*lines, line])


def _line_of(text: str, where: Where) -> int:
    """The line on which the value at `where` begins (of valid JSON)."""
    at = _skip(text, 0)
    for part in where:
        found = _member(text, at, part)
        if found is None:
            break
        at = found
    return text.count("\n", 0, at) + 1


def _member(text: str, at: int, wanted: str | int) -> int | None:
    """Where the member called (or numbered) `wanted` of the value at `at` begins."""
    decode = json.JSONDecoder().raw_decode
    is_object = text[at] == "{"
    at, number = _skip(text, at + 1), 0
    while text[at] not in "}]":
        name: str | int = number
        if is_object:
            name, at = decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
        if name == wanted:
            return at
        _, at = decode(text, at)
        at, number = _skip(text, at), number + 1
        if text[at] == ",":
            at = _skip(text, at + 1)
    return None


def _skip(text: str, at: int) -> int:
    while text[at].isspace():
        at += 1
    return at
