"""Restored clips against the truth, the whole way a user goes (`vidref restore`), in one table.

    python -m tests.benchmarks.restored_clips --work /tmp/r --limit 550   # again, until done
    python -m tests.benchmarks.restored_clips --work /tmp/r --clips talk-b --model runs/x/bundle

The first frames of each clean clip are degraded (half size, noise, H.264 at a low rate), restored
with shared and with independent noise, each with and without photos of the person, and measured.
Real footage has no truth: there only what needs none is measured. What is done already is kept in
the work folder, so the command can be broken off and given again; with other weights, or another
curve of need, what follows from them is made again (after a change of code, take a new folder, or
delete the `.run.json` in it). A sheet per clip shows input, restored and true faces at 100 %.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from tests.clips import ffmpeg
from tests.tool import command, environment
from vidref import weights
from vidref.evaluation.clip_damage import ClipDamage, degrade_clip
from vidref.evaluation.clips import frames_of, largest_face, measure_clip
from vidref.evaluation.face_cases import write_picture
from vidref.evaluation.judges import Judges
from vidref.evaluation.tables import Row, markdown, means
from vidref.faces.pack import FacePack, load_pack
from vidref.model.found import describe_bundle, is_foreign
from vidref.pipeline.need import MEASURED

CLEAN = ("S001193", "talk-a", "talk-b", "talk-c", "talk-d", "talk-e", "wide-a", "wide-b")
REAL = ("collins-1", "collins-2", "kasparov-1", "old-film", "real-a", "synthetic-a")
VARIANTS = {
    "shared": ("shared", False),
    "shared, photos": ("shared", True),
    "independent": ("independent", False),
    "independent, photos": ("independent", True),
}
TRUTH_COLUMNS = (
    "identity",
    "identity_deviation",
    "identity_step",
    "face_psnr",
    "landmarks",
    "landmarks_deviation",
    "shake",
    "warp_error",
    "warp_ratio",
    "warp_ratio_inside",
)
REAL_COLUMNS = (
    "identity_input",
    "identity_spread",
    "identity_step",
    "face_psnr_input",
    "shake",
    "warp_error",
    "warp_ratio",
    "warp_ratio_inside",
)
SHEET_FRAMES = 3
PHOTOS = 3
HEADER_PX = 24


@dataclass(frozen=True)
class Case:
    """One clip's files: what is restored, what guides the measuring, and photos of the person."""

    name: str
    source: Path
    folder: Path
    has_truth: bool

    @property
    def degraded(self) -> Path:
        return self.folder / "input.mkv"

    @property
    def guide(self) -> Path:
        return self.folder / "truth.mkv" if self.has_truth else self.degraded

    @property
    def photos(self) -> Path:
        return self.folder / "photos"

    def restored(self, variant: str) -> Path:
        return self.folder / f"{variant.replace(', ', '-')}.mkv"


class Remembering:
    """Looks once at each picture: a guide is looked at again for every clip measured by it."""

    def __init__(self, look: Callable[[np.ndarray], Any]) -> None:
        self._look = look
        self._seen: dict[bytes, Any] = {}

    def __call__(self, picture: np.ndarray) -> Any:
        key = hashlib.blake2b(np.ascontiguousarray(picture), digest_size=16).digest()
        if key not in self._seen:
            self._seen[key] = self._look(picture)
        return self._seen[key]


class Clock:
    """Says when to stop beginning anything new."""

    def __init__(self, limit_s: float | None) -> None:
        self._end = None if limit_s is None else time.monotonic() + limit_s

    def is_up(self) -> bool:
        return self._end is not None and time.monotonic() > self._end


def cases(data: Path, work: Path, names: Sequence[str]) -> list[Case]:
    folders = dict.fromkeys(CLEAN, "clean") | dict.fromkeys(REAL, "degraded")
    return [
        Case(
            name,
            data / "clips" / folders[name] / f"{name}.mp4",
            work / name,
            folders[name] == "clean",
        )
        for name in names
    ]


def prepare(case: Case, frames: int, damage: ClipDamage, data: Path, pack: FacePack) -> None:
    """The input, the truth and the photos, once."""
    done = case.folder / "prepared.json"
    wanted = {"frames": frames, "damage": vars(damage) if case.has_truth else None}
    if done.exists() and json.loads(done.read_text()) == wanted:
        return
    case.folder.mkdir(parents=True, exist_ok=True)
    for old in case.folder.glob("*.json"):
        old.unlink()
    if case.has_truth:
        degrade_clip(case.source, case.guide, case.degraded, damage, frames)
        gather_photos(case, frames, data, pack)
    else:
        ffmpeg("-i", case.source, "-an", "-frames:v", str(frames), "-c:v", "ffv1", case.degraded)
    done.write_text(json.dumps(wanted))


