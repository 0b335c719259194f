"""The trackers alone, on numbers: the stories of `tracking` without a picture, in seconds.

python -m tests.benchmarks.tracking_numbers [--seeds 0 1 2 3] [--stories crossing ...]

Faces are the true ones as a good detector would give them (`tracking.true_found`: jitter, 5 %
misses, weak scores of half-hidden faces, false finds). Embeddings are drawn: a direction for each
person, weaker the more of the face is hidden, with noise (cosine to one's own clean one about 0.75,
to others' 0). Ours asks for them when it wants to; others' tracks get one a second, for joining.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import motmetrics
import numpy as np

from tests.benchmarks.stories import BEYOND, HEIGHT, STORIES, WIDTH, Director
from tests.benchmarks.tracking import (
    METRICS,
    Follow,
    Found,
    Result,
    bytetrack_follow,
    from_tracks,
    judge,
    norfair_follow,
    people_of,
    true_found,
)
from vidref.evaluation.composed_clips import (
    HEAD_CENTRE,
    HEAD_HALF,
    MARGIN,
    Composed,
    Portrait,
    Scene,
    TrueFace,
)
from vidref.faces.association import overlap
from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import Placement, placement_of
from vidref.faces.track import Tracker

RATE = 25
BLANK = np.zeros((4, 4, 3), np.uint8)
CAST = {
    f"p{i:02d}": [Portrait(f"p{i:02d}", BLANK, np.zeros((5, 2), np.float32))] for i in range(40)
}
GRID = (np.mgrid[:20, :20][::-1].reshape(2, -1).T + 0.5) / 20 - 0.5


class Limits:
    """What the bundled pack says of itself."""

    least_score = 0.6
    same_person = 0.51


def in_head(points: np.ndarray) -> np.ndarray:
    """Points in units of 1.2 squares around a square's middle: inside the head's ellipse?"""
    radius = (points - (np.array(HEAD_CENTRE) - 0.5)) / HEAD_HALF
    return np.hypot(*radius.T) < 1


def truth_of(scenes: list[Scene]) -> Composed:
    faces, times, cuts = list[tuple[TrueFace, ...]](), list[float](), list[int]()
    for number, scene in enumerate(scenes):
        if number:
            cuts.append(len(times))
        for step in range(round(scene.seconds * RATE)):
            faces.append(faces_at(scene, step / RATE))
            times.append(len(times) / RATE)
    return Composed(Path(), tuple(times), tuple(faces), tuple(cuts))


def faces_at(scene: Scene, time_s: float) -> tuple[TrueFace, ...]:
    """Whose face is where, and which share of points on it is neither hidden nor outside."""
    x, y, zoom = scene.camera(time_s)
    size = np.array([WIDTH, HEIGHT])

    def seen(points: np.ndarray) -> np.ndarray:
        return (points - size / 2 - (x, y)) * zoom + size / 2

    shown = []
    for actor in scene.actors:
        place = actor.path(time_s)
        if place is not None:
            cx, cy = seen(np.array(place.centre_xy))
            placement = Placement((float(cx), float(cy)), place.size_px * zoom, place.angle)
            shown.append((actor.portrait.person, placement))
    faces = []
    for number, (person, place) in enumerate(shown):
        cos, sin = np.cos(place.angle), np.sin(place.angle)
        points = GRID[in_head(GRID)] * MARGIN * place.size_px @ np.array([[cos, sin], [-sin, cos]])
        points += place.centre_xy
        free = ((points >= 0) & (points < size)).all(1)
        for _, front in shown[number + 1 :]:
            free &= ~in_head((points - front.centre_xy) / (MARGIN * front.size_px))
        for screen in scene.screens:
            low, high = seen(np.array(screen.box_xyxy).reshape(2, 2))
            free &= ~((points > low) & (points < high)).all(1)
        faces.append(TrueFace(person, place, float(free.mean())))
    return tuple(faces)


class Recogniser:
    """Draws embeddings of the people who are really there."""

    def __init__(self, clip: Composed, seed: int) -> None:
        self._clip, self._rng = clip, np.random.default_rng(seed + 1000)
        self._people = self._directions(len(CAST))

    def _directions(self, count: int) -> np.ndarray:
        drawn = self._rng.normal(size=(count, 128))
        return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)

    def embed(self, index: int, faces: list[DetectedFace]) -> np.ndarray:
        vectors = []
        for face in faces:
            place = placement_of(face.landmarks_xy)
            shared = [overlap(true.placement, place) for true in self._clip.faces[index]]
            best = int(np.argmax(shared)) if shared else -1
            noise = self._directions(1)[0]
            if best < 0 or shared[best] < 0.3:
                vectors.append(noise)
                continue
            true = self._clip.faces[index][best]
            known = min(1.0, 0.35 + 0.5 * true.visible)
            vector = known * self._people[int(true.person[1:])] + 0.75 * noise
            vectors.append(vector / np.linalg.norm(vector))
        return np.array(vectors, np.float32)


def ours(clip: Composed, found: Found, recogniser: Recogniser) -> Result:
    tracker = Tracker(Limits.least_score, Limits.same_person)
    for index, time_s in enumerate(clip.times_s):
        if index in clip.cuts:
            tracker.cut()
        tracker.push(
            index,
            time_s,
            found[index],
            lambda faces, index=index: recogniser.embed(index, list(faces)),
        )
    return from_tracks(tracker.finish(), len(clip.times_s))


def others(follow: Follow, clip: Composed, found: Found, recogniser: Recogniser) -> Result:
    result = Result([[] for _ in clip.times_s])
    embedded: dict[int, float] = {}
    for index, time_s in enumerate(clip.times_s):
        places = [placement_of(face.landmarks_xy) for face in found[index]]
        for id, place, number in follow(places, [face.score for face in found[index]]):
            id = id * 100 + clip.shot_of(index)
            result.frames[index].append((id, place))
            if number >= 0 and time_s - embedded.get(id, -1.0) >= 1.0:
                embedded[id] = time_s
                vector = recogniser.embed(index, [found[index][number]])[0]
                result.vectors.setdefault(id, []).append(vector)
    return result


def play(name: str, clip: Composed, found: Found, recogniser: Recogniser) -> Result:
    if name == "ours":
        return ours(clip, found, recogniser)
    follow = norfair_follow() if name == "norfair" else bytetrack_follow()
    return others(follow, clip, found, recogniser)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2, 3])
    told = [story for story in STORIES if story not in BEYOND]
    parser.add_argument("--stories", nargs="*", default=told)
    parser.add_argument("--trackers", nargs="*", default=["ours", "norfair", "ByteTrack"])
    choice = parser.parse_args()
    handler = motmetrics.metrics.create()
    print(
        "| story | tracker | IDF1 in a shot | switches | IDF1 of people | switches | recall "
        "| precision |\n|---|---|---|---|---|---|---|---|"
    )
    judged: dict[tuple[str, str], list[list[motmetrics.MOTAccumulator]]] = {}
    for story in [*choice.stories, "all"]:
        for seed in choice.seeds if story != "all" else []:
            clip = truth_of(STORIES[story](Director(seed, CAST, [BLANK])))
            found = true_found(clip, seed)
            for name in choice.trackers:
                result = play(name, clip, found, Recogniser(clip, seed))
                people = people_of(Limits(), clip, result)
                pair = [judge(clip, result, None), judge(clip, result, people)]
                for line in (story, "all"):
                    judged.setdefault((line, name), []).append(pair)
        for name in choice.trackers:
            plain, joined = (
                handler.compute_many(
                    [pair[which] for pair in judged[story, name]],
                    metrics=METRICS,
                    names=list(range(len(judged[story, name]))),
                    generate_overall=True,
                ).loc["OVERALL"]
                for which in (0, 1)
            )
            print(
                f"| {story} | {name} | {plain.idf1:.3f} | {plain.num_switches:.0f} "
                f"| {joined.idf1:.3f} | {joined.num_switches:.0f} | {plain.recall:.3f} "
                f"| {plain.precision:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
