"""Is anyone ever given the wrong person's photos? And are the right ones accepted?

    python -m tests.benchmarks.who_is_who limits [PACK]    where the limits of likeness.py come from
    python -m tests.benchmarks.who_is_who [PACK]           trials over the people of split dev
    python -m tests.benchmarks.who_is_who clips [PACK]     real clips, people labelled by hand

A track is one photograph, moved, lit anew and harmed moderately over several frames. Folders are
the person's other photographs, and those of the people who look most like them to the very
recogniser that judges. Limits come from the 100 people of split train that the recogniser's
training leaves out, against people it did see; split dev is only measured.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidref.faces.geometry import points_of
from vidref.faces.likeness import Likeness, likeness_for, mean_face
from vidref.faces.pack import TEMPLATE_112, FacePack, load_pack
from vidref.faces.people import Answer, Appearance, join_tracks, name_people
from vidref.faces.quality import measure
from vidref.pipeline.closer import with_faces, with_more_views
from vidref.pipeline.footage import footage_of
from vidref.pipeline.looking import look_at
from vidref.pipeline.naming import appearance_of
from vidref.pipeline.progress import ignore_progress
from vidref.settings import Settings
from vidref.training import face_augment
from vidref.training.recogniser_data import People, hold_out, inner, read_people, same_scan

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
FRAMES = 4
TRACKS_A_PHOTO = 1
LOOK_ALIKES_ALONE = 6
LOOK_ALIKES_BESIDE = 4
MARGIN_PX = 8
POINTS = TEMPLATE_112 + MARGIN_PX
"""Of a stored 128 px face."""


@dataclass(frozen=True)
class Gallery:
    """Clean photographs of people: embeddings, and whose they are."""

    people: People
    owners: NDArray[np.int64]
    photos: NDArray[np.int64]
    vectors: NDArray[np.float32]
    qualities: NDArray[np.float64]

    @staticmethod
    def of(people: People, pack: FacePack) -> Gallery:
        owners = [p for p, photos in enumerate(people.photos) for _ in photos]
        photos = [index for each in people.photos for index in each]
        vectors = [
            pack.embed_aligned([inner(people.faces[k]) for k in photos[i : i + 64]])
            for i in range(0, len(photos), 64)
        ]
        qualities = [measure(people.faces[k], POINTS).score for k in photos]
        return Gallery(
            people, np.array(owners), np.array(photos), np.concatenate(vectors), np.array(qualities)
        )

    def folder(self, person: int, without: int = -1) -> NDArray[np.float32] | None:
        """The mean face of a person's photographs but one, and but others scans of that one."""
        mine = [
            k
            for k in np.flatnonzero(self.owners == person)
            if self.photos[k] != without
            and (without < 0 or not self._same(int(self.photos[k]), without))
        ]
        return mean_face(self.vectors[mine], self.qualities[mine]) if mine else None

    def _same(self, one: int, other: int) -> bool:
        return same_scan(self.people.faces[one], self.people.faces[other])


def track_of(
    face: NDArray[np.uint8], pack: FacePack, rng: np.random.Generator, number: int = 0
) -> Appearance:
    """A photograph as a short track: one light and one kind of harm, every frame placed anew."""
    lit = face_augment.light(face, rng) if rng.random() < 0.7 else face
    scale = 112 / 512
    sigma, shrink = scale * rng.uniform(0, 8), max(1.0, scale * rng.uniform(1, 8))
    noise, packing = rng.uniform(0, 15), int(rng.uniform(60, 100))
    crops: list[NDArray[np.uint8]] = []
    quality = 0.0
    for _ in range(FRAMES):
        turn = cv2.getRotationMatrix2D(
            (63.5, 63.5), rng.normal(0, 3), float(np.exp(rng.normal(0, 0.03)))
        )
        turn[:, 2] += rng.normal(0, 1.5, 2)
        moved = cv2.warpAffine(lit, turn, (128, 128), borderMode=cv2.BORDER_REFLECT)
        harmed = face_augment.degrade(
            moved, rng, sigma=sigma, shrink=shrink, noise=noise, quality=packing
        )
        # One kind of harm is one quality: the first frame's stands for all.
        quality = quality if crops else measure(harmed, POINTS).score
        crops.append(inner(harmed))
    qualities = np.full(FRAMES, quality, np.float32)
    return Appearance(number, 0.0, 1.0, pack.embed_aligned(crops), qualities)


