"""Tracking on composed clips with known truth, beside norfair and ByteTrack.

python -m tests.benchmarks.tracking [--data ../shared/data] [--seeds 0 1] [--stories crossing ...]

People are photographs (`--people portraits`) or moving heads from `clips/clean` (`clips`); by
default the stories of `MOVING` are told with moving heads and the others with photographs. "all" is
without the stories of `BEYOND`.

Every tracker gets the same faces of the same decoded frames: what the bundled pack found, and, to
tell the detector's mistakes from the tracker's, the true faces with noise, gaps and false finds.
`shipped` is what `analyse` does, cuts and joining included. A face of which less than half can be
seen counts neither way. The others' tracks end at the true cuts and are joined to people by the
same rule from one embedding a second.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import motmetrics
import numpy as np

from tests.benchmarks.stories import BEYOND, HEIGHT, MOVING, STORIES, WIDTH, Cast, Director
from vidref.evaluation.composed_clips import Composed, compose, load_backgrounds, load_people
from vidref.evaluation.moving_heads import load_moving
from vidref.faces.association import overlap
from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import Placement, placement_of, points_of
from vidref.faces.likeness import likeness_for
from vidref.faces.pack import BUNDLED, FacePack, load_pack
from vidref.faces.paths import Presence, Track
from vidref.faces.people import Appearance, join_tracks
from vidref.faces.track import Tracker
from vidref.faces.watch import WEAK
from vidref.pipeline.closer import with_faces, with_more_views
from vidref.pipeline.footage import footage_of
from vidref.pipeline.looking import look_at
from vidref.pipeline.naming import find_people
from vidref.pipeline.progress import ignore_progress
from vidref.settings import Settings

MATCHED = 0.5
VISIBLE = 0.5
SPLIT = "train"
Found = list[list[DetectedFace]]


@dataclass
class Result:
    """Each frame's ids and squares, and each id's times and embeddings."""

    frames: list[list[tuple[int, Placement]]]
    vectors: dict[int, list[np.ndarray]] = field(default_factory=dict)
    missed: set[tuple[int, int]] = field(default_factory=set)
    """(frame, id) that a tracker filled in although it looked and saw nothing."""
    people: dict[int, int] | None = None
    """Each track's person, where the one who tracked says that too."""


def frames_of(path: Path) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def found_by(pack: FacePack, clip: Composed) -> Found:
    weak = pack.with_least_score(WEAK * pack.least_score)
    return [weak.detect(frame) for frame in frames_of(clip.path)]


def true_found(clip: Composed, seed: int) -> Found:
    """The truth as a good detector would see it: jitter, 5 % misses, a false find now and then."""
    rng = np.random.default_rng(seed)
    found = []
    for faces in clip.faces:
        here = []
        for face in faces:
            if face.visible < 0.4 or rng.uniform() < 0.05:
                continue
            points = points_of(face.placement)
            points += rng.normal(0, 0.008 * face.placement.size_px, points.shape)
            score = float(np.clip(face.visible - rng.uniform(0, 0.2), 0.1, 1))
            here.append(DetectedFace(box_of(face.placement), points.astype(np.float32), score))
        if rng.uniform() < 0.02:
            place = Placement((rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)), 90.0, 0.0)
            points = points_of(place).astype(np.float32)
            here.append(DetectedFace(box_of(place), points, 0.7))
        found.append(here)
    return found


def box_of(place: Placement) -> np.ndarray:
    half = place.size_px / 2
    x, y = place.centre_xy
    return np.array([x - half, y - half, x + half, y + half], np.float32)


def from_tracks(tracks: Sequence[Track], count: int) -> Result:
    result = Result([[] for _ in range(count)])
    for track in tracks:
        result.vectors[track.id] = [a.vector for a in track.appearances]
        for frame in track.frames:
            result.frames[frame.index].append((track.id, frame.placement))
            if frame.presence is Presence.MISSED:
                result.missed.add((frame.index, track.id))
    return result


