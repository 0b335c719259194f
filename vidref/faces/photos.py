"""The user's photos of people: which can be used, which cannot, and why, in plain words.

A folder of photos is one person; a folder of folders is several, by name; a file is one person with
one photo. Pixels are not kept: a chosen photo is read again when its crop is needed, and refused
if the file has changed since.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidref.errors import InputError
from vidref.faces.boxes import overlaps
from vidref.faces.candidates import likeness_of_stamps, stamp_of
from vidref.faces.detected import DetectedFace
from vidref.faces.geometry import CROP_PX, Placement, placement_of, take_crop
from vidref.faces.likeness import Likeness, likeness_for
from vidref.faces.pack import FacePack
from vidref.faces.pictures import is_photo, read_picture
from vidref.faces.quality import Quality, measure

LEAST_PX = 64
"""Side of the face square below which a photo shows nothing that footage would not."""
LEAST_QUALITY = 0.15
"""Below it some faces are no longer like their own sharp portrait (2 of 48) and a sixth of the
detail is left; of 967 above it none is unlike: tests/benchmarks/quality_limits.py."""
SAME_PICTURE = 0.97
"""Correlation of stamps from which two photos are one; rescans and edits reach it."""
CLEARLY_LARGER = 1.5
LOOK_AGAIN_PX = 640
"""Detectors look at about this size: in larger pictures a face is looked at again by itself."""


@dataclass(frozen=True)
class Photo:
    """A face in a photo that can serve as reference."""

    path: Path
    sha256: str
    placement: Placement
    quality: Quality
    embedding: NDArray[np.float32]
    agreement: float
    """Cosine with the mean of the person's other photos; 1 where there is no other."""


@dataclass(frozen=True)
class SetAside:
    """A photo that is not used, and the reason as a sentence."""

    path: Path
    reason: str
    sha256: str | None = None


@dataclass(frozen=True)
class NamedPerson:
    """A person the user named: usable photos, the best first, and the ones set aside."""

    name: str
    photos: tuple[Photo, ...]
    set_aside: tuple[SetAside, ...]

    @property
    def embedding(self) -> NDArray[np.float32]:
        """The mean face of the photos, good ones counting more; of length one, (d,)."""
        vectors = np.stack([photo.embedding for photo in self.photos])
        weights = np.array([photo.quality.score for photo in self.photos], np.float32)
        mean = (vectors * weights[:, None]).sum(0)
        result: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-9)
        return result


def load_people(source: Path, pack: FacePack) -> list[NamedPerson]:
    """Everyone in a folder of references, in the order of their names."""
    return [_load_person(name, files, pack) for name, files in find_people(source)]


def find_people(source: Path) -> list[tuple[str, list[Path]]]:
    """Names and their files, before any file is opened."""
    if not source.exists():
        raise InputError(f"There are no reference photos at {source}: check the path.")
    if source.is_file():
        return [(source.stem, [source])]
    loose = [path for path in _listed(source) if path.is_file()]
    folders = [path for path in _listed(source) if path.is_dir()]
    people = [(folder.name, list(_files_below(folder))) for folder in folders]
    people = [(name, files) for name, files in people if any(map(is_photo, files))]
    if not people:
        if not any(map(is_photo, loose)):
            raise InputError(
                f"The folder {source} holds no photos: put photos of one person into it, or one "
                "folder of photos for each person."
            )
        return [(source.resolve().name, loose)]
    stray = [path for path in loose if is_photo(path)]
    if stray:
        raise InputError(
            f"{source} holds both folders of people and loose photos ({stray[0].name}): move each "
            "photo into the folder of its person."
        )
    return people


def read_photo_crop(
    path: Path, sha256: str, placement: Placement, crop_px: int = CROP_PX
) -> NDArray[np.uint8]:
    """The aligned face of a chosen photo at full resolution, read from its file again."""
    picture = read_picture(path)
    if picture.sha256 != sha256:
        raise InputError(f"{path} has changed since it was chosen: run the analysis again.")
    return take_crop(picture.rgb, placement, crop_px)


