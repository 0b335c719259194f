"""Does the choice of self-references find the few good frames of a bad clip?

    python -m tests.benchmarks.references

Sharp clips are harmed frame by frame (blur, motion, noise, H.264, size, each frame its own draw),
but for a few short moments, less than a tenth of the clip, that stay as they were. What is really
left of each face is known (`harm.fidelity`), so the best tenth is known too.
"""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.harm import blur, fidelity, h264, motion, noise
from vidref.faces.candidates import Candidate, Candidates, stamp_of
from vidref.faces.geometry import Placement, placement_of, take_crop
from vidref.faces.pack import FacePack, load_pack
from vidref.faces.quality import measure
from vidref.faces.references import choose_self_references

CLIPS = Path(__file__).resolve().parents[3] / "shared" / "data" / "clips" / "clean"
NAMES = ("S001193", "talk-a", "talk-b", "talk-c", "talk-d", "talk-e")
STRIDE = 2
GOOD_SHARE = 0.08
MOMENT = 2
"""Frames looked at in a row that stay good."""
DRAWS = 1
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


def spoilt(rgb: Image, points: NDArray[np.float64], rng: np.random.Generator) -> Image:
    """A frame of a bad clip: one to three harms, each clearly seen."""
    size = placement_of(points).size_px / 512
    harms = [
        lambda image: blur(image, points, rng.uniform(2.5, 8) * size, rng)[0],
        lambda image: motion(image, points, rng.uniform(10, 30) * size, rng)[0],
        lambda image: noise(image, points, rng.uniform(15, 35), rng)[0],
        lambda image: h264(image, points, int(rng.integers(38, 48)), rng)[0],
    ]
    for number in rng.choice(len(harms), rng.integers(1, 4), replace=False):
        rgb = harms[number](rgb)
    return rgb


def one_clip(
    seen: list[tuple[float, Image, NDArray[np.float64]]], rng: np.random.Generator
) -> tuple[int, int, int, float, float]:
    """Chosen, of these in the best tenth, good frames, nearest two in time, most alike two."""
    count = len(seen)
    moments = max(1, int(GOOD_SHARE * count / MOMENT))
    starts = rng.choice(count // (2 * MOMENT), moments, replace=False) * 2 * MOMENT
    good = {int(start) + k for start in starts for k in range(MOMENT)}
    candidates, left = Candidates(), []
    for index, (time_s, rgb, points) in enumerate(seen):
        shown = rgb if index in good else spoilt(rgb, points, rng)
        placement = placement_of(points)
        left.append(fidelity(shown, points, take_crop(rgb, placement, 512)))
        quality = measure(shown, points)
        if candidates.wants(quality):
            stamp = stamp_of(shown, placement)
            candidates.offer(Candidate(index, time_s, placement, quality, stamp))
        else:
            candidates.count(quality)
    chosen = choose_self_references([candidates])
    edge = float(np.quantile(left, 0.9))
    best = sum(left[view.frame] >= edge for view in chosen)
    times = np.sort([view.time_s for view in chosen])
    apart = float(np.diff(times).min()) if len(times) > 1 else np.inf
    looks = [fine_look(seen[view.frame][1], view.placement) for view in chosen]
    alike = max(
        (float((a * b).mean()) for k, a in enumerate(looks) for b in looks[k + 1 :]), default=0.0
    )
    return len(chosen), best, len(good), apart, alike


def fine_look(rgb: Image, placement: Placement) -> NDArray[np.float64]:
    """The face at 64 px, of mean 0 and deviation 1: two multiply to their correlation."""
    grey = cv2.cvtColor(take_crop(rgb, placement, 64), cv2.COLOR_RGB2GRAY).astype(np.float64)
    return (grey - grey.mean()) / max(float(grey.std()), 1e-6)


def main() -> None:
    pack = load_pack(threads=1)
    print("| clip | frames | good | chosen | in the best tenth | nearest, s | most alike |")
    print("|---|---|---|---|---|---|---|")
    total = right = 0
    for name in NAMES:
        seen = faces_of(name, pack)
        for draw in range(DRAWS):
            rng = np.random.default_rng((4, draw))
            chosen, best, good, apart, alike = one_clip(seen, rng)
            total, right = total + chosen, right + best
            cells = [name, len(seen), good, chosen, best, f"{apart:.2f}", f"{alike:.3f}"]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
    print(f"\n{right} of {total} chosen are in the best tenth of what is really left.")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
