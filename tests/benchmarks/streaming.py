"""How `vidref restore` streams, against a bare PyAV loop and the ffmpeg binary: speed and memory.

Run by hand: `python -m tests.benchmarks.streaming > tests/benchmarks/results/streaming.md`. All
three decode the same 720p clip with sound, encode it with vidref's default H.264 settings and copy
the sound; each is a process of its own, and they take turns (A B C A B C ...) so that whatever else
the machine does hits all of them. Start-up time is in every figure, and shown on its own as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil

from tests.tool import PASS, command, environment
from vidref.media.families import FAMILIES

ENCODER = dict(FAMILIES["h264"].options)  # what vidref itself uses: crf and preset
WIDTH, HEIGHT, RATE, SOUND_RATE = 1280, 720, 25, 48_000
POLL_S = 0.02
BARE_LOOP = Path(__file__).parent / "bare_loop.py"
TOOLS = ("vidref", "pyav", "ffmpeg")
SLOWEST = {"pyav": 0.90, "ffmpeg": 0.85}  # vidref's throughput as a share of theirs, at least
LARGEST_GROWTH = 1.05  # of memory, from the short clip to the long one


@dataclass(frozen=True)
class Run:
    """What one process took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int


WITH_A_FACE = ("astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry", "retina")
WITHOUT = ("coffee", "rocket", "immunohistochemistry", "retina")


def write_source(path: Path, frames: int, names: Sequence[str] = WITH_A_FACE) -> None:
    """Slow views over photographs, sharp and free of noise, with a new shot every four seconds."""
    import cv2
    from skimage import data

    pictures = [_enlarged(getattr(data, name)()) for name in names]
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = out.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        step = SOUND_RATE // RATE
        for index in range(frames):
            shot, moment = divmod(index, 4 * RATE)
            picture = pictures[shot % len(pictures)]
            angle, zoom = 0.0004 * moment, 1.0 + 0.001 * moment
            scale = 1 / zoom
            matrix = np.array(
                [
                    [scale * np.cos(angle), -scale * np.sin(angle), 10.0 + 0.9 * moment],
                    [scale * np.sin(angle), scale * np.cos(angle), 10.0 + 0.5 * moment],
                ]
            )
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            view = cv2.warpAffine(
                picture, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT
            )
            image = av.VideoFrame.from_ndarray(view, format="rgb24")
            image.pts, image.time_base = index, Fraction(1, RATE)
            out.mux(video.encode(image))
            when = (np.arange(step) + index * step) / SOUND_RATE
            wave = 0.2 * np.sin(2 * np.pi * (220 + 30 * np.sin(when)) * when)
            piece = av.AudioFrame.from_ndarray(
                np.stack([wave, wave[::-1]]).astype(np.float32), format="fltp", layout="stereo"
            )
            piece.sample_rate, piece.pts = SOUND_RATE, index * step
            piece.time_base = Fraction(1, SOUND_RATE)
            out.mux(sound.encode(piece))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))


def _enlarged(picture: np.ndarray) -> np.ndarray:
    import cv2

    scale = 1.15 * max(WIDTH / picture.shape[1], HEIGHT / picture.shape[0])
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_LANCZOS4)


def commands(source: Path, output: Path) -> dict[str, list[str]]:
    options = [part for key, value in ENCODER.items() for part in (f"-{key}", value)]
    pairs = [f"{key}={value}" for key, value in ENCODER.items()]
    return {
        "vidref": command(*PASS, source, "-o", output, "--quiet", "--overwrite"),
        "pyav": [sys.executable, str(BARE_LOOP), str(source), str(output), *pairs],
        "ffmpeg": [
            *("ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(source), "-map", "0"),
            *("-c", "copy", "-c:v", "libx264", *options, str(output)),
        ],
    }


def start_ups(source: Path, output: Path) -> dict[str, list[str]]:
    """What each does before the first frame: imports, opening, deciding."""
    return {
        "vidref": command(*PASS, source, "-o", output, "--quiet", "--overwrite", "--dry-run"),
        "pyav": [sys.executable, "-c", "import av"],
        "ffmpeg": ["ffmpeg", "-v", "error", "-version"],
    }


def measure(arguments: Sequence[str]) -> Run:
    start = time.perf_counter()
    # Modules are compiled once, as they are where vidref is installed.
    compiled = environment(PYTHONDONTWRITEBYTECODE="")
    process = subprocess.Popen(
        arguments, env=compiled, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peak = 0
    tree = psutil.Process(process.pid)
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, _tree_bytes(tree))
        time.sleep(POLL_S)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    complaint = process.stderr.read().decode()
    process.stderr.close()
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(arguments)}\nfailed with {process.returncode}: {complaint}")
    # The kernel's own high-water mark of the process catches what falls between two looks.
    return Run(wall, usage.ru_utime + usage.ru_stime, max(peak, usage.ru_maxrss * 1024))


