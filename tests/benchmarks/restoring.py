"""What `vidref restore` costs beside the model: speed and memory of a 720p clip with one face.

Run by hand: `python -m tests.benchmarks.restoring > tests/benchmarks/results/restoring.md`. The
plan is made once beforehand; every run is a process of its own and they take turns, so that
whatever else the machine does hits all of them.

What the whole run is compared with: the slowest stage alone, which is the network with the clip's
own references, so many calls at a time as in a run; and what no order of work
can beat, all CPU time together over all cores. Start-up is taken off everywhere.
`--pin` keeps every stage to one of two cores (`pinned.py`).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path

import numpy as np

from tests.benchmarks.pinned import in_turn
from tests.benchmarks.streaming import WITHOUT, Run, commands, measure, write_source
from tests.people_clips import Portrait, frames_of, write_pictures
from tests.tool import PASS, command, environment
from vidref.faces.geometry import take_crop
from vidref.media.frames import Frame
from vidref.media.reader import Reader
from vidref.model.restorer import Face
from vidref.pipeline.cores import model_share
from vidref.pipeline.plan import Plan
from vidref.pipeline.plan_file import load_plan, save_plan
from vidref.pipeline.rebuild import as_tensor
from vidref.pipeline.restoration import Restoration, open_model
from vidref.settings import Settings

SIZE = (1280, 720)
FACE = Portrait("studio", 600, (300.0, 60.0), (0.4, 0.1))
WITH_MODEL, WITHOUT_MODEL = "0,*,1", "1,1,0"
"""The cores of the stages (see `pinned.py`): calls of a model take turns in both of two."""
SMALLER = Portrait("studio", 300, (400.0, 200.0), (0.4, 0.1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--long", type=int, default=2000)
    parser.add_argument("--short", type=int, default=100)
    parser.add_argument("--empty", type=int, default=500, help="Frames of the clip without faces.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help="Keep the clips and their plans there.")
    parser.add_argument("--prepare", action="store_true", help="Make those and nothing else.")
    parser.add_argument("--pin", action="store_true", help="Each stage on its core, of two.")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = wanted.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if wanted.prepare:
            for frames in (wanted.frames, wanted.short, wanted.long):
                clip_with_plan(folder, frames)
            clip_with_plan(folder, wanted.frames, SMALLER)
        else:
            lengths = wanted.frames, wanted.short, wanted.long, wanted.empty
            print(report(folder, lengths, wanted.rounds, wanted.pin))


def report(
    folder: Path, lengths: tuple[int, int, int, int], rounds: int, pinned: bool = False
) -> str:
    frames, short, long, without = lengths
    clip, plan = clip_with_plan(folder, frames)
    small, small_plan = clip_with_plan(folder, frames, SMALLER)
    empty = folder / f"empty-{without}.mp4"
    if not empty.exists():
        write_source(empty, without, WITHOUT)
    output = folder / "out.mp4"
    usual = ["-o", output, "--overwrite", "--quiet"]
    one = ["--end", "0.04"]

    def nothing(source: Path, plan: Path, *more: str) -> list[str]:
        module = "tests.benchmarks.nothing_model"
        return [sys.executable, "-m", module, str(source), str(plan), str(output), *more]

    def placed(cores: str, arguments: list[str]) -> list[str]:
        """On these cores; where the process would count only one, it is told of two."""
        if not pinned:
            return arguments
        python, _, *words = arguments
        threads = ["threads=2"] if words[0].endswith("nothing_model") else ["--threads", "2"]
        return [python, "-m", "tests.benchmarks.pinned", cores, *words, *threads]

    runs = {
        "bundled": command("restore", clip, "--plan", plan, *usual),
        "bundled, one frame": command("restore", clip, "--plan", plan, *usual, *one),
        "nothing": nothing(clip, plan),
        "nothing, one frame": nothing(clip, plan, "end=0.04"),
        "pass": command(*PASS, clip, *usual),
        "pass, one frame": command(*PASS, clip, *usual, *one),
        "nothing, smaller": nothing(small, small_plan),
        "pass, smaller": command(*PASS, small, *usual),
        "empty": command("restore", empty, *usual),
        "empty, one frame": command("restore", empty, *usual, *one),
        "empty pass": command(*PASS, empty, *usual),
    }
    for name in runs:
        runs[name] = placed(WITH_MODEL if name.startswith("bundled") else WITHOUT_MODEL, runs[name])
    runs["empty ffmpeg"] = commands(empty, output)["ffmpeg"]
    taken: dict[str, list[Run]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, arguments in runs.items():
            taken[name].append(measure(arguments))
            print(f"{name}: {taken[name][-1]}", file=sys.stderr, flush=True)
    wall = {name: statistics.median(run.wall_s for run in done) for name, done in taken.items()}
    cpu = {name: statistics.median(run.cpu_s for run in done) for name, done in taken.items()}
    calls = model_share(side_by_side=True).calls
    model, model_cpu = model_seconds(clip, plan, frames, calls)
    on_one, _ = model_seconds(clip, plan, frames, 1)

    def beyond_the_pass(seconds: dict[str, float], which: str) -> float:
        """Milliseconds a frame, start-up taken off both."""
        working = seconds[f"nothing{which}"] - seconds["nothing, one frame"]
        passing = seconds[f"pass{which}"] - seconds["pass, one frame"]
        return 1000 * (working - passing) / (frames - 1)

    whole = wall["bundled"] - wall["bundled, one frame"]
    slowest = max(model, wall["pass"] - wall["pass, one frame"])
    cores = len(os.sched_getaffinity(0))
    beside = cpu["nothing"] - cpu["nothing, one frame"]
    bound = max(slowest, (model_cpu + beside) / cores)
    looking = wall["empty"] - wall["empty, one frame"]
    passing = wall["empty pass"] - wall["pass, one frame"]
    memory = {count: _peak(folder, count, nothing) for count in {short, long}}
    rows = [
        (f"whole run against its slowest stage alone (the model: {model:.1f} s)",
         "1.10", f"{whole / slowest:.2f} ({whole:.1f} s)"),
        (f"the same against the model alone on one core ({on_one:.1f} s)",
         "", f"{whole / on_one:.2f}"),
        (f"the same against all CPU time together over {cores} cores ({bound:.1f} s)",
         "1.10", f"{whole / bound:.2f}"),
        ("the whole run less the model alone, ms a frame",
         "", f"{1000 * (whole - model) / (frames - 1):.1f}"),
        ("everything but model and transcode, face of 455 px, ms a frame",
         "15", f"{beyond_the_pass(wall, ''):.1f}"),
        ("the same in CPU time", "", f"{beyond_the_pass(cpu, ''):.1f}"),
        ("the same with a face of 230 px, ms a frame", "15",
         f"{beyond_the_pass(wall, ', smaller'):.1f}"),
        ("the same in CPU time", "", f"{beyond_the_pass(cpu, ', smaller'):.1f}"),
        (f"{without} frames without faces, analysis, start-up and all, against the pass",
         "0.85", f"{wall['empty pass'] / wall['empty']:.2f}"),
        ("the same with both start-ups taken off", "", f"{passing / looking:.2f}"),
        ("the same clip passed through (`--faces none`), against ffmpeg",
         "0.85", f"{wall['empty ffmpeg'] / wall['empty pass']:.2f}"),
        ("start-up and one frame, s: the pass", "", f"{wall['pass, one frame']:.2f}"),
        ("a clip without faces", "", f"{wall['empty, one frame']:.2f}"),
        ("the bundled model", "", f"{wall['bundled, one frame']:.2f}"),
        (f"peak memory, {long} frames against {short}", "1.05",
         f"{memory[long] / memory[short]:.3f} ({memory[long] / 2**20:.0f} MiB)"),
        ("frames a second, bundled model, default steps", "", f"{frames / whole:.2f}"),
    ]  # fmt: skip
    return "\n".join(
        [
            f"{frames} frames of {SIZE[0]}x{SIZE[1]} with one face, medians of {rounds} rounds in "
            f"turns, {calls} calls of the model at a time{', pinned' * pinned}, load "
            f"{os.getloadavg()[0]:.1f} on {cores} cores when the last ended. In place of the "
            "model, where its cost is left out, one that computes nothing on crops of 512 px.",
            "",
            "| what | wanted | measured |",
            "|---|---|---|",
            *(f"| {what} | {wanted} | {found} |" for what, wanted, found in rows),
        ]
    )


def _peak(folder: Path, frames: int, nothing: Callable[..., list[str]]) -> int:
    return measure(nothing(*clip_with_plan(folder, frames))).peak_bytes


def clip_with_plan(folder: Path, frames: int, face: Portrait = FACE) -> tuple[Path, Path]:
    stem = f"{frames}-{face.height}"
    clip, plan = folder / f"{stem}.mp4", folder / f"{stem}.json"
    if not plan.exists():
        write_pictures(clip, frames_of([face], frames, SIZE))
        subprocess.run(
            command("analyse", clip, "-o", plan, "--quiet"), check=True, env=environment()
        )
        # The portrait is sharp and would be left alone: here it shall cost what a poor one costs.
        found = load_plan(plan)
        tracks = tuple(replace(track, restore=True, strength=1.0) for track in found.tracks)
        save_plan(replace(found, tracks=tracks), plan)
    return clip, plan


def model_seconds(clip: Path, plan: Path, faces: int, calls: int) -> tuple[float, float]:
    """The bundled model alone on so many faces of the clip, with the references that they have in
    it, in calls of its own batch, so many at a time, each on a core: wall and CPU time."""
    settings = Settings.load(None, {})
    model = open_model(settings)
    restoration = Restoration.prepare(load_plan(plan), clip, None, settings, model)
    person, context = next(iter(restoration.evidence.contexts.items()))
    batch = [
        Face(as_tensor(crop), person, context)
        for crop in islice(crops_of(clip, load_plan(plan), model.crop_px), model.batch)
    ]
    call = in_turn(sorted(os.sched_getaffinity(0)), model.restore)
    walls, cpus = [], []
    with ThreadPoolExecutor(calls) as pool:

        def some() -> list[object]:
            return list(pool.map(call, [batch] * 3 * calls, repeat(restoration.touch.sampling)))

        some()
        for _ in range(5):
            begun, cpu = time.perf_counter(), time.process_time()
            some()
            walls.append((time.perf_counter() - begun) / (3 * calls))
            cpus.append((time.process_time() - cpu) / (3 * calls))
    needed = -(-faces // model.batch)
    return statistics.median(walls) * needed, statistics.median(cpus) * needed


def crops_of(clip: Path, plan: Plan, crop_px: int) -> Iterator[np.ndarray]:
    """The faces of the clip as the model gets them."""
    with Reader(clip) as reader:
        for frame in reader:
            if isinstance(frame, Frame):
                for face in plan.faces_at(frame.pts):
                    rgb = frame.image.to_ndarray(format="rgb24")
                    yield take_crop(rgb, face.placement, crop_px)


if __name__ == "__main__":
    sys.exit(main())