def shipped(pack: FacePack, clip: Composed) -> Result:
    """The whole of `analyse` up to who is who: its own cuts, looks, second looks and joining."""
    likeness = likeness_for(pack)
    footage = footage_of(clip.path, Settings.load(None, {"threads": 1}))
    seen = look_at(footage, pack, None, ignore_progress)
    seen = with_more_views(with_faces(seen, footage, pack), footage, pack, likeness)
    result = from_tracks(seen.tracks, len(clip.times_s))
    people = find_people(seen, [], likeness)
    result.people = {track.id: n for n, who in enumerate(people) for track in who.tracks}
    return result


def ours(pack: FacePack, clip: Composed, found: Found) -> Result:
    tracker = Tracker(pack.least_score, pack.same_person)
    for index, frame in enumerate(frames_of(clip.path)):
        if index in clip.cuts:
            tracker.cut()
        tracker.push(
            index,
            clip.times_s[index],
            found[index],
            lambda faces, frame=frame: pack.embed(frame, list(faces)),
        )
    return from_tracks(tracker.finish(), len(clip.times_s))


Follow = Callable[[list[Placement], list[float]], list[tuple[int, Placement, int]]]
"""A frame's squares and scores; back come id, square and the number of the face it was, or -1."""


def norfair_follow() -> Follow:
    import norfair

    tracker = norfair.Tracker(
        distance_function="iou",
        distance_threshold=0.7,
        hit_counter_max=25,
        initialization_delay=3,
        reid_hit_counter_max=None,
    )

    def follow(places: list[Placement], scores: list[float]) -> list[tuple[int, Placement, int]]:
        detections = [
            norfair.Detection(box_of(p).reshape(2, 2), np.full(2, s), data=i)
            for i, (p, s) in enumerate(zip(places, scores, strict=True))
            if s >= 0.6
        ]
        result = []
        for item in tracker.update(detections):
            number = int(item.last_detection.data)
            if any(item.last_detection is detection for detection in detections):
                result.append((int(item.id), places[number], number))
            else:
                (left, top), (right, bottom) = item.estimate
                centre = (float(left + right) / 2, float(top + bottom) / 2)
                result.append((int(item.id), Placement(centre, float(right - left), 0.0), -1))
        return result

    return follow


def bytetrack_follow() -> Follow:
    import supervision

    tracker = supervision.ByteTrack(
        track_activation_threshold=0.6,
        lost_track_buffer=50,
        minimum_matching_threshold=0.8,
        frame_rate=25,
        minimum_consecutive_frames=3,
    )

    def follow(places: list[Placement], scores: list[float]) -> list[tuple[int, Placement, int]]:
        detections = supervision.Detections(
            xyxy=np.array([box_of(p) for p in places], np.float32).reshape(-1, 4),
            confidence=np.array(scores, np.float32),
            class_id=np.zeros(len(places), int),
            data={"number": np.arange(len(places))},
        )
        followed = tracker.update_with_detections(detections)
        return [
            (int(i), places[int(n)], int(n))
            for i, n in zip(followed.tracker_id, followed.data.get("number", []), strict=True)
            if i >= 0
        ]

    return follow


def others(follow: Follow, pack: FacePack, clip: Composed, found: Found) -> Result:
    """Another tracker; its tracks too end at a cut, or they could not be joined fairly."""
    result = Result([[] for _ in range(len(clip.times_s))])
    embedded: dict[int, float] = {}
    for index, frame in enumerate(frames_of(clip.path)):
        places = [placement_of(face.landmarks_xy) for face in found[index]]
        scores = [face.score for face in found[index]]
        for id, place, number in follow(places, scores):
            id = id * 100 + clip.shot_of(index)
            result.frames[index].append((id, place))
            if number >= 0 and clip.times_s[index] - embedded.get(id, -1.0) >= 1.0:
                embedded[id] = clip.times_s[index]
                vector = pack.embed(frame, [found[index][number]])[0]
                result.vectors.setdefault(id, []).append(vector)
    return result