def _tree_bytes(root: psutil.Process) -> int:
    total = 0
    try:
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        return total
    return total


def frames_in(path: Path) -> int:
    with av.open(str(path)) as file:
        return sum(1 for packet in file.demux(video=0) if packet.size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    lengths = {"long": options.frames, "short": options.few}
    runs: dict[str, dict[str, list[Run]]] = {}
    sizes: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="vidref-streaming-") as folder:
        sources = {name: Path(folder) / f"{name}.mp4" for name in lengths}
        for name, source in sources.items():
            write_source(source, lengths[name])
        outputs = {tool: Path(folder) / f"{tool}.out.mp4" for tool in TOOLS}
        for tool in TOOLS:  # once for the disk cache, and to see that all do the same work
            measure(commands(sources["short"], outputs[tool])[tool])
            if frames_in(outputs[tool]) != options.few:
                raise SystemExit(f"{tool} wrote {frames_in(outputs[tool])} of {options.few} frames")
        for _ in range(options.runs):
            for what in ("long", "short", "start-up"):
                for tool in TOOLS:
                    if what == "start-up":
                        arguments = start_ups(sources["short"], outputs[tool])[tool]
                    else:
                        arguments = commands(sources[what], outputs[tool])[tool]
                    runs.setdefault(what, {}).setdefault(tool, []).append(measure(arguments))
                    if what == "long":
                        sizes[tool] = outputs[tool].stat().st_size
    print_tables(runs, sizes, lengths)


def print_tables(
    runs: dict[str, dict[str, list[Run]]], sizes: dict[str, int], lengths: dict[str, int]
) -> None:
    count = len(runs["long"]["vidref"])
    settings = ", ".join(f"{key} {value}" for key, value in ENCODER.items())
    print(f"{WIDTH}x{HEIGHT} with sound, libx264 ({settings}), {os.cpu_count()} cores; medians of")
    print(f"{count} runs in turn. Load when the last ended: {os.getloadavg()[0]:.1f}.\n")
    print("| | vidref | bare PyAV loop | ffmpeg |")
    print("|---|--:|--:|--:|")

    def row(label: str, values: dict[str, float], form: str) -> None:
        print(f"| {label} | " + " | ".join(format(values[tool], form) for tool in TOOLS) + " |")

    def medians(what: str, figure: Callable[[Run], float]) -> dict[str, float]:
        return {t: statistics.median(map(figure, runs[what][t])) for t in TOOLS}

    for what, frames in lengths.items():
        walls = medians(what, lambda run: run.wall_s)
        row(f"frames/s, {frames} frames", {tool: frames / walls[tool] for tool in TOOLS}, ".1f")
    row("CPU seconds, long clip", medians("long", lambda run: run.cpu_s), ".1f")
    row("start-up, s", medians("start-up", lambda run: run.wall_s), ".2f")
    for what, frames in lengths.items():
        row(
            f"peak memory, {frames} frames, MiB",
            medians(what, lambda run: run.peak_bytes / 2**20),
            ".0f",
        )
    row("output, MB", {tool: size / 1e6 for tool, size in sizes.items()}, ".2f")
    print("\n| ratio | median of the rounds | lowest | highest | wanted |")
    print("|---|--:|--:|--:|--:|")
    for tool, least in SLOWEST.items():
        pairs = zip(runs["long"]["vidref"], runs["long"][tool], strict=True)
        speeds = [theirs.wall_s / ours.wall_s for ours, theirs in pairs]
        print_ratio(f"throughput, vidref / {tool}", speeds, f"at least {least}")
    for tool in TOOLS:
        pairs = zip(runs["long"][tool], runs["short"][tool], strict=True)
        growth = [long.peak_bytes / short.peak_bytes for long, short in pairs]
        label = f"peak memory of {tool}, {lengths['long']} / {lengths['short']} frames"
        print_ratio(label, growth, f"at most {LARGEST_GROWTH}" if tool == "vidref" else "")
    pairs = list(zip(runs["long"]["vidref"], runs["long"]["pyav"], strict=True))
    busier = [ours.cpu_s / theirs.cpu_s for ours, theirs in pairs]
    print_ratio("CPU time, vidref / pyav", busier, "")
    heavier = [ours.peak_bytes / theirs.peak_bytes for ours, theirs in pairs]
    print_ratio("peak memory, vidref / pyav", heavier, "")


def print_ratio(label: str, values: list[float], wanted: str) -> None:
    middle = statistics.median(values)
    print(f"| {label} | {middle:.3f} | {min(values):.3f} | {max(values):.3f} | {wanted} |")


if __name__ == "__main__":
    main()
