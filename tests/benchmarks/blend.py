"""What blending keeps, loses and costs: python -m tests.benchmarks.blend [DATA] [SHEET.png]

On the dev faces, degraded by the published protocol. The "restorer" is the true face without what
was laid over it: the worst that a model can do to an occluder, and the best it can do to a face.
Once as it is, once with the input's low frequencies, as our model gives it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from vidref.evaluation.face_cases import read_picture, write_picture
from vidref.evaluation.tables import Row, markdown
from vidref.faces.blend import place_back
from vidref.faces.geometry import Placement, take_crop, to_frame
from vidref.faces.mask import face_mask, skin
from vidref.training.degradation import NAMED, degrade_image, draw

WHOLE = Placement((255.5, 255.5), 512.0, 0.0)
CASTS = ((1.1, 1.0, 0.9), (0.9, 1.0, 1.1), (0.88, 0.88, 0.88), (1.0, 0.93, 1.0))
SCALE = 8.0
"""Deviation in px of the blur under which colours are compared: that of what a viewer sees."""

Laid = tuple[np.ndarray, np.ndarray]


def hand(face: np.ndarray, rng: np.random.Generator) -> Laid:
    """Four fingers in the skin's own colour, a little darker, with shading and texture."""
    left, top = int(rng.integers(220, 330)), int(rng.integers(330, 400))
    cover, shade = np.zeros((512, 512), np.float32), np.zeros((512, 512), np.float32)
    for finger in range(4):
        tip = (left + finger * 34, int(top - 60 + abs(finger - 1.5) * 14))
        one = np.zeros((512, 512), np.uint8)
        cv2.line(one, tip, (left + finger * 20 + 60, 540), 255, 34, cv2.LINE_AA)
        shape = one.astype(np.float32) / 255
        shade = np.where(shape > cover, cv2.GaussianBlur(shape, (0, 0), 6), shade)
        cover = np.maximum(cover, shape)
    skin = np.median(face[300:340, 180:210].reshape(-1, 3), axis=0) * rng.uniform(0.75, 1.05)
    texture = cv2.GaussianBlur(rng.normal(0, 1, (512, 512)).astype(np.float32), (0, 0), 2) * 10
    return cover, skin * (0.55 + 0.5 * shade[..., None]) + texture[..., None]


def microphone(face: np.ndarray, rng: np.random.Generator) -> Laid:
    """A dark ball with a mesh and a light spot, before the mouth, on its handle."""
    x, y, reach = (int(rng.integers(*span)) for span in ((200, 320), (370, 430), (45, 75)))
    cover = np.zeros((512, 512), np.uint8)
    cv2.circle(cover, (x, y), reach, 255, -1, cv2.LINE_AA)
    cv2.line(cover, (x, y), (x + int(rng.integers(-60, 60)), 560), 255, reach, cv2.LINE_AA)
    rows, columns = np.mgrid[:512, :512]
    spot = ((columns - x + reach * 0.4) ** 2 + (rows - y + reach * 0.4) ** 2) / (reach / 2) ** 2
    mesh = 60 + 30 * np.sin(columns * 1.2) * np.sin(rows * 1.2) + 40 * np.exp(-spot)
    return cover.astype(np.float32) / 255, np.repeat(mesh[..., None], 3, axis=2)