def gather_photos(case: Case, frames: int, data: Path, pack: FacePack) -> None:
    """Photos of the dev set where the person is in it, else late true frames of the clip."""
    case.photos.mkdir(exist_ok=True)
    known = sorted((data / "faces-dev").glob(f"{case.name}_ref*.jpg"))
    for path in known:
        (case.photos / path.name).write_bytes(path.read_bytes())
    if known:
        return
    left = sum(1 for _ in frames_of(case.source)) - frames
    wanted = {frames + int(left * (i + 0.5) / PHOTOS) for i in range(PHOTOS)} if left > 0 else set()
    for index, frame in enumerate(frames_of(case.source)):
        if index in wanted and largest_face(frame, pack) is not None:
            write_picture(case.photos / f"late-{index}.png", frame)


def evidence(clip: Path) -> str:
    """What the sidecar says the people were restored from."""
    sidecar = clip.with_name(f"{clip.name}.json")
    if not sidecar.exists():
        return ""
    people = json.loads(sidecar.read_text())["people"]
    references = [one for person in people for one in person["references"]]
    own = sum("pts" in one for one in references)
    return f"{own} own, {len(references) - own} photos"


def restore(case: Case, variant: str, model: str | None, extra: Sequence[str]) -> dict[str, Any]:
    """Run the command unless that was done with these weights; its arguments and seconds."""
    noise, with_photos = VARIANTS[variant]
    plan = case.folder / ("photos.plan.json" if with_photos else "plan.json")
    refs: list[str | Path] = ["--refs", case.photos] if with_photos else []
    if model is None or not is_foreign(model):  # how far is decided for restorers of our kind
        run(plan, ["analyse", case.degraded, "-o", plan, "--overwrite", *refs], by_analysis())
        refs = ["--plan", plan]
    arguments = [*refs, "--noise", noise, "--lossless", "--overwrite", "--json", *extra]
    arguments += ["--model", model] if model else []
    output = case.restored(variant)
    return run(output, ["restore", case.degraded, "-o", output, *arguments], by_weights(model))


def run(output: Path, arguments: Sequence[str | Path], known: str) -> dict[str, Any]:
    """`vidref` with these arguments, unless its output is there and made from what is `known`."""
    record = output.with_suffix(".run.json")
    wanted = {"arguments": [str(argument) for argument in arguments], "known": known}
    if record.exists() and output.exists():
        told: dict[str, Any] = json.loads(record.read_text())
        if all(told.get(name) == value for name, value in wanted.items()):
            return told
    begun = time.monotonic()
    line = command(*arguments)
    done = subprocess.run(line, capture_output=True, text=True, env=environment())
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(line)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    told = {**wanted, "seconds": time.monotonic() - begun, "at": time.time()}
    record.write_text(json.dumps(told))
    return told


def by_analysis() -> str:
    """What an analysis follows from, beside its arguments: who is like whom, and who needs what."""
    parts = [*sorted(weights.FACE_PACK.glob("*.onnx")), MEASURED]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()


def by_weights(model: str | None) -> str:
    """The same for what is restored."""
    where = model or "bundled"
    digest = where if is_foreign(where) else describe_bundle(where).sha256
    return f"{digest} {by_analysis()}"


def measure(case: Case, clip: Path, pack: FacePack, judges: Judges) -> dict[str, float]:
    """The clip's summary, measured anew only if the clip is newer."""
    record = clip.with_suffix(".measured.json")
    if record.exists() and record.stat().st_mtime > clip.stat().st_mtime:
        kept: dict[str, float] = json.loads(record.read_text())
        return kept
    summary, _ = measure_clip(clip, case.guide, pack, judges, guide_is_truth=case.has_truth)
    record.write_text(json.dumps(summary))
    return summary


def rows_of(case: Case, variants: Sequence[str], pack: FacePack, judges: Judges) -> list[Row]:
    clips = {"input": case.degraded}
    clips |= {variant: case.restored(variant) for variant in variants}
    columns = TRUTH_COLUMNS if case.has_truth else REAL_COLUMNS
    rows: list[Row] = []
    for name, clip in clips.items():
        if clip.exists():
            summary = measure(case, clip, pack, judges)
            measured = {column: summary[column] for column in columns if column in summary}
            row = {"clip": case.name, "what": name, "references": evidence(clip)}
            rows.append({**row, **measured})
    return rows