def people_of(pack: FacePack, clip: Composed, result: Result) -> dict[int, int]:
    """Each track's person: by the tracker's own word, or joined from one embedding a second."""
    if result.people is not None:
        return result.people
    seen: dict[int, list[float]] = {}
    for index, frame in enumerate(result.frames):
        for id, _ in frame:
            seen.setdefault(id, []).append(clip.times_s[index])
    empty = np.zeros((0, 128), np.float32)
    appearances = [
        Appearance(
            id,
            times[0],
            times[-1],
            np.array(result.vectors[id]) if result.vectors.get(id) else empty,
            np.ones(len(result.vectors.get(id, [])), np.float32),
        )
        for id, times in sorted(seen.items())
    ]
    people = join_tracks(appearances, likeness_for(pack))
    return {t: number for number, person in enumerate(people) for t in person.tracks}


def judge(
    clip: Composed, result: Result, person_of: dict[int, int] | None
) -> motmetrics.MOTAccumulator:
    """Without `person_of` a person is another one in every shot."""
    judged = motmetrics.MOTAccumulator(auto_id=True)
    numbers: dict[tuple[str, int], int] = {}
    for index, truth in enumerate(clip.faces):
        counted = [face for face in truth if face.visible >= VISIBLE]
        ignored = [face.placement for face in truth if face.visible < VISIBLE]
        shot = -1 if person_of is not None else clip.shot_of(index)
        ids = [numbers.setdefault((face.person, shot), len(numbers)) for face in counted]
        claims = []
        for id, place in result.frames[index]:
            real = max((overlap(place, face.placement) for face in counted), default=0)
            unseen = max((overlap(place, other) for other in ignored), default=0)
            if real >= MATCHED or unseen < 0.3:
                claims.append((person_of[id] if person_of is not None else id, place))
        distance = np.full((len(counted), len(claims)), np.nan)
        for row, face in enumerate(counted):
            for column, (_, place) in enumerate(claims):
                shared = overlap(face.placement, place)
                if shared >= MATCHED:
                    distance[row, column] = 1 - shared
        judged.update(ids, [id for id, _ in claims], distance)
    return judged


def painted_on_others(clip: Composed, result: Result) -> float:
    """Share of all squares given where the face is all but hidden (visible below a tenth)."""
    hidden = total = 0
    for index, frame in enumerate(result.frames):
        for _, place in frame:
            total += 1
            best = max(clip.faces[index], key=lambda f: overlap(f.placement, place), default=None)
            hidden += bool(best and overlap(best.placement, place) > 0.3 and best.visible < 0.1)
    return hidden / max(total, 1)


METRICS = ["idf1", "num_switches", "recall", "precision", "num_unique_objects", "num_objects"]


