"""What pass 1 costs: frames a second, memory against length, embeddings, the size of a plan, and
random access against decord.

Run by hand: `python -m tests.benchmarks.analyse [--clip FILE ...] [--portraits FOLDER]`. The 720p
clip is composed here: a photograph of `samples/person` drifts, sways and leans before a still room
with a little grain. Every analysis is a process of its own. `--clip` adds the plans of
real clips, `--portraits` (aligned 512 px faces) the sharpness of clean photographs by size.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from skimage import data

from tests.people_clips import PHOTOS
from tests.tool import environment

WIDTH, HEIGHT, RATE = 1280, 720, 25
READS, REPEATS = 5, 3
SIZES = (64, 96, 128, 192, 256, 384, 512)


def write_talk(path: Path, frames: int) -> None:
    """One head, about 250 px high, moving as people do who talk to a camera."""
    rng = np.random.default_rng(7)
    photo = cv2.imread(str(PHOTOS / "studio.jpg"))
    room = cv2.resize(data.coffee()[..., ::-1], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            t = index / RATE
            angle = 0.06 * np.sin(1.3 * t)
            scale = 0.62 + 0.02 * np.sin(0.7 * t)
            along, across = scale * np.cos(angle), scale * np.sin(angle)
            x = 420 + 60 * np.sin(0.4 * t) + 6 * np.sin(3.1 * t)
            y = 180 + 12 * np.sin(0.9 * t) + 4 * np.sin(2.3 * t)
            matrix = np.array([[along, -across, x], [across, along, y]])
            view = room.copy()
            cv2.warpAffine(
                photo, matrix, (WIDTH, HEIGHT), dst=view, borderMode=cv2.BORDER_TRANSPARENT
            )
            grain = rng.normal(0, 3, (HEIGHT, WIDTH, 1)).astype(np.float32)
            view = np.clip(view + grain, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(view, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


ONE_RUN = """
import json, resource, sys, time
from pathlib import Path
from vidref.faces.pack import FacePack
from vidref.pipeline.analyse import analyse_clip
from vidref.pipeline.plan_file import plan_text
from vidref.settings import Settings
embedded = 0
first = FacePack.embed_aligned
def counted(self, crops):
    global embedded
    embedded += len(crops)
    return first(self, crops)
FacePack.embed_aligned = counted
looked = []
def progress(p):
    if p.is_final: looked.append((p.seconds, embedded))