def sheet(case: Case, variants: Sequence[str], pack: FacePack, frames: int) -> Path:
    """Some frames' faces as they are in the frame, one row a moment."""
    clips = {"input": case.degraded}
    clips |= {name: path for name in variants if (path := case.restored(name)).exists()}
    if case.has_truth:
        clips["truth"] = case.guide
    wanted = {round(frames * (i + 0.5) / SHEET_FRAMES) for i in range(SHEET_FRAMES)}
    rows, side = [], 0
    for index, moment in enumerate(in_step(list(clips.values()))):
        if index not in wanted:
            continue
        guide = moment[-1] if case.has_truth else moment[0]
        face = largest_face(guide, pack)
        if face is None:
            continue
        side = side or int(1.7 * max(face.box_xyxy[2:] - face.box_xyxy[:2]))
        middle = (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2
        rows.append(np.concatenate([window(frame, middle, side) for frame in moment], 1))
    if not rows:
        return case.folder
    head = np.full((HEADER_PX, rows[0].shape[1], 3), 255, np.uint8)
    for column, name in enumerate(clips):
        place = (column * side + 4, HEADER_PX - 8)
        cv2.putText(head, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    path = case.folder / f"{case.name}.png"
    write_picture(path, np.concatenate([head, *rows], 0))
    return path


def in_step(clips: Sequence[Path]) -> Iterator[list[np.ndarray]]:
    yield from (list(moment) for moment in zip(*map(frames_of, clips), strict=True))


def window(frame: np.ndarray, middle: np.ndarray, side: int) -> np.ndarray:
    """A square of the frame at 100 %, its edge repeated beyond it."""
    padded = cv2.copyMakeBorder(frame, side, side, side, side, cv2.BORDER_REPLICATE)
    left, top = (round(float(value)) + side - side // 2 for value in middle)
    return np.asarray(padded[top : top + side, left : left + side])


def verdicts(rows: Sequence[Row]) -> list[Row]:
    """The targets of the protocol, clip by clip."""
    by_clip: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_clip.setdefault(str(row["clip"]), {})[str(row["what"])] = row
    found: list[Row] = []
    for name, measured in by_clip.items():
        for variant in ("shared", "shared, photos"):
            if variant not in measured or "identity" not in measured["input"]:
                continue
            mine, before = measured[variant], measured["input"]
            line: dict[str, str | float] = {"clip": name, "what": variant}
            line["identity gained"] = number(mine, "identity") - number(before, "identity")
            line["identity deviation / input's"] = number(mine, "identity_deviation") / number(
                before, "identity_deviation"
            )
            line["temporal error / truth's"] = number(mine, "warp_ratio")
            line["the same inside the mask"] = number(mine, "warp_ratio_inside")
            other = measured.get(variant.replace("shared", "independent"))
            if other is not None:
                line["temporal error / independent's"] = number(mine, "warp_error") / number(
                    other, "warp_error"
                )
            found.append(line)
    return found


def number(row: Row, name: str) -> float:
    return float(row.get(name, float("nan")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, required=True, help="Clips, records and sheets.")
    parser.add_argument("--clips", nargs="+", default=[*CLEAN, *REAL], choices=[*CLEAN, *REAL])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--shrink", type=float, default=2.0, help="How much smaller, to damage.")
    parser.add_argument("--model")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="Begin nothing new after.")
    parser.add_argument("--restore-options", default="", help="More of `vidref restore`, quoted.")
    asked = parser.parse_args()
    clock, damage = Clock(asked.limit), ClipDamage(shrink=asked.shrink)
    pack: Any = SimpleNamespace(detect=Remembering(load_pack(threads=1).detect))
    found: Any = Judges.find(asked.data / "teachers")
    judges: Any = SimpleNamespace(
        identity=SimpleNamespace(embed=Remembering(found.identity.embed)),
        landmarks=SimpleNamespace(find=Remembering(found.landmarks.find)),
    )
    with_truth: list[Row] = []
    without: list[Row] = []
    spent: list[Row] = []
    left_over = 0
    for case in cases(asked.data, asked.work, asked.clips):
        variants = [v for v in asked.variants if case.has_truth or not VARIANTS[v][1]]
        if clock.is_up():
            left_over += len(variants)
            continue
        prepare(case, asked.frames, damage, asked.data, pack)
        for variant in variants:
            if VARIANTS[variant][1] and not any(case.photos.iterdir()):
                continue
            if clock.is_up():
                left_over += 1
                continue
            told = restore(case, variant, asked.model, asked.restore_options.split())
            spent.append({"clip": case.name, "what": variant, "seconds": told["seconds"]})
        (with_truth if case.has_truth else without).extend(rows_of(case, variants, pack, judges))
        print(f"{case.name}: {sheet(case, variants, pack, asked.frames)}", flush=True)
    print(f"\nFirst {asked.frames} frames; damage {damage}; model {asked.model or 'bundled'}\n")
    print(markdown([*with_truth, *averages(with_truth)]))
    print(markdown(verdicts(with_truth)))
    if without:
        print("Without a truth (the degraded clip guides):\n")
        print(markdown(without))
    print(markdown(spent))
    if left_over:
        print(f"{left_over} runs are left: give the command again.")


def averages(rows: Sequence[Row]) -> list[Row]:
    """The mean of every variant over the clips."""
    kinds = list(dict.fromkeys(str(row["what"]) for row in rows))
    return [
        {"clip": "mean", "what": kind, **means([row for row in rows if row["what"] == kind])}
        for kind in kinds
    ]


if __name__ == "__main__":
    main()