def table(rows: dict[tuple[str, str, str], list[tuple[Composed, Result]]], pack: FacePack) -> str:
    lines = [
        "| faces from | tracker | story | IDF1 in a shot | IDF1 of people | switches in a shot "
        "| switches of people | recall | precision | people joined wrongly | on hidden faces |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    handler = motmetrics.metrics.create()
    for (source, name, story), cases in rows.items():
        plain, joined, wrong, hidden = [], [], 0, []
        for clip, result in cases:
            people = people_of(pack, clip, result)
            plain.append(judge(clip, result, None))
            joined.append(judge(clip, result, people))
            wrong += wrongly_joined(clip, result, people)
            hidden.append(painted_on_others(clip, result))
        one, other = (
            handler.compute_many(
                judged, metrics=METRICS, names=list(range(len(judged))), generate_overall=True
            ).loc["OVERALL"]
            for judged in (plain, joined)
        )
        lines.append(
            f"| {source} | {name} | {story} | {one.idf1:.3f} | {other.idf1:.3f} "
            f"| {one.num_switches:.0f} | {other.num_switches:.0f} | {one.recall:.3f} "
            f"| {one.precision:.3f} | {wrong} | {np.mean(hidden):.3f} |"
        )
    return "\n".join(lines)


def wrongly_joined(clip: Composed, result: Result, person_of: dict[int, int]) -> int:
    """Tracks that are joined to a person whose other tracks mostly show somebody else."""
    votes: dict[int, dict[str, int]] = {}
    for index, frame in enumerate(result.frames):
        for id, place in frame:
            best = max(clip.faces[index], key=lambda f: overlap(f.placement, place), default=None)
            if best is not None and overlap(best.placement, place) >= MATCHED:
                names = votes.setdefault(id, {})
                names[best.person] = names.get(best.person, 0) + 1
    shown = {id: max(names, key=lambda n: names[n]) for id, names in votes.items()}
    wrong = 0
    for person in set(person_of.values()):
        names = [shown[id] for id, p in person_of.items() if p == person and id in shown]
        wrong += len(names) - max((names.count(n) for n in set(names)), default=0)
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--stories", nargs="*", default=list(STORIES))
    parser.add_argument("--people", choices=["portraits", "clips"])
    parser.add_argument("--clips", type=Path, default=None, help="where to keep the clips")
    parser.add_argument("--only", nargs="*", default=["shipped", "ours", "norfair", "ByteTrack"])
    parser.add_argument("--faces", nargs="*", default=["bundled", "true"])
    parser.add_argument("--pack", default=BUNDLED, help="another pack in the bundled one's place")
    choice = parser.parse_args()
    cv2.setNumThreads(1)
    pack = load_pack(choice.pack, threads=1)
    casts: dict[str, Cast] = {}
    told_with = {
        story: choice.people or ("clips" if story in MOVING else "portraits")
        for story in choice.stories
    }
    if "portraits" in told_with.values():
        casts["portraits"] = load_people(choice.data, SPLIT)
    if "clips" in told_with.values():
        casts["clips"] = load_moving(sorted((choice.data / "clips/clean").glob("*.mp4")), pack)
    backgrounds = load_backgrounds(choice.data, 40)
    folder = choice.clips or Path(tempfile.mkdtemp())
    folder.mkdir(exist_ok=True, parents=True)
    rows: dict[tuple[str, str, str], list[tuple[Composed, Result]]] = {}
    for story in choice.stories:
        for seed in choice.seeds:
            scenes = STORIES[story](Director(seed, casts[told_with[story]], backgrounds))
            clip = compose(folder / f"{story}-{seed}.mp4", scenes, seed=seed)
            sources = {}
            if "bundled" in choice.faces and set(choice.only) - {"shipped"}:
                sources["bundled"] = found_by(pack, clip)
            if "true" in choice.faces:
                sources["true"] = true_found(clip, seed)

            def add(
                source: str, name: str, result: Result, clip: Composed = clip, story: str = story
            ) -> None:
                for line in (story,) if story in BEYOND else (story, "all"):
                    rows.setdefault((source, name, line), []).append((clip, result))

            if "shipped" in choice.only:
                start = time.process_time()
                result = shipped(pack, clip)
                spent = (time.process_time() - start) * 1000 / len(clip.times_s)
                add("bundled", "shipped", result)
                print(f"{story} {seed}: {spent:.1f} ms CPU a frame", flush=True)
            for source, found in sources.items():
                if "ours" in choice.only:
                    add(source, "ours", ours(pack, clip, found))
                for name, follow in (("norfair", norfair_follow), ("ByteTrack", bytetrack_follow)):
                    if name in choice.only:
                        add(source, name, others(follow(), pack, clip, found))
    order = sorted(rows, key=lambda k: (k[0], k[1], k[2] == "all", k[2]))
    print(table({key: rows[key] for key in order}, pack))


if __name__ == "__main__":
    main()
