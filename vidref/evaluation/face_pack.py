"""Measures a face pack on what no training step saw, beside the teacher and the judge.

Scenes and photographs of split `dev`, and the clips. Writes the figures (`figures.json`), the same
as a table (`table.md`), and its failures as pictures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vidref.errors import InputError
from vidref.evaluation import face_pack_clips as clips
from vidref.evaluation import face_pack_detector as detection
from vidref.evaluation import face_pack_people as people_across
from vidref.evaluation import face_pack_recogniser as recognition
from vidref.evaluation.face_pack_degradation import MODERATE, SEVERE
from vidref.evaluation.face_pack_networks import Detects, Embeds, JudgeRecogniser, TeacherDetector
from vidref.evaluation.face_pack_points import measure_points
from vidref.faces.many_looks import ManyLooks
from vidref.faces.pack import FACE_PX, FacePack, load_pack

LEAST_MEASURED = 0.02
"""Scores are swept from here up, to find the best recall at a precision."""
PRECISION = 0.95
SAME_PERSON_CLIPS = [("collins-1.mp4", "collins-2.mp4")]
TIMED_RUNS = 40
"""As many are not counted: by then a pack works as it will go on working."""


@dataclass
class Figures:
    """Name of a figure -> name of a network -> value."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, row: str, column: str, value: Any) -> None:
        self.rows.setdefault(row, {})[column] = value

    def table(self) -> str:
        columns = list(dict.fromkeys(c for row in self.rows.values() for c in row))
        lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
        for name, row in self.rows.items():
            cells = [_written(row[c]) if c in row else "" for c in columns]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        return "\n".join(lines) + "\n"


