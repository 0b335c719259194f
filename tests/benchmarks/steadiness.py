"""How still a still face is held, and how closely a moving one is followed.

python -m tests.benchmarks.steadiness [--data ../shared/data] [--people 6]

A portrait before a picture, with so much noise that some of it survives being encoded at CRF 18
and then again at CRF 28 (where all of it is gone, nothing jitters to begin with). Measured is
where the aligned square puts the two eyes: by the pack's detections of whole frames, every frame
for itself (raw), and by the tracker's path (smoothed; it looks only where and when it decides to).
Jitter: RMS distance from the mean; shake: RMS step between frames; both in shares of the face's
size. For heads that move: RMS distance from the truth less its mean (a detector's constant offset
does not flicker), and lag: the shift of the truth in frames at which the path fits it best.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np

from tests.benchmarks.tracking import frames_of
from vidref.evaluation.composed_clips import (
    Actor,
    Composed,
    Path2d,
    Scene,
    compose,
    load_backgrounds,
    load_people,
)
from vidref.faces.association import overlap
from vidref.faces.geometry import Placement, placement_of, points_of
from vidref.faces.pack import FacePack, load_pack
from vidref.faces.watch import Watcher

SECONDS = 4
SIZES = (80.0, 140.0, 240.0)
MIDDLE = (480.0, 270.0)
Eyes = np.ndarray


def still(size: float) -> Path2d:
    return lambda _: Placement(MIDDLE, size, 0.03)


def nodding(size: float) -> Path2d:
    """Twice 1.5 nods a second, with calm between."""

    def path(t: float) -> Placement:
        busy = math.sin(math.pi * t / 4) ** 2
        return Placement(
            (MIDDLE[0], MIDDLE[1] + 0.12 * size * busy * math.sin(math.tau * 1.5 * t)),
            size,
            0.03,
        )

    return path


def turning(size: float) -> Path2d:
    """Still, then within 0.3 s elsewhere, leaning and nearer, still again; every 2 s."""

    def path(t: float) -> Placement:
        count = math.floor(t / 2)
        share = min(max((t / 2 - count) * 2 / 0.3, 0.0), 1.0)
        there = (3 * share**2 - 2 * share**3) if count % 2 else 1 - (3 * share**2 - 2 * share**3)
        return Placement(
            (MIDDLE[0] + 0.5 * size * there, MIDDLE[1]), size * (1 + 0.1 * there), 0.25 * there
        )

    return path


def walking(size: float) -> Path2d:
    """Across the picture with a bobbing step."""
    return lambda t: Placement(
        (200 + 70 * t, MIDDLE[1] + 0.05 * size * math.sin(math.tau * 1.8 * t)),
        size * (1 + 0.02 * t),
        0.05 * math.sin(math.tau * 0.9 * t),
    )


MOTIONS: dict[str, Callable[[float], Path2d]] = {
    "still": still,
    "nodding": nodding,
    "turning": turning,
    "walking": walking,
}


def again(source: Path, path: Path, crf: int) -> Path:
    """The clip decoded and encoded once more, as uploads are."""
    with av.open(str(source)) as read, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf)})
        template = read.streams.video[0]
        stream.width, stream.height, stream.pix_fmt = template.width, template.height, "yuv420p"
        stream.codec_context.time_base = template.time_base
        for frame in read.decode(video=0):
            out.mux(stream.encode(frame.reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    return path


def clip_of(folder: Path, scene: Scene, seed: int) -> Composed:
    first = compose(folder / "first.mp4", [scene], crf=18, noise=12.0, seed=seed)
    return replace(first, path=again(first.path, folder / "again.mp4", 28))


def eyes_of(place: Placement) -> np.ndarray:
    return points_of(place)[:2].ravel()


def raw_eyes(pack: FacePack, clip: Composed) -> Eyes:
    rows = []
    for index, frame in enumerate(frames_of(clip.path)):
        true = clip.faces[index][0].placement
        places = [placement_of(face.landmarks_xy) for face in pack.detect(frame)]
        best = max(places, key=lambda place: overlap(place, true), default=None)
        known = best is not None and overlap(best, true) > 0.3
        rows.append(eyes_of(best) if known else np.full(4, np.nan))
    return np.array(rows)


def smoothed_eyes(pack: FacePack, clip: Composed) -> tuple[Eyes, float]:
    watcher, looks = Watcher(pack), 0

    def look(frame: np.ndarray) -> np.ndarray:
        nonlocal looks
        looks += 1
        return frame

    for index, frame in enumerate(frames_of(clip.path)):
        watcher.see(index, clip.times_s[index], lambda frame=frame: look(frame))
    rows = np.full((len(clip.times_s), 4), np.nan)
    for track in watcher.finish():
        for item in track.frames:
            if overlap(item.placement, clip.faces[item.index][0].placement) > 0.3:
                rows[item.index] = eyes_of(item.placement)
    return rows, looks / len(clip.times_s)


def rms(values: np.ndarray) -> float:
    """Of a point's distance, over both eyes."""
    return float(np.sqrt(2 * np.nanmean(values**2)))


