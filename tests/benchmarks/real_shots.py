"""Shots of real clips cut together into films: is everyone joined, and nobody with anybody else?

    python -m tests.benchmarks.real_shots [--seeds 0 1 2] [--clothes]

Each film shows six of the clips of shared/data, whole pictures with the clothes that people wear,
in ten shots of about a second, each nearer or farther and in a light of its own, coded by x264. So
people come back after others as they do in real films. `--clothes` prints instead how alike the
clothes of people in one picture, of people in different pictures and of one person in two lights
are (scenes.zip, clips): that is where the limits in `vidref/faces/clothes.py` come from.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture

from vidref.faces.clothes import Clothes, clothes_alike, clothes_of, mean_clothes
from vidref.faces.geometry import Placement, placement_of
from vidref.faces.likeness import likeness_for
from vidref.faces.pack import FacePack, load_pack
from vidref.pipeline.closer import with_faces, with_more_views
from vidref.pipeline.footage import footage_of
from vidref.pipeline.looking import Seen, look_at
from vidref.pipeline.naming import find_people
from vidref.pipeline.progress import ignore_progress
from vidref.settings import Settings

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SOURCES = {
    **{f"clean/{name}": name for name in ("S001193", "wide-a", "wide-b")},
    **{f"clean/talk-{letter}": f"talk-{letter}" for letter in "abcde"},
    **{f"degraded/{name}": name for name in ("kasparov-1", "old-film", "real-a")},
    "degraded/collins-1": "Collins",
    "degraded/collins-2": "Collins",
    "scenes/two-people": "two",
}
"""The clips, and who is in each; of the two people one sits left of the middle, one right."""
WIDTH, HEIGHT, RATE = 640, 360, 25
CLIPS_A_FILM, SHOTS, FRAMES = 6, 10, 30
NEAREST = 0.75
"""Share of a clip's picture that the nearest shot shows."""
LEAST_FACE_PX = 30
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Shot:
    clip: str
    start: int
    window: tuple[float, float, float]
    """Left, top and size in shares of the clip's picture."""
    gain: NDArray[np.float64]
    gamma: float


def direct(rng: np.random.Generator) -> list[Shot]:
    """Six clips, each at least once, none twice in a row."""
    clips = [str(name) for name in rng.choice(sorted(SOURCES), CLIPS_A_FILM, replace=False)]
    order = list(clips)
    while len(order) < SHOTS:
        order.append(str(rng.choice([clip for clip in clips if clip != order[-1]])))
    shots = []
    for clip in order:
        size = float(rng.uniform(NEAREST, 1))
        left, top = rng.uniform(0, 1 - size), rng.uniform(0, 1 - size) / 2
        gain, gamma = rng.uniform(0.7, 1.15) * rng.uniform(0.9, 1.1, 3), rng.uniform(0.8, 1.25)
        shots.append(Shot(clip, int(rng.integers(0, 1000)), (left, top, size), gain, float(gamma)))
    return shots