@dataclass(frozen=True)
class _Seen:
    """A face in a photo, before it is known whose it is."""

    photo: Photo
    stamp: NDArray[np.uint8]


def _load_person(name: str, files: Sequence[Path], pack: FacePack) -> NamedPerson:
    likeness = likeness_for(pack)
    aside: list[SetAside] = []
    shown: list[list[_Seen]] = []
    hashes: dict[str, Path] = {}
    for path in files:
        if not is_photo(path):
            aside.append(SetAside(path, "It is not a kind of photo that can be read."))
            continue
        try:
            picture = read_picture(path)
        except InputError as error:
            aside.append(SetAside(path, str(error)))
            continue
        first = hashes.setdefault(picture.sha256, path)
        if first != path:
            reason = f"It is the same file as {first.name}."
            aside.append(SetAside(path, reason, picture.sha256))
            continue
        faces = _faces_of(picture.rgb, pack)
        if not faces:
            aside.append(SetAside(path, "No face was found in it.", picture.sha256))
            continue
        embeddings = pack.embed(picture.rgb, faces)
        shown.append(
            [
                _seen(picture.rgb, path, picture.sha256, face, vector)
                for face, vector in zip(faces, embeddings, strict=True)
            ]
        )
    mine, others = _one_face_each(name, shown, likeness)
    kept, unfit = _fit_ones(mine)
    photos = sorted((seen.photo for seen in kept), key=lambda p: -p.quality.score)
    return NamedPerson(name, tuple(photos), (*aside, *others, *unfit))


def _seen(
    rgb: NDArray[np.uint8],
    path: Path,
    sha256: str,
    face: DetectedFace,
    embedding: NDArray[np.float32],
) -> _Seen:
    placement = placement_of(face.landmarks_xy)
    quality = measure(rgb, face.landmarks_xy)
    return _Seen(Photo(path, sha256, placement, quality, embedding, 1.0), stamp_of(rgb, placement))


def _faces_of(rgb: NDArray[np.uint8], pack: FacePack) -> list[DetectedFace]:
    """All faces; in a picture larger than detectors look at, each is looked at again by itself."""
    found = pack.detect(rgb)
    if max(rgb.shape[:2]) <= 1.25 * LOOK_AGAIN_PX:
        return found
    return [_looked_at_again(rgb, face, pack) for face in found]


def _looked_at_again(rgb: NDArray[np.uint8], face: DetectedFace, pack: FacePack) -> DetectedFace:
    """The same face, its points found where it is large; as it was where it is not found again."""
    height, width = rgb.shape[:2]
    low, high = face.box_xyxy[:2], face.box_xyxy[2:]
    reach = 1.25 * float((high - low).max())
    left, top = np.maximum((low + high) / 2 - reach, 0).astype(int)
    right, bottom = np.minimum((low + high) / 2 + reach, [width, height]).astype(int)
    if max(right - left, bottom - top) > 0.8 * max(height, width):
        return face
    corner = np.array([left, top], np.float32)
    again = pack.detect(np.ascontiguousarray(rgb[top:bottom, left:right]))
    if not again:
        return face
    boxes = np.stack([other.box_xyxy for other in again]) + np.tile(corner, 2)
    shared = overlaps(face.box_xyxy, boxes)
    best = int(shared.argmax())
    if shared[best] < 0.5:
        return face
    return DetectedFace(boxes[best], again[best].landmarks_xy + corner, face.score)


def _one_face_each(
    name: str, shown: Sequence[Sequence[_Seen]], likeness: Likeness
) -> tuple[list[_Seen], list[SetAside]]:
    """In each photo the face that agrees with the other photos, and the photos where none does."""
    if len(shown) == 1:
        return _alone(name, shown[0])
    chosen = _agreed(shown)
    mine: list[_Seen] = []
    aside: list[SetAside] = []
    while True:
        # The one that agrees least goes first, so that it does not speak against the others.
        if len(chosen) < 2:
            mine = chosen
            break
        agreements = [
            float(seen.photo.embedding @ _mean(chosen[:k] + chosen[k + 1 :]))
            for k, seen in enumerate(chosen)
        ]
        worst = _least_agreeing(chosen, agreements)
        if agreements[worst] >= likeness.agrees:
            mine = [
                replace(seen, photo=replace(seen.photo, agreement=agreement))
                for seen, agreement in zip(chosen, agreements, strict=True)
            ]
            break
        wrong = chosen.pop(worst).photo
        reason = (
            f"The face in it does not look like {name}'s other photos "
            f"(likeness {agreements[worst]:.2f}, needed {likeness.agrees:.2f})."
        )
        aside.append(SetAside(wrong.path, reason, wrong.sha256))
    return mine, aside


