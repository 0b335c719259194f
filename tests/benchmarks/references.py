"""Does the choice of self-references find the few good frames of a bad clip?

    python -m tests.benchmarks.references [--draws 0 1 2]

Sharp clips are harmed frame by frame (blur, motion, noise, H.264, each frame its own draw), but for
a few short moments, less than a tenth of the clip, that stay as they were. What is really left of
each face is known (`truth.py`), so the best tenth is known too. Views are kept as by the pipeline.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.harm import blur, h264, motion, noise
from tests.benchmarks.truth import Truth
from vidref.faces.candidates import Candidate, Candidates, stamp_of
from vidref.faces.geometry import Placement, placement_of, take_crop
from vidref.faces.pack import FacePack, load_pack
from vidref.faces.quality import measure
from vidref.faces.references import choose_self_references
from vidref.pipeline.looking import KEPT_VIEWS

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "clips" / "clean"
NAMES = ("S001193", "talk-a", "talk-b", "talk-c", "talk-d", "talk-e")
STRIDE = 2
GOOD_SHARE = 0.08
MOMENT = 2
"""Frames looked at in a row that stay good."""
Image = NDArray[np.uint8]


def faces_of(name: str, pack: FacePack) -> list[tuple[float, Image, NDArray[np.float64]]]:
    """Time, picture and points of the largest face, every `STRIDE` frames."""
    seen = []
    with av.open(str(CLIPS / f"{name}.mp4")) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index % STRIDE:
                continue
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            found = pack.detect(rgb)
            if found:
                face = max(found, key=lambda each: float(np.ptp(each.box_xyxy[::2])))
                seen.append((float(frame.time), rgb, face.landmarks_xy.astype(np.float64)))
    return seen


def spoilt(
    rgb: Image, points: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Image, tuple[str, ...]]:
    """A frame of a bad clip: one to three harms, each clearly seen."""
    size = placement_of(points).size_px / 512
    harms: dict[str, Callable[[Image], Image]] = {
        "blur": lambda image: blur(image, points, rng.uniform(2.5, 8) * size, rng)[0],
        "motion": lambda image: motion(image, points, rng.uniform(10, 30) * size, rng)[0],
        "noise": lambda image: noise(image, points, rng.uniform(15, 35), rng)[0],
        "h264": lambda image: h264(image, points, int(rng.integers(38, 48)), rng)[0],
    }
    names = tuple(map(str, rng.choice(list(harms), rng.integers(1, 4), replace=False)))
    for name in names:
        rgb = harms[name](rgb)
    return rgb, names


@dataclass(frozen=True)
class Look:
    """One frame as the choice sees it, and what it does not know."""

    view: Candidate
    left: float
    harms: tuple[str, ...]
    """What was done to it; nothing, where it is one of the good."""
    fine: NDArray[np.float32]
    """The unharmed face at 64 px, of mean 0 and deviation 1: two multiply to their correlation."""


def look_at(
    seen: list[tuple[float, Image, NDArray[np.float64]]], rng: np.random.Generator
) -> list[Look]:
    """A clip with a few good moments."""
    count = len(seen)
    moments = max(1, int(GOOD_SHARE * count / MOMENT))
    starts = rng.choice(count // (2 * MOMENT), moments, replace=False) * 2 * MOMENT
    good = {int(start) + k for start in starts for k in range(MOMENT)}
    looks = []
    for index, (time_s, rgb, points) in enumerate(seen):
        shown, harms = (rgb, ()) if index in good else spoilt(rgb, points, rng)
        placement = placement_of(points)
        view = Candidate(
            index, time_s, placement, measure(shown, points), stamp_of(shown, placement)
        )
        left = Truth(rgb, points).left(shown, points)
        looks.append(Look(view, left, harms, fine_look(rgb, placement)))
    return looks


@dataclass(frozen=True)
class Outcome:
    """What was chosen, what of it is not in the true best tenth, and how near two of it are."""

    chosen: list[Look]
    missed: list[Look]
    nearest_s: float
    most_alike: float


def choose(looks: list[Look]) -> Outcome:
    """As the pipeline does: views stream by, some stay, the best of these are chosen."""
    candidates = Candidates(KEPT_VIEWS)
    for look in looks:
        if candidates.wants(look.view.quality):
            candidates.offer(look.view)
        else:
            candidates.count(look.view.quality)
    chosen = [looks[view.frame] for view in choose_self_references([candidates])]
    edge = float(np.quantile([look.left for look in looks], 0.9))
    times = np.sort([look.view.time_s for look in chosen])
    alike = [float((a.fine * b.fine).mean()) for k, a in enumerate(chosen) for b in chosen[k + 1 :]]
    return Outcome(
        chosen,
        [look for look in chosen if look.left < edge],
        float(np.diff(times).min(initial=np.inf)),
        max(alike, default=0.0),
    )


def fine_look(rgb: Image, placement: Placement) -> NDArray[np.float32]:
    grey = cv2.cvtColor(take_crop(rgb, placement, 64), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return (grey - grey.mean()) / max(float(grey.std()), 1e-6)


def measured(pack: FacePack, draws: Sequence[int]) -> dict[tuple[str, int], list[Look]]:
    """Every clip and draw."""
    clips = {}
    for name in NAMES:
        seen = faces_of(name, pack)
        for draw in draws:
            clips[name, draw] = look_at(seen, np.random.default_rng((4, draw)))
    return clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, nargs="+", default=[0, 1, 2])
    clips = measured(load_pack(threads=1), parser.parse_args().draws)
    print("| clip | draw | frames | good | chosen | in the best tenth | nearest, s | most alike |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    total, missed = 0, []
    for (name, draw), looks in clips.items():
        outcome = choose(looks)
        total += len(outcome.chosen)
        missed += [(name, draw, look) for look in outcome.missed]
        good = sum(not look.harms for look in looks)
        right = len(outcome.chosen) - len(outcome.missed)
        nearest, alike = f"{outcome.nearest_s:.2f}", f"{outcome.most_alike:.3f}"
        cells = [name, draw, len(looks), good, len(outcome.chosen), right, nearest, alike]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(
        f"\n{total - len(missed)} of {total} chosen are in the best tenth of what is really left."
    )
    for name, draw, look in missed:
        quality = look.view.quality
        print(
            f"- {name} {draw}, frame {look.view.frame}: {' and '.join(look.harms) or 'good'}, "
            f"left {look.left:.2f}, score {quality.score:.2f} (detail {quality.detail:.2f})"
        )


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