def _written(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def measure_pack(
    source: str,
    data: Path,
    out: Path,
    parts: set[str],
    fold: Path | None,
    say: Callable[[str], None],
    every: int = 1,
    threads: int = 0,
) -> Figures:
    """`parts` of: detector, clips, people, recogniser, speed.

    `fold` lists scenes to use instead of dev. Of the clips' frames, every `every`-th is measured.
    """
    if not (data / "scenes.json").is_file():
        raise InputError(f"No scenes.json in {data}: point --data at the folder that holds it.")
    out.mkdir(parents=True, exist_ok=True)
    pack = load_pack(source, threads)
    figures = Figures()
    teacher = TeacherDetector(data / "teachers" / "detector-teacher.onnx", LEAST_MEASURED)
    judge = JudgeRecogniser(data / "teachers" / "identity-judge.onnx")
    if "detector" in parts:
        left_out = detection.read_fold(fold) if fold is not None else None
        scenes = detection.read_scenes(data, left_out)
        if not scenes:
            raise InputError(f"{fold} names no scene of {data / 'scenes.json'}.")
        _detector(figures, pack, teacher, scenes, out, say)
        _points(figures, pack, teacher, data, scenes, say)
    if "clips" in parts:
        _clips(figures, pack, data, out, say, every)
    if "people" in parts:
        _people(figures, pack, data, threads, say)
    if "recogniser" in parts:
        _recogniser(figures, pack, judge, recognition.read_photographs(data), say)
    if "speed" in parts:
        _speed(figures, pack, teacher, say)
    size = sum(f.stat().st_size for f in pack.folder.glob("*.onnx"))
    figures.add("size, MiB", "pack", size / 2**20)
    (out / "figures.json").write_text(json.dumps(figures.rows, indent=1))
    (out / "table.md").write_text(figures.table())
    return figures


def _detector(
    figures: Figures,
    pack: FacePack,
    teacher: Detects,
    scenes: list[detection.Scene],
    out: Path,
    say: Callable[[str], None],
) -> None:
    swept = pack.with_least_score(LEAST_MEASURED)
    least = pack.least_score
    true = sum(int(scene.truth.counts.sum()) for scene in scenes)
    figures.add("scenes / true faces", "pack", f"{len(scenes)} / {true}")
    kinds: dict[str, Callable[[Detects], detection.Tallies]] = {
        "clean": lambda d: detection.measure_clean(d, scenes, least),
        "severe, of each face": lambda d: detection.measure_degraded_faces(
            d, scenes, SEVERE, 0, least
        ),
        "severe, of the picture": lambda d: detection.measure_degraded(d, scenes, SEVERE, 0, least),
    }
    columns: dict[str, Detects] = {"pack": swept, "teacher": teacher}
    for kind, run in kinds.items():
        for column, detector in columns.items():
            tallies = run(detector)
            _add_tally(figures, kind, column, tallies.as_labelled, least)
            _add_tally(figures, f"{kind}, put right", column, tallies.put_right, least)
            if column == "pack":
                draw_failures(tallies.put_right, scenes, out / f"detector {kind}.png")
        say(f"detector, {kind}: done")


def _points(
    figures: Figures,
    pack: FacePack,
    teacher: Detects,
    data: Path,
    scenes: list[detection.Scene],
    say: Callable[[str], None],
) -> None:
    looks = ManyLooks(data / "teachers" / "detector-teacher.onnx")
    finders: dict[str, Detects] = {"pack": pack, "teacher": teacher}
    errors = measure_points(finders, looks, scenes, pack.least_score)
    for who, of_faces in errors.of.items():
        column = who if who in finders else "teacher"
        row = "points against the teacher's median look"
        row += "" if who in finders else f", {who}"
        figures.add(f"{row}: faces", column, len(of_faces))
        figures.add(f"{row}: mean", column, float(np.mean(of_faces)))
        figures.add(f"{row}: median", column, float(np.median(of_faces)))
    say("points: done")


def _add_tally(
    figures: Figures, kind: str, column: str, tally: detection.Tally, least: float
) -> None:
    recall, score = tally.recall_at_precision(PRECISION)
    figures.add(f"{kind}: recall at precision {PRECISION}", column, recall)
    figures.add(f"{kind}: score there", column, score)
    if column == "pack":
        recall, precision = tally.at_score(least)
        figures.add(f"{kind}: true faces", column, tally.true)
        figures.add(f"{kind}: recall at the default score", column, recall)
        figures.add(f"{kind}: precision at the default score", column, precision)
    figures.add(f"{kind}: landmark error", column, tally.landmark_error(least))


def _clips(
    figures: Figures,
    pack: FacePack,
    data: Path,
    out: Path,
    say: Callable[[str], None],
    every: int,
) -> None:
    figures.add("clips: measured frames", "pack", f"1 in {every}")
    teacher = TeacherDetector(data / "teachers" / "detector-teacher.onnx", 0.6)
    found = true = 0.0
    for clip in sorted((data / "clips").glob("*/*.mp4")):
        result = clips.measure_clip(pack, teacher, clip, every, pack.least_score)
        recall, precision = result.tally.at_score(pack.least_score)
        figures.add(
            f"{clip.name}: recall, precision, faces",
            "pack",
            f"{recall:.3f}, {precision:.3f}, {result.tally.true}",
        )
        found, true = found + recall * result.tally.true, true + result.tally.true
        _draw_missed(result, out / f"missed-{clip.stem}.png")
        say(f"{clip.name}: recall {recall:.3f}")
    figures.add("clips: recall, all faces", "pack", found / max(1.0, true))
    empty = [
        scene
        for scene in detection.read_scenes(data)
        if not len(scene.truth.counts) and scene.mistake != detection.MISSED
    ]
    longest = clips.longest_false_track(pack, empty, 0)
    figures.add(
        "clips without faces: longest false track, clips with one above 3",
        "pack",
        f"{max(longest.values())}, {sum(n > 3 for n in longest.values())} of {len(longest)}",
    )
    figures.add(
        "clips without faces: which", "pack", " ".join(n for n, v in longest.items() if v > 3)
    )
    say("clips without faces: done")


def _people(
    figures: Figures, pack: FacePack, data: Path, threads: int, say: Callable[[str], None]
) -> None:
    found = {}
    for clip in sorted((data / "clips").glob("*/*.mp4")):
        found[clip.name] = people_across.people_of(clip, pack, threads)
        say(f"{clip.name}: people {len(found[clip.name])}")
    apart = people_across.separation(found, SAME_PERSON_CLIPS)
    for kind, pairs in (("same person", apart.same), ("different people", apart.different)):
        for pair, cosine in pairs.items():
            figures.add(f"{kind}: {pair}", "pack", cosine)
    figures.add("different people in one clip, at most", "pack", apart.gap[0])
    figures.add("same person in two clips, at least", "pack", apart.gap[1])
    figures.add("threshold for one person", "pack", pack.same_person)


def _recogniser(
    figures: Figures,
    pack: Embeds,
    judge: Embeds,
    photos: recognition.Photographs,
    say: Callable[[str], None],
) -> None:
    for column, network in (("pack", pack), ("judge", judge)):
        results = {
            "clean": recognition.verify_clean(network, photos, 0),
            "one side moderate": recognition.verify_degraded(network, photos, MODERATE, 0),
            "one side severe": recognition.verify_degraded(network, photos, SEVERE, 0),
        }
        for kind, result in results.items():
            figures.add(f"{kind}: true accepts at 1 in 1,000", column, result.accepts)
            interval = f"{result.low:.3f} to {result.high:.3f}"
            figures.add(f"{kind}: 95 % interval over people", column, interval)
            figures.add(f"{kind}: threshold", column, result.threshold)
        say(f"recogniser, {column}: done")


def _speed(figures: Figures, pack: FacePack, teacher: Detects, say: Callable[[str], None]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (640, 640, 3)).astype(np.uint8)
    frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), 5), np.uint8)
    crop = frame[:FACE_PX, :FACE_PX]
    figures.add("ms per 640 px frame (median)", "pack", _milliseconds(lambda: pack.detect(frame)))
    figures.add(
        "ms per 640 px frame (median)", "teacher", _milliseconds(lambda: teacher.detect(frame))
    )
    figures.add(
        "ms per embedding, mirror included (median)",
        "pack",
        _milliseconds(lambda: pack.embed_aligned([crop])),
    )
    say("speed: done")