def frames_of(clip: str, start: int, count: int) -> Iterator[Image]:
    """Some frames in a row, from one that is drawn among all that leave room for them."""
    with av.open(str(DATA / "clips" / f"{clip}.mp4")) as container:
        total = container.streams.video[0].frames
        first = start % max(1, total - count)
        for index, frame in enumerate(container.decode(video=0)):
            if first <= index < first + count:
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def film(path: Path, shots: Sequence[Shot], crf: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = Fraction(1, RATE)
        for shot in shots:
            for rgb in frames_of(shot.clip, shot.start, FRAMES):
                shown = av.VideoFrame.from_ndarray(taken(rgb, shot), format="rgb24")
                container.mux(stream.encode(shown))
        container.mux(stream.encode(None))


def taken(rgb: Image, shot: Shot) -> Image:
    """The shot's part of a picture in the shot's light, between bars."""
    height, width = rgb.shape[:2]
    left, top, size = shot.window
    x, y = int(left * width), int(top * height)
    part = rgb[y : y + int(size * height), x : x + int(size * width)]
    scale = min(WIDTH / part.shape[1], HEIGHT / part.shape[0])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    part = np.asarray(cv2.resize(part, None, fx=scale, fy=scale, interpolation=how))
    lit = np.clip((part / 255.0) ** shot.gamma * shot.gain * 255, 0, 255).astype(np.uint8)
    canvas = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    y, x = (HEIGHT - lit.shape[0]) // 2, (WIDTH - lit.shape[1]) // 2
    canvas[y : y + lit.shape[0], x : x + lit.shape[1]] = lit
    return canvas


def shown(seen: Seen, shots: Sequence[Shot]) -> dict[int, str]:
    """Who each track shows, by the clip that its shot is of."""
    names = {}
    for track in seen.tracks:
        middle = track.frames[len(track.frames) // 2]
        shot = shots[min(middle.index // FRAMES, len(shots) - 1)]
        name = SOURCES[shot.clip]
        if name == "two":
            left, _, size = shot.window
            at = left + size * middle.placement.centre_xy[0] / WIDTH
            name = "two, left" if at < 0.5 else "two, right"
        names[track.id] = name
    return names


@dataclass(frozen=True)
class Counted:
    """Pairs of tracks that one person has and that are joined or not, and of two people."""

    joined: int = 0
    parted: int = 0
    wrong: tuple[str, ...] = ()


def count(seen: Seen, names: dict[int, str], pack: FacePack) -> Counted:
    people = find_people(seen, [], likeness_for(pack))
    owner = {track.id: k for k, who in enumerate(people) for track in who.tracks}
    joined = parted = 0
    wrong = []
    for one, other in combinations(sorted(names), 2):
        together = owner[one] == owner[other]
        if names[one] == names[other]:
            joined, parted = joined + together, parted + (not together)
        elif together:
            wrong.append(f"{names[one]} with {names[other]}")
    return Counted(joined, parted, tuple(wrong))


def films(seeds: Sequence[int], pack: FacePack) -> None:
    print("| film | tracks | pairs of one person | joined by faces alone | with clothes | wrong |")
    print("|---|--:|--:|--:|--:|---|")
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            rng = np.random.default_rng((6, seed))
            shots = direct(rng)
            path = Path(folder) / f"{seed}.mp4"
            film(path, shots, int(rng.integers(22, 32)))
            footage = footage_of(path, Settings.load(None, {"threads": 1}))
            seen = with_faces(look_at(footage, pack, None, ignore_progress), footage, pack)
            seen = with_more_views(seen, footage, pack, likeness_for(pack))
            names = shown(seen, shots)
            bare = replace(seen, tracks=[replace(t, clothes=None) for t in seen.tracks])
            faces, clothes = count(bare, names, pack), count(seen, names, pack)
            wrong = ", ".join(f"{who} ({n})" for who, n in Counter(clothes.wrong).items()) or "0"
            print(
                f"| {seed} | {len(names)} | {faces.joined + faces.parted} | {faces.joined} "
                f"| {clothes.joined} | {wrong} |",
                flush=True,
            )


def pictured() -> Iterator[list[tuple[Clothes, Placement]]]:
    """What the people of each everyday picture wear, with where they are."""
    told = json.loads((DATA / "scenes.json").read_text())
    with zipfile.ZipFile(DATA / "scenes.zip") as archive:
        for name, picture in told.items():
            places = [
                placement_of(np.array(face["landmarks_xy"], np.float64).reshape(5, 2))
                for face in picture["faces"]
                if face["score"] > 0.8
            ]
            places = [place for place in places if place.size_px >= LEAST_FACE_PX]
            if places:
                with Picture.open(io.BytesIO(archive.read(name))) as opened:
                    rgb = np.asarray(opened.convert("RGB"))
                worn = [(clothes_of(rgb, place), place) for place in places]
                yield [(clothes, place) for clothes, place in worn if clothes is not None]


def in_two_lights(pack: FacePack, rng: np.random.Generator) -> Iterator[float]:
    """One person's clothes in the first and the second half of a clip, each in its own light."""
    for clip in SOURCES:
        if clip == "scenes/two-people":
            continue
        halves: list[list[Clothes]] = [[], []]
        shots = [direct(rng)[0] for _ in halves]
        pictures = list(frames_of(clip, 0, 10**6))[::15]
        for k, rgb in enumerate(pictures):
            half = int(k >= len(pictures) / 2)
            lit = (rgb / 255.0) ** shots[half].gamma * shots[half].gain * 255
            picture = np.clip(lit, 0, 255).astype(np.uint8)
            for face in pack.detect(rgb)[:1]:
                clothes = clothes_of(picture, placement_of(face.landmarks_xy))
                halves[half] += [clothes] if clothes is not None else []
        if all(halves):
            yield clothes_alike(*(mean_clothes(half) for half in halves))


def clothes(pack: FacePack) -> None:
    everyone = list(pictured())
    beside = [
        clothes_alike(one, other)
        for people in everyone
        for (one, here), (other, there) in combinations(people, 2)
        if np.hypot(*np.subtract(here.centre_xy, there.centre_xy)) > 1.5 * here.size_px
    ]
    rng = np.random.default_rng(0)
    firsts = [people[0][0] for people in everyone if people]
    apart = [
        clothes_alike(*(firsts[k] for k in rng.choice(len(firsts), 2, replace=False)))
        for _ in range(4000)
    ]
    same = [alike for _ in range(3) for alike in in_two_lights(pack, rng)]
    shares = (0.05, 0.1, 0.5, 0.9, 0.95, 0.99)
    print(f"| overlap of clothes | pairs | {' | '.join(f'{s:.0%}' for s in shares)} |")
    print("|---|--:|" + "--:|" * len(shares))
    for name, values in (
        ("two people in one picture", beside),
        ("people of two pictures", apart),
        ("one person in two lights", same),
    ):
        cells = " | ".join(f"{value:.2f}" for value in np.quantile(values, shares))
        print(f"| {name} | {len(values)} | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--clothes", action="store_true")
    choice = parser.parse_args()
    pack = load_pack(threads=1)
    if choice.clothes:
        clothes(pack)
    else:
        films(choice.seeds, pack)


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