def _alone(name: str, faces: Sequence[_Seen]) -> tuple[list[_Seen], list[SetAside]]:
    ranked = sorted(faces, key=lambda seen: -seen.photo.placement.size_px)
    if len(ranked) > 1 and (
        ranked[0].photo.placement.size_px < CLEARLY_LARGER * ranked[1].photo.placement.size_px
    ):
        photo = ranked[0].photo
        reason = (
            f"It shows {len(ranked)} people and there is no other photo to say which is {name}: "
            "cut it down to one."
        )
        return [], [SetAside(photo.path, reason, photo.sha256)]
    return ranked[:1], []


def _agreed(shown: Sequence[Sequence[_Seen]]) -> list[_Seen]:
    """One face a photo: the set that is most alike, found from every face as a beginning."""
    if not shown:
        return []
    best: list[_Seen] = []
    best_sum = -np.inf
    for first in (seen for faces in shown for seen in faces):
        centre = first.photo.embedding
        for _ in range(3):
            picks = [
                max(faces, key=lambda seen: float(seen.photo.embedding @ centre)) for faces in shown
            ]
            centre = _mean(picks)
        total = sum(float(seen.photo.embedding @ centre) for seen in picks)
        if total > best_sum:
            best, best_sum = picks, total
    return best


def _least_agreeing(chosen: Sequence[_Seen], agreements: Sequence[float]) -> int:
    """Of two photos that contradict each other nothing says who is right: the poorer one goes."""
    if len(chosen) == 2:
        return int(np.argmin([seen.photo.quality.score for seen in chosen]))
    return int(np.argmin(agreements))


def _mean(faces: Sequence[_Seen]) -> NDArray[np.float32]:
    total = sum((seen.photo.embedding for seen in faces), np.zeros_like(faces[0].photo.embedding))
    result: NDArray[np.float32] = total / max(float(np.linalg.norm(total)), 1e-9)
    return result


def _fit_ones(faces: Sequence[_Seen]) -> tuple[list[_Seen], list[SetAside]]:
    """Without those too small or too poor, and of each picture that is there twice the better."""
    kept: list[_Seen] = []
    aside: list[SetAside] = []
    for seen in sorted(faces, key=lambda s: -s.photo.quality.score):
        photo = seen.photo
        twin = next(
            (k for k in kept if likeness_of_stamps(k.stamp, seen.stamp) >= SAME_PICTURE), None
        )
        if photo.placement.size_px < LEAST_PX:
            reason = f"The face is too small ({photo.placement.size_px:.0f} px, {LEAST_PX} needed)."
        elif photo.quality.score < LEAST_QUALITY:
            reason = f"The face is too poor to help ({photo.quality.weakest()})."
        elif twin is not None:
            reason = f"It is the same picture as {twin.photo.path.name}, which is better."
        else:
            kept.append(seen)
            continue
        aside.append(SetAside(photo.path, reason, photo.sha256))
    return kept, aside


def _listed(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"{folder} cannot be opened ({reason}): check the folder.") from error
    return sorted(found, key=lambda path: _counting(path.name))


def _files_below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted((f for f in folders if not f.startswith(".")), key=_counting)
        for name in sorted(files, key=_counting):
            if not name.startswith("."):
                yield Path(parent) / name


def _counting(name: str) -> list[tuple[int, int, str]]:
    """The order in which a person counts: 2 before 10."""
    pieces = re.split(r"(\d+)", name.lower())
    return [(1, int(piece), "") if piece.isdigit() else (0, 0, piece) for piece in pieces]