def off(eyes: Eyes, true: Eyes) -> np.ndarray:
    distance = eyes - true
    return distance - np.nanmean(distance, 0)


def lag_of(eyes: Eyes, true_at: Callable[[float], np.ndarray], count: int) -> float:
    """In frames of 1/25 s; positive: the path comes late."""
    shifts = np.arange(-3, 3.01, 0.1)
    errors = [
        rms(off(eyes, np.array([true_at((i - shift) / 25) for i in range(count)])))
        for shift in shifts
    ]
    return float(shifts[int(np.argmin(errors))])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--people", type=int, default=4)
    parser.add_argument("--motions", nargs="*", default=list(MOTIONS))
    parser.add_argument("--sizes", type=float, nargs="*", default=SIZES)
    choice = parser.parse_args()
    cv2.setNumThreads(1)
    pack = load_pack(threads=1)
    cast = list(load_people(choice.data, "dev", 1).values())[: choice.people]
    backgrounds = load_backgrounds(choice.data, len(cast), seed=1)
    folder = Path(tempfile.mkdtemp())
    print(
        "| motion | face px | looks a frame | found raw | found smoothed | jitter or error raw "
        "| smoothed | ratio | shake raw | smoothed | true | lag raw | lag smoothed |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    )
    for motion in choice.motions:
        for size in choice.sizes:
            rows = []
            for seed, photos in enumerate(cast):
                path = MOTIONS[motion](size)
                scene = Scene(backgrounds[seed], SECONDS, (Actor(photos[0], path),))
                clip = clip_of(folder, scene, seed)
                count = len(clip.times_s)
                true = np.array([eyes_of(path(i / 25)) for i in range(count)])
                raw, (smooth, looks) = raw_eyes(pack, clip), smoothed_eyes(pack, clip)
                lags = [0.0, 0.0]
                if motion != "still":
                    lags = [
                        lag_of(e, lambda t, p=path: eyes_of(p(t)), count) for e in (raw, smooth)
                    ]
                rows.append(
                    [
                        looks,
                        np.isfinite(raw[:, 0]).mean(),
                        np.isfinite(smooth[:, 0]).mean(),
                        rms(off(raw, true)) / size,
                        rms(off(smooth, true)) / size,
                        rms(np.diff(raw, axis=0)) / size,
                        rms(np.diff(smooth, axis=0)) / size,
                        rms(np.diff(true, axis=0)) / size,
                        *lags,
                    ]
                )
            mean = np.array(rows).mean(0)
            looks, found, held, raw_off, smooth_off, *shakes, raw_lag, lag = mean
            print(
                f"| {motion} | {size:.0f} | {looks:.2f} | {found:.3f} | {held:.3f} "
                f"| {raw_off:.4f} | {smooth_off:.4f} | {smooth_off / raw_off:.2f} | "
                + " | ".join(f"{shake:.4f}" for shake in shakes)
                + f" | {raw_lag:+.2f} | {lag:+.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