settings = Settings.load(None, {"threads": int(sys.argv[2])})
begun = time.perf_counter()
plan = analyse_clip(Path(sys.argv[1]), settings, progress)
wall = time.perf_counter() - begun
used = resource.getrusage(resource.RUSAGE_SELF)
base = plan.source.time_base
print(json.dumps({
    "frames": plan.source.frames, "wall": wall, "pass": looked[0][0], "embedded": looked[0][1],
    "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024,
    "bytes": len(plan_text(plan, Path("/"))), "knots": sum(len(t.path) for t in plan.tracks),
    "seconds": float((plan.source.last_pts - plan.source.first_pts) * base),
    "on_screen": float(sum(t.last_pts - t.first_pts for t in plan.tracks) * base),
    "people": len(plan.people), "tracks": len(plan.tracks),
    "restored": sum(plan.is_restored(t) for t in plan.tracks),
}))
"""


def run(clip: Path, threads: int = 2) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", ONE_RUN, str(clip), str(threads)],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def print_cost(folder: Path, lengths: list[int]) -> None:
    print("| frames | of the pass, frames/s | CPU ms a frame, all | peak memory, MiB | embeddings "
          "in the pass | seconds of face | plan, kB a minute | knots a minute |")  # fmt: skip
    print("|--:|--:|--:|--:|--:|--:|--:|--:|")
    for frames in lengths:
        clip = folder / f"talk-{frames}.mp4"
        if not clip.exists():
            write_talk(clip, frames)
        found = run(clip)
        minutes = found["seconds"] / 60
        print(
            f"| {frames} | {frames / found['pass']:.1f} | {1000 * found['cpu'] / frames:.1f} "
            f"| {found['peak'] / 2**20:.0f} | {found['embedded']} | {found['on_screen']:.1f} "
            f"| {found['bytes'] / 1000 / minutes:.1f} | {found['knots'] / minutes:.0f} |",
            flush=True,
        )
    print(f"\nLoad when the last run ended: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.\n")


def print_clips(clips: list[Path]) -> None:
    print("| clip | frames | people | tracks | restored | plan, kB | of face, s | knots a second |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for clip in clips:
        found = run(clip)
        print(
            f"| {clip.stem} | {found['frames']} | {found['people']} | {found['tracks']} "
            f"| {found['restored']} | {found['bytes'] / 1000:.1f} | {found['on_screen']:.1f} "
            f"| {found['knots'] / max(found['on_screen'], 0.1):.1f} |",
            flush=True,
        )
    print()


def print_access(clip: Path) -> None:
    """Five frames, as for one person's references, from a file that is opened for them."""
    from vidref.media.access import FrameAccess
    from vidref.media.frames import Frame
    from vidref.media.reader import Reader

    with Reader(clip) as reader:
        times = [item.pts for item in reader if isinstance(item, Frame)]
    chosen = sorted(np.random.default_rng(3).choice(len(times), READS, replace=False).tolist())

    def ours() -> None:
        with FrameAccess(clip, 2, is_clean=True) as access:
            for frame in access.frames_at([times[i] for i in chosen]):
                frame.image.reformat(format="rgb24", threads=1).to_ndarray()

    def theirs() -> None:
        import decord

        video = decord.VideoReader(str(clip), num_threads=2)
        for index in chosen:
            video[index].asnumpy()

    print(f"| {READS} frames of {len(times)} | seconds, median of {REPEATS} | CPU seconds |")
    print("|---|--:|--:|")
    for name, read in (("PyAV (`FrameAccess`)", ours), ("decord", theirs)):
        walls, cpus = [], []
        for _ in range(REPEATS):
            begun, before = time.perf_counter(), _cpu()
            read()
            walls.append(time.perf_counter() - begun)
            cpus.append(_cpu() - before)
        print(f"| {name} | {np.median(walls):.2f} | {np.median(cpus):.2f} |", flush=True)
    print()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def print_sharpness(portraits: list[Path]) -> None:
    from vidref.faces.geometry import Placement
    from vidref.faces.quality import detail_left

    print(
        f"| side of the square, px | detail left, median of {len(portraits)} | lowest | highest |"
    )
    print("|--:|--:|--:|--:|")
    for side in SIZES:
        found = []
        for path in portraits:
            face = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            room = np.full((2 * side, 2 * side, 3), 128, np.uint8)
            low = side // 2
            room[low : low + side, low : low + side] = cv2.resize(
                face, (side, side), interpolation=cv2.INTER_AREA
            )
            found.append(detail_left(room, Placement((side - 0.5, side - 0.5), side, 0.0)))
        print(f"| {side} | {np.median(found):.2f} | {min(found):.2f} | {max(found):.2f} |")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lengths", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--clip", type=Path, nargs="+", default=[])
    parser.add_argument("--portraits", type=Path)
    parser.add_argument("--folder", type=Path, help="Keep the composed clips here.")
    parser.add_argument("--only-compose", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vidref-analyse-") as temporary:
        folder = options.folder or Path(temporary)
        if options.only_compose:
            for frames in options.lengths:
                write_talk(folder / f"talk-{frames}.mp4", frames)
            return
        print_cost(folder, options.lengths)
        print_access(folder / f"talk-{options.lengths[-1]}.mp4")
    if options.clip:
        print_clips(options.clip)
    if options.portraits:
        print_sharpness(sorted(options.portraits.glob("*_gt.webp")))


if __name__ == "__main__":
    main()
