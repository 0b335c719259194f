"""Faces followed through real decoded clips: a portrait that moves before a picture."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from skimage import data

from vidref.evaluation.composed_clips import Actor, Composed, Portrait, Scene, compose
from vidref.faces.association import overlap
from vidref.faces.geometry import Placement
from vidref.faces.pack import load_pack
from vidref.faces.paths import Presence, Track
from vidref.faces.watch import Watcher

SIZE = (480, 320)


@pytest.fixture(scope="module")
def pack():
    return load_pack(threads=1)


@pytest.fixture(scope="module")
def portrait(pack) -> Portrait:
    photo = data.astronaut()
    return Portrait("collins", photo, pack.detect(photo)[0].landmarks_xy)


def scene(portrait: Portrait, path, seconds: float) -> Scene:
    return Scene(data.coffee(), seconds, (Actor(portrait, path),))


def follow(pack, clip: Composed, cuts: tuple[int, ...] = ()) -> tuple[list[Track], int]:
    watcher, looks = Watcher(pack), 0

    def look(frame):
        nonlocal looks
        looks += 1
        return frame

    with av.open(str(clip.path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index in cuts:
                watcher.cut()
            picture = frame.to_ndarray(format="rgb24")
            last = index + 1 in cuts
            watcher.see(index, clip.times_s[index], lambda picture=picture: look(picture), last)
    return watcher.finish(), looks


def test_a_walking_face_is_followed_in_every_frame_with_few_looks(pack, portrait, tmp_path: Path):
    def walk(t: float) -> Placement:
        return Placement((150 + 60 * t, 150 + 10 * np.sin(5 * t)), 110.0, 0.1 * np.sin(3 * t))

    clip = compose(tmp_path / "clip.mp4", [scene(portrait, walk, 2.4)], size=SIZE)
    (track,), looks = follow(pack, clip)
    assert [frame.index for frame in track.frames] == list(range(track.first, track.last + 1))
    assert track.first == 0
    assert track.last >= 57
    assert all(
        overlap(frame.placement, clip.faces[frame.index][0].placement) > 0.7
        for frame in track.frames
    )
    assert looks < 50
    assert 2 <= len(track.appearances) <= 4


def test_a_face_that_appears_between_looks_is_found_from_its_first_frame(
    pack, portrait, tmp_path: Path
):
    def late(t: float) -> Placement | None:
        return Placement((240.0, 160.0), 110.0, 0.0) if t >= 0.44 else None

    clip = compose(tmp_path / "clip.mp4", [scene(portrait, late, 1.2)], size=SIZE)
    first = next(i for i, faces in enumerate(clip.faces) if faces)
    assert first % 8 != 0  # not a frame that is looked at anyway
    (track,), _ = follow(pack, clip)
    assert first <= track.first <= first + 1
    assert all(frame.presence is not Presence.MISSED for frame in track.frames)


def test_at_a_cut_the_path_ends_and_nothing_is_smoothed_across(pack, portrait, tmp_path: Path):
    scenes = [
        scene(portrait, lambda _: Placement((130.0, 150.0), 110.0, 0.0), 0.8),
        scene(portrait, lambda _: Placement((340.0, 170.0), 130.0, 0.1), 0.8),
    ]
    clip = compose(tmp_path / "clip.mp4", scenes, size=SIZE)
    (one, other), _ = follow(pack, clip, clip.cuts)
    assert (one.shot, one.first, one.last) == (0, 0, 19)
    assert (other.shot, other.first) == (1, 20)
    assert all(abs(frame.placement.centre_xy[0] - 130) < 8 for frame in one.frames)
    assert all(abs(frame.placement.centre_xy[0] - 340) < 8 for frame in other.frames)
    likeness = one.appearances[0].vector @ other.appearances[0].vector
    assert likeness > pack.same_person


def test_a_clip_of_uneven_frame_times_is_followed_in_seconds(pack, portrait, tmp_path: Path):
    rng = np.random.default_rng(0)
    ticks = [0, *np.cumsum(rng.integers(15, 90, 39)).tolist()]

    def walk(t: float) -> Placement:
        return Placement((130 + 90 * t, 150.0), 110.0, 0.0)

    clip = compose(tmp_path / "clip.mp4", [scene(portrait, walk, 1.6)], size=SIZE, ticks=ticks)
    (track,), _ = follow(pack, clip)
    off = [
        frame.placement.centre_xy[0] - clip.faces[frame.index][0].placement.centre_xy[0]
        for frame in track.frames
    ]
    assert np.std(off) < 2.5


def test_a_clip_without_a_face_has_no_tracks(pack, portrait, tmp_path: Path):
    clip = compose(tmp_path / "clip.mp4", [scene(portrait, lambda _: None, 0.8)], size=SIZE)
    assert follow(pack, clip)[0] == []