def cup(face: np.ndarray, rng: np.random.Generator) -> Laid:
    """A striped box of a strong or a pale colour."""
    left, top = int(rng.integers(150, 280)), int(rng.integers(340, 400))
    cover = np.zeros((512, 512), np.float32)
    cover[top:, left : left + 130] = 1
    colour = np.array([[200, 40, 40], [40, 90, 190], [235, 235, 230]][int(rng.integers(3))])
    rows, columns = np.mgrid[:512, :512]
    return cover, colour - ((rows + columns) // 24 % 2 * 30)[..., None]


def subtitle(face: np.ndarray, rng: np.random.Generator) -> Laid:
    """White letters over the chin, their strokes 9 px of 512."""
    cover = np.zeros((512, 512), np.uint8)
    place = (20, int(rng.integers(410, 470)))
    cv2.putText(cover, "...and then he", place, cv2.FONT_HERSHEY_SIMPLEX, 2, 255, 9, cv2.LINE_AA)
    return cover.astype(np.float32) / 255, np.full((512, 512, 3), 240.0)


THINGS: dict[str, Callable[[np.ndarray, np.random.Generator], Laid]] = {
    "hand": hand,
    "microphone": microphone,
    "cup": cup,
    "subtitle": subtitle,
}


def degraded(picture: np.ndarray, kind: str, seed: int) -> np.ndarray:
    damage = draw(NAMED[kind], 1, 512, torch.Generator().manual_seed(seed))
    rng = np.random.default_rng(seed)
    bgr = degrade_image(np.ascontiguousarray(picture[..., ::-1]), damage, rng)
    return np.ascontiguousarray(bgr[..., ::-1])


def restorers(truth: np.ndarray, poor: np.ndarray) -> dict[str, np.ndarray]:
    ideal = truth.astype(np.float32) / 255
    low = cv2.GaussianBlur(poor.astype(np.float32) / 255 - ideal, (0, 0), 512 / 6)
    return {"truth": ideal, "model-like": np.clip(ideal + low, 0, 1)}


def shown(poor: np.ndarray, restored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The blended picture over 0..255 and its mask."""
    placed = place_back(poor, poor, restored, WHOLE)
    mask = placed.mask[..., None]
    return poor * (1 - mask) + placed.rgb.astype(np.float32) / 257 * mask, placed.mask


def colours(picture: np.ndarray, deviation: float = 0) -> np.ndarray:
    unit = picture.astype(np.float32) / 255
    soft = cv2.GaussianBlur(unit, (0, 0), deviation) if deviation else unit
    return np.asarray(cv2.cvtColor(soft, cv2.COLOR_RGB2LAB))


def skin_colour(picture: np.ndarray) -> np.ndarray:
    """The mean colour of cheeks, nose and lower forehead, in Lab."""
    rgb = picture[skin(512) > 0.5].astype(np.float32).mean(0)
    return colours(rgb[None, None])[0, 0]


def free_faces(truths: list[np.ndarray]) -> list[Row]:
    """How much of the restoration an uncovered face loses to the search for occluders."""
    rows: list[Row] = []
    for kind in ("moderate", "severe"):
        lost: dict[str, list[float]] = {}
        moved: list[float] = []
        for seed, truth in enumerate(truths):
            poor = degraded(truth, kind, seed)
            for name, restored in restorers(truth, poor).items():
                _, mask = shown(poor, restored)
                change = np.abs(restored * 255 - poor).mean(2)
                whole = float((face_mask() * change).sum())
                lost.setdefault(name, []).append(1 - float((mask * change).sum()) / whole)
            for cast in CASTS:
                wrong = np.clip(truth / 255 * np.array(cast), 0, 1).astype(np.float32)
                out, _ = shown(poor, wrong)
                moved.append(float(np.linalg.norm(skin_colour(out) - skin_colour(poor))))
        for name, values in lost.items():
            rows.append(
                {
                    "input": kind,
                    "restorer": name,
                    "restoration lost, mean": float(np.mean(values)),
                    "most": float(np.max(values)),
                    "skin moved by wrong colours, ΔE mean": float(np.mean(moved)),
                    "ΔE most": float(np.max(moved)),
                }
            )
    return rows


def covered_faces(truths: list[np.ndarray]) -> list[Row]:
    """How far the pixels of a thing before the face are changed, and would be without a search."""
    rows: list[Row] = []
    for thing, lay in THINGS.items():
        for kind in ("moderate", "severe"):
            measured: dict[str, list[tuple[float, float]]] = {}
            for seed, truth in enumerate(truths):
                rng = np.random.default_rng(seed)
                cover, look = lay(truth, rng)
                mixed = truth * (1 - cover[..., None]) + look * cover[..., None]
                poor = degraded(np.clip(mixed, 0, 255).astype(np.uint8), kind, seed)
                inside = (cover > 0.9) & (face_mask() > 0.9)
                if inside.sum() < 300:
                    continue
                for name, restored in restorers(truth, poor).items():
                    before = colours(poor, SCALE)
                    kept, _ = shown(poor, restored)
                    painted = poor + face_mask()[..., None] * (restored * 255 - poor)
                    pair = [
                        float(np.linalg.norm(colours(out, SCALE) - before, axis=2)[inside].mean())
                        for out in (painted, kept)
                    ]
                    measured.setdefault(name, []).append((pair[0], pair[1]))
            for name, pairs in measured.items():
                plain, kept_far = np.mean(pairs, axis=0)
                rows.append(
                    {
                        "thing": thing,
                        "input": kind,
                        "restorer": name,
                        "ΔE without": float(plain),
                        "ΔE with": float(kept_far),
                        "worst picture": float(np.max(pairs, axis=0)[1]),
                    }
                )
    return rows


def seconds(truth: np.ndarray) -> list[Row]:
    """Milliseconds of one thread for a face in a 720p frame, of the thread's own time."""
    rows: list[Row] = []
    for size in (150.0, 300.0, 400.0, 512.0, 700.0):
        place = Placement((640.3, 359.7), size, 0.1)
        matrix = to_frame(place)
        frame = cv2.warpAffine(truth, matrix, (1280, 720), borderMode=cv2.BORDER_REFLECT)
        frame = cv2.GaussianBlur(frame, (0, 0), 2)
        reach = int(size * 0.56) + 2
        left, top = max(0, 640 - reach), max(0, 360 - reach)
        line: dict[str, str | float] = {"face px": f"{size:.0f}"}
        for name, noise in (("clean, ms", 0.0), ("grainy, ms", 6.0)):
            rough = np.random.default_rng(0).normal(0, noise, frame.shape)
            region = np.clip(frame + rough, 0, 255).astype(np.uint8)
            region = region[top : 360 + reach, left : 640 + reach].copy()
            here = Placement((640.3 - left, 359.7 - top), size, 0.1)
            crop, restored = take_crop(region, here), truth.astype(np.float32) / 255
            spent = []
            for _ in range(40):
                begun = time.thread_time()
                place_back(region, crop, restored, here)
                spent.append(time.thread_time() - begun)
            line[name] = 1000 * float(np.min(spent))
        rows.append(line)
    return rows


def sheet(truths: list[np.ndarray], path: Path) -> None:
    """Input, blended and mask of two people per thing, for looking at."""
    rows = []
    for number, (thing, lay) in enumerate(THINGS.items()):
        tiles = []
        for kind in ("moderate", "severe"):
            truth = truths[(5 * number + 3) % len(truths)]
            cover, look = lay(truth, np.random.default_rng(number))
            mixed = truth * (1 - cover[..., None]) + look * cover[..., None]
            poor = degraded(np.clip(mixed, 0, 255).astype(np.uint8), kind, number)
            out, mask = shown(poor, truth.astype(np.float32) / 255)
            tiles += [poor, out, np.repeat(mask[..., None] * 255, 3, axis=2)]
        rows.append(np.concatenate(tiles, 1))
        print(f"{thing}: moderate and severe; input, blended, mask")
    write_picture(path, np.clip(np.concatenate(rows), 0, 255).astype(np.uint8))


def main() -> None:
    data = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data")
    cv2.setNumThreads(1)
    truths = [read_picture(path) for path in sorted((data / "faces-dev").glob("*_gt.webp"))]
    if len(sys.argv) > 2:
        sheet(truths, Path(sys.argv[2]))
        return
    print(f"{len(truths)} dev faces\n\n{markdown(free_faces(truths))}")
    print(f"{markdown(covered_faces(truths))}\n{markdown(seconds(truths[0]))}")


if __name__ == "__main__":
    main()