def _milliseconds(call: Callable[[], object]) -> float:
    spent = []
    for _ in range(2 * TIMED_RUNS):
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return float(np.median(spent[TIMED_RUNS:]) * 1000)


def draw_failures(tally: detection.Tally, scenes: list[detection.Scene], path: Path) -> None:
    """Missed faces (red) and wrong ones (yellow, with their score), cut out with surroundings."""
    images = {scene.name: scene.image for scene in scenes}
    tiles = [_tile(images[name], box, (255, 0, 0), "") for name, box in tally.missed]
    tiles += [
        _tile(images[name], box, (255, 220, 0), f"{score:.2f}") for name, box, score in tally.wrong
    ]
    _write_sheet(tiles, path)


def _draw_missed(result: clips.ClipResult, path: Path) -> None:
    _write_sheet([_tile(image, box, (255, 0, 0), "") for image, box in result.worst], path)


def _tile(image: Any, box: Any, colour: tuple[int, int, int], text: str) -> Any:
    size = 128
    scale = size / (2.2 * float((box[2:] - box[:2]).max()))
    middle = (box[:2] + box[2:]) / 2
    matrix = np.hstack([np.eye(2) * scale, (size / 2 - scale * middle)[:, None]])
    tile = cv2.warpAffine(image, matrix, (size, size))
    left, top, right, bottom = (
        int(v) for v in np.concatenate([box[:2], box[2:]]) * scale + np.tile(matrix[:, 2], 2)
    )
    cv2.rectangle(tile, (left, top), (right, bottom), colour, 1)
    return cv2.putText(tile, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1)


def _write_sheet(tiles: list[Any], path: Path) -> None:
    if not tiles:
        path.unlink(missing_ok=True)
        return
    tiles = tiles[:96]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % 12)
    rows = [np.hstack(tiles[i : i + 12]) for i in range(0, len(tiles), 12)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