def limits(pack: FacePack) -> None:
    """Cosines that the limits must lie between, from people of split train."""
    seen, held = hold_out(read_people(DATA, "train"), 100, 0)
    others = seen.subset([int(k) for k in np.random.default_rng(0).permutation(len(seen))[:3000]])
    crowd, mine = Gallery.of(others, pack), Gallery.of(held, pack)
    right, wrong = [], []
    strangers = np.stack([crowd.folder(p) for p in range(len(others))])
    for k, photo in enumerate(mine.photos):
        rng = np.random.default_rng((1, k))
        face = track_of(held.faces[photo], pack, rng).face
        folder = mine.folder(int(mine.owners[k]), int(photo))
        if folder is not None:
            right.append(float(face @ folder))
        wrong.append(strangers @ face)
    told, false = np.array(right), np.concatenate(wrong)
    print(f"{pack.name}: same_person {pack.same_person}")
    print(f"{len(told)} tracks against their own folder, {len(false)} against strangers")
    for rate in (1e-2, 1e-3, 1e-4, 3e-5, 1e-5, 3e-6):
        limit = float(np.quantile(false, 1 - rate))
        print(
            f"  false {rate:.0e}: cosine {limit:.3f} = {limit / pack.same_person:.2f} of "
            f"same_person, right ones above {np.mean(told >= limit):.3f}"
        )
    print(
        f"  highest stranger {false.max():.3f}; right ones {np.quantile(told, [0.05, 0.25, 0.5])}"
    )
    clean = [
        float(mine.vectors[k] @ folder)
        for k, photo in enumerate(mine.photos)
        if (folder := mine.folder(int(mine.owners[k]), int(photo))) is not None
    ]
    print(f"  photo against its own folder {np.quantile(clean, [0.01, 0.05, 0.1, 0.5])}")


def trials(pack: FacePack) -> str:
    likeness = likeness_for(pack)
    people = read_people(DATA, "dev")
    gallery = Gallery.of(people, pack)
    folders = np.stack([gallery.folder(p) for p in range(len(people))])
    alone: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    right: Counter[str] = Counter()
    by_photos: dict[int, Counter[str]] = {}
    wrong_ones = []
    for k, photo in enumerate(gallery.photos):
        owner = int(gallery.owners[k])
        nearest = [int(p) for p in np.argsort(-(folders @ gallery.vectors[k])) if p != owner]
        own = gallery.folder(owner, int(photo))
        for draw in range(TRACKS_A_PHOTO):
            rng = np.random.default_rng((2, k, draw))
            (person,) = join_tracks([track_of(people.faces[photo], pack, rng)], likeness)
            for other in nearest[:LOOK_ALIKES_ALONE]:
                (verdict,) = name_people([person], {"wrong": folders[other]}, likeness)
                alone[_outcome(verdict.answer, False)] += 1
                if verdict.answer is Answer.NAMED:
                    wrong_ones.append((people.names[owner], people.names[other], verdict.likeness))
            if own is None:
                continue
            (verdict,) = name_people([person], {"right": own}, likeness)
            right[_outcome(verdict.answer, True)] += 1
            count = int((gallery.owners == owner).sum()) - 1
            by_photos.setdefault(min(count, 3), Counter())[_outcome(verdict.answer, True)] += 1
            named = {str(p): folders[p] for p in nearest[:LOOK_ALIKES_BESIDE]}
            (verdict,) = name_people([person], {"right": own, **named}, likeness)
            beside[_outcome(verdict.answer, verdict.name == "right")] += 1
            if verdict.answer is Answer.NAMED and verdict.name != "right":
                wrong_ones.append((people.names[owner], str(verdict.name), verdict.likeness))
    lines = [
        "| trial | count | wrong | unsure | refused | right |",
        "|---|---|---|---|---|---|",
        _row("a look-alike's folder alone", alone),
        _row("the right folder beside 4 look-alikes", beside),
        _row("both", alone + beside),
        _row("the right folder alone", right),
    ]
    lines += [
        _row(f"the right folder alone, {count}{'+' if count == 3 else ''} photos", by_photos[count])
        for count in sorted(by_photos)
    ]
    lines += [f"wrong: {item}" for item in wrong_ones]
    return "\n".join(lines)


@dataclass(frozen=True)
class Labelled:
    """Who is where in a clip, by hand: a face is who its box says, in frames `first` to `last`."""

    clip: str
    cuts: tuple[int, ...]
    """Frames that begin a shot."""
    people: tuple[tuple[str, int, int, float, float, float, float], ...]
    """Name, first and last frame, and left, top, right, bottom within which the eyes' middle is,
    in shares of the picture."""


