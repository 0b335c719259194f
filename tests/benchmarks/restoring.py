"""What `vidref restore` costs beside the model: speed and memory of a 720p clip with one face.

Run by hand: `python -m tests.benchmarks.restoring > tests/benchmarks/results/restoring.md`. The
plan is made once beforehand; every run is a process of its own and they take turns, so that
whatever else the machine does hits all of them. A stand-in with next to no arithmetic takes the
model's place where the cost of everything else is measured.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from tests.benchmarks.streaming import Run, commands, measure, write_source
from tests.people_clips import Portrait, frames_of, write_pictures
from tests.stand_in import save_stand_in
from tests.tool import PASS, command, environment
from vidref.model.loading import load_restorer
from vidref.model.restorer import Face, Sampling
from vidref.settings import Settings

SIZE = (1280, 720)
FACE = Portrait("studio", 600, (300.0, 60.0), (0.4, 0.1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--long", type=int, default=2000)
    parser.add_argument("--short", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(report(Path(folder), wanted.frames, wanted.short, wanted.long, wanted.rounds))


def report(folder: Path, frames: int, short: int, long: int, rounds: int) -> str:
    stand_in = save_stand_in(folder / "stand-in")
    clip, plan = clip_with_plan(folder, frames)
    empty = folder / "empty.mp4"
    write_source(empty, frames)
    output = folder / "out.mp4"
    start = command(*PASS, clip, "-o", output, "--overwrite", "--quiet", "--dry-run")

    def restore(source: Path, *more: str | Path) -> list[str]:
        return command("restore", source, "-o", output, "--overwrite", "--quiet", *more)

    runs = {
        "bundled": restore(clip, "--plan", plan),
        "stand-in": restore(clip, "--plan", plan, "--model", stand_in),
        "pass": command(*PASS, clip, "-o", output, "--overwrite", "--quiet"),
        "one frame": restore(clip, "--plan", plan, "--model", stand_in, "--end", "0.04"),
        "pass one frame": command(
            *PASS, clip, "-o", output, "--overwrite", "--quiet", "--end", "0.04"
        ),
        "empty": restore(empty, "--model", stand_in),
        "empty pass": command(*PASS, empty, "-o", output, "--overwrite", "--quiet"),
        "empty ffmpeg": commands(empty, output)["ffmpeg"],
        "start": start,
    }
    taken: dict[str, list[Run]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, arguments in runs.items():
            taken[name].append(measure(arguments))
    wall = {name: statistics.median(run.wall_s for run in done) for name, done in taken.items()}
    bundled, stand = model_seconds("bundled", frames), model_seconds(str(stand_in), frames)
    working = wall["stand-in"] - wall["one frame"] - stand
    passing = wall["pass"] - wall["pass one frame"]
    slowest = max(bundled, passing)
    whole = wall["bundled"] - wall["one frame"]
    memory = {
        count: measure(
            restore(*_with_plan(clip_with_plan(folder, count)), "--model", stand_in)
        ).peak_bytes
        for count in (short, long)
    }
    return "\n".join(
        [
            f"{frames} frames of {SIZE[0]}x{SIZE[1]} with one face, medians of {rounds} rounds in "
            f"turns, {torch.get_num_threads()} threads; start-up is taken off.",
            "",
            "| what | wanted | measured |",
            "|---|---|---|",
            f"| whole run against its slowest stage alone (the model: {bundled:.1f} s) "
            f"| 1.10 | {whole / slowest:.2f} ({whole:.1f} s) |",
            f"| everything but the model and the transcode, ms a frame | 15 "
            f"| {1000 * (working - passing) / frames:.1f} |",
            f"| everything but the model, ms a frame | | {1000 * working / frames:.1f} |",
            f"| a clip without faces, analysis and all, against the transcode | 0.85 "
            f"| {wall['empty pass'] / wall['empty']:.2f} |",
            f"| the same clip passed through (`--faces none`), against ffmpeg | 0.85 "
            f"| {wall['empty ffmpeg'] / wall['empty pass']:.2f} |",
            f"| peak memory, {long} frames against {short} | 1.05 "
            f"| {memory[long] / memory[short]:.3f} ({memory[long] / 2**20:.0f} MiB) |",
            f"| frames a second, bundled model, default steps | | {frames / whole:.2f} |",
        ]
    )


def _with_plan(made: tuple[Path, Path]) -> tuple[Path, str, Path]:
    clip, plan = made
    return clip, "--plan", plan


def clip_with_plan(folder: Path, frames: int) -> tuple[Path, Path]:
    clip, plan = folder / f"{frames}.mp4", folder / f"{frames}.json"
    if not plan.exists():
        write_pictures(clip, frames_of([FACE], frames, SIZE))
        subprocess.run(
            command("analyse", clip, "-o", plan, "--quiet"), check=True, env=environment()
        )
    return clip, plan


def model_seconds(where: str, faces: int) -> float:
    """The model alone on so many faces, in calls of its own batch."""
    model = load_restorer(where, "cpu")
    size = model.crop_px
    face = Face(torch.zeros(3, size, size), "somebody", model.remember([]))
    sampling = Sampling(steps=Settings.load().model.steps)
    model.restore([face] * model.batch, sampling)
    calls = []
    for _ in range(5):
        begun = time.perf_counter()
        model.restore([face] * model.batch, sampling)
        calls.append(time.perf_counter() - begun)
    return statistics.median(calls) * -(-faces // model.batch)


if __name__ == "__main__":
    sys.exit(main())