SCENES = (
    Labelled(
        "scenes/two-people.mp4",
        (),
        (
            ("left man", 0, 278, 0.10, 0.0, 0.48, 0.45),
            ("right man", 0, 278, 0.48, 0.0, 0.85, 0.45),
        ),
    ),
    Labelled(
        "scenes/cuts-and-crowd.mp4",
        (20, 82, 211),
        (
            ("singer", 0, 19, 0.70, 0.0, 1.0, 0.4),
            ("pianist", 0, 19, 0.0, 0.4, 0.25, 0.75),
            ("man in profile", 20, 81, 0.40, 0.0, 1.0, 1.0),
            ("singer", 82, 210, 0.20, 0.0, 0.75, 0.5),
            ("woman on the left", 211, 274, 0.20, 0.1, 0.45, 0.55),
            ("man in the middle", 211, 274, 0.45, 0.0, 0.58, 0.45),
            ("woman on the right", 211, 274, 0.58, 0.0, 0.88, 0.55),
        ),
    ),
)
COLLINS = ("degraded/collins-1.mp4", "degraded/collins-2.mp4")


def clips(pack: FacePack) -> str:
    """Every labelled person's tracks, and what joining made of them."""
    likeness = likeness_for(pack)
    lines = [
        "| clip | person | tracks | joined to one | anyone else in it |",
        "|---|---|---|---|---|",
    ]
    for scene in SCENES:
        tracks, names = watched(scene, pack)
        lines += _joined_rows(scene.clip, tracks, names, likeness)
    both: list[Appearance] = []
    for clip in COLLINS:
        found, _ = watched(Labelled(clip, (), ()), pack)
        # One after the other, as two shots of one film.
        shift = max((a.last_s for a in both), default=-1.0) + 1
        both += [
            replace(a, track=len(both) + k, first_s=a.first_s + shift, last_s=a.last_s + shift)
            for k, a in enumerate(found)
        ]
    lines += _joined_rows("collins-1 + 2", both, {a.track: "Collins" for a in both}, likeness)
    return "\n".join(lines)


def watched(scene: Labelled, pack: FacePack) -> tuple[list[Appearance], dict[int, str]]:
    """The tracks of a clip as `analyse` sees them, and the name of each by its label."""
    footage = footage_of(DATA / "clips" / scene.clip, Settings.load(None, {"threads": 1}))
    seen = with_faces(look_at(footage, pack, None, ignore_progress), footage, pack)
    seen = with_more_views(seen, footage, pack, likeness_for(pack))
    if scene.cuts:
        found = tuple(seen.pts.tolist().index(pts) for pts in seen.shots[1:])
        assert found == scene.cuts, f"{scene.clip}: cuts at {found}"
    names = {}
    for track in seen.tracks:
        votes: Counter[str] = Counter()
        for frame in track.frames:
            x, y = points_of(frame.placement)[:2].mean(0) / seen.sizes[frame.index]
            for name, first, last, left, top, right, bottom in scene.people:
                if first <= frame.index <= last and left <= x < right and top <= y < bottom:
                    votes[name] += 1
        names[track.id] = votes.most_common(1)[0][0] if votes else "someone not labelled"
    return [appearance_of(track, seen) for track in seen.tracks], names


def _joined_rows(
    clip: str, tracks: list[Appearance], names: dict[int, str], likeness: Likeness
) -> list[str]:
    people = join_tracks(tracks, likeness)
    owner = {track: k for k, person in enumerate(people) for track in person.tracks}
    lines = []
    for name in dict.fromkeys(names[a.track] for a in tracks):
        mine = [a for a in tracks if names[a.track] == name]
        groups = {owner[a.track] for a in mine}
        others = {names[t] for g in groups for t in people[g].tracks} - {name}
        cosines = [
            f"{float(a.face @ b.face):.2f}"
            for k, a in enumerate(mine)
            for b in mine[k + 1 :]
            if a.face is not None and b.face is not None
        ]
        whole = "yes" if len(groups) == 1 else f"no: {len(groups)} people"
        beside = f" (cosines {', '.join(cosines[:6])})" if cosines else ""
        lines.append(f"| {clip} | {name} | {len(mine)} | {whole}{beside} | {', '.join(others)} |")
    return lines


def _outcome(answer: Answer, is_right: bool) -> str:
    if answer is Answer.NAMED:
        return "right" if is_right else "wrong"
    return "unsure" if answer is Answer.UNSURE else "refused"


def _row(name: str, counted: Counter[str]) -> str:
    total = max(1, sum(counted.values()))
    cells = [
        f"{counted[key]} ({100 * counted[key] / total:.1f} %)"
        for key in ("unsure", "refused", "right")
    ]
    return f"| {name} | {total} | {counted['wrong']} | {' | '.join(cells)} |"


if __name__ == "__main__":
    cv2.setNumThreads(1)
    wanted = [word for word in sys.argv[1:] if word not in ("limits", "clips")]
    chosen = load_pack(wanted[0] if wanted else "bundled", threads=1)
    if "limits" in sys.argv:
        limits(chosen)
    elif "clips" in sys.argv:
        print(clips(chosen))
    else:
        print(trials(chosen))
