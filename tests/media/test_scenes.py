"""What counts as a cut: moving views of photographs, and clips that went through an encoder."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from vidref.errors import InputError
from vidref.media.scenes import CutDetector, find_cuts, thumbnail

Picture = NDArray[np.uint8]
SIZE = (256, 144)


def shot(
    picture: Picture,
    frames: int,
    *,
    start: tuple[int, int] = (0, 0),
    step: tuple[int, int] = (1, 0),
) -> list[Picture]:
    """A window that moves over a photograph by `step` pixels a frame."""
    views = []
    for i in range(frames):
        x, y = start[0] + i * step[0], start[1] + i * step[1]
        view = picture[y : y + SIZE[1], x : x + SIZE[0]]
        assert view.shape[:2] == (SIZE[1], SIZE[0])
        views.append(np.ascontiguousarray(view))
    return views


def cuts_in(frames: Sequence[Picture]) -> list[int]:
    detector = CutDetector()
    found = []
    for frame in frames:
        image = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
        found += detector.push(thumbnail(image))
    return found + detector.finish()


@pytest.fixture(scope="module")
def woman() -> Picture:
    return data.astronaut()


@pytest.fixture(scope="module")
def cat() -> Picture:
    return data.chelsea()


@pytest.fixture(scope="module")
def cup() -> Picture:
    return data.coffee()


def test_every_cut_between_different_shots_is_found_where_it_is(
    woman: Picture, cat: Picture, cup: Picture
) -> None:
    frames = shot(woman, 20) + shot(cat, 9) + shot(cup, 14) + shot(woman, 11)
    assert cuts_in(frames) == [20, 29, 43]


def test_a_cut_to_another_view_of_the_same_subject_is_found(woman: Picture) -> None:
    frames = shot(woman, 12) + shot(woman, 12, start=(200, 300))
    assert cuts_in(frames) == [12]


def test_a_cut_between_dark_shots_with_noise_is_found(woman: Picture, cup: Picture) -> None:
    random = np.random.default_rng(3)
    frames = [
        np.clip(0.1 * f + random.normal(6, 3, f.shape), 0, 255).astype(np.uint8)
        for f in shot(woman, 12) + shot(cup, 12)
    ]
    assert cuts_in(frames) == [12]


def test_a_cut_in_the_last_or_second_frame_is_found(woman: Picture, cat: Picture) -> None:
    assert cuts_in(shot(woman, 10) + shot(cat, 1)) == [10]
    assert cuts_in(shot(woman, 10) + shot(cat, 2)) == [10]
    assert cuts_in(shot(woman, 1) + shot(cat, 10)) == [1]


@pytest.mark.parametrize("length", [1, 2])
def test_a_flash_is_not_a_cut(woman: Picture, length: int) -> None:
    frames = shot(woman, 24)
    for i in range(10, 10 + length):
        frames[i] = np.clip(frames[i] * 4.0 + 60, 0, 255).astype(np.uint8)
    assert cuts_in(frames) == []


def test_a_lamp_switched_off_is_not_a_cut(woman: Picture) -> None:
    frames = shot(woman, 24)
    assert cuts_in(frames[:12] + [(f * 0.5).astype(np.uint8) for f in frames[12:]]) == []


def test_a_fast_pan_is_not_a_cut(woman: Picture, cup: Picture) -> None:
    pan = shot(cup, 22, step=(15, 0)) + shot(cup, 22, start=(330, 100), step=(-15, 0))
    assert cuts_in(pan) == [22]
    assert cuts_in(shot(woman, 16, step=(12, 12))) == []


def test_a_dissolve_is_at_most_one_cut(woman: Picture, cat: Picture) -> None:
    before, after = shot(woman, 40), shot(cat, 40)
    weights = np.clip((np.arange(40) - 10) / 20, 0, 1)
    mixed = [
        (one * (1 - w) + other * w).astype(np.uint8)
        for one, other, w in zip(before, after, weights, strict=True)
    ]
    found = cuts_in(mixed)
    assert len(found) <= 1
    assert all(9 <= cut <= 31 for cut in found)


def test_a_cut_between_two_fields_is_one_cut(woman: Picture, cat: Picture) -> None:
    frames = shot(woman, 12) + shot(cat, 12)
    frames[11] = frames[11].copy()
    frames[11][1::2] = frames[12][1::2]
    found = cuts_in(frames)
    assert len(found) == 1
    assert found[0] in (11, 12)


def test_a_still_or_empty_picture_has_no_cuts(woman: Picture) -> None:
    assert cuts_in(shot(woman, 10, step=(0, 0))) == []
    assert cuts_in([np.zeros((SIZE[1], SIZE[0], 3), np.uint8)] * 10) == []
    assert cuts_in([]) == []


def test_a_cut_is_told_at_most_three_frames_after_it(woman: Picture, cat: Picture) -> None:
    detector = CutDetector()
    told = {}
    for index, frame in enumerate(shot(woman, 12) + shot(cat, 12)):
        image = av.VideoFrame.from_ndarray(frame, format="rgb24")
        for cut in detector.push(thumbnail(image)):
            told[cut] = index
    assert list(told) == [12]
    assert told[12] - 12 <= 3


def test_memory_does_not_grow_with_the_clip(woman: Picture, cat: Picture) -> None:
    views = [thumbnail(av.VideoFrame.from_ndarray(p, format="rgb24")) for p in (woman, cat)]
    detector = CutDetector()

    def run(frames: int) -> int:
        for index in range(frames):
            detector.push(views[index // 10 % 2].copy())
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        early = run(60)
        late = run(600)
    finally:
        tracemalloc.stop()
    assert late - early < 50_000


def write(path: Path, frames: Sequence[Picture], pts: Sequence[int], pix_fmt: str) -> Path:
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx265" if "10" in pix_fmt else "libx264", rate=30)
        video.width, video.height, video.pix_fmt = *SIZE, pix_fmt
        video.codec_context.time_base = Fraction(1, 1000)
        video.options = {"x265-params": "log-level=none"} if "10" in pix_fmt else {"crf": "30"}
        for frame, tick in zip(frames, pts, strict=True):
            image = av.VideoFrame.from_ndarray(frame, format="rgb24")
            image.pts, image.time_base = tick, Fraction(1, 1000)
            out.mux(video.encode(image))
        out.mux(video.encode(None))
    return path


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_the_cuts_of_a_file_are_the_timestamps_of_the_frames_that_begin_shots(
    tmp_path: Path, woman: Picture, cat: Picture, cup: Picture, pix_fmt: str
) -> None:
    frames = shot(woman, 15) + shot(cat, 10) + shot(cup, 12)
    pts = list(np.cumsum([33 + 17 * (i % 3) for i in range(len(frames))]))  # variable frame rate
    path = write(tmp_path / "clip.mkv", frames, [int(t) for t in pts], pix_fmt)
    assert find_cuts(path) == [pts[15], pts[25]]


def test_sixty_cuts_a_second_apart_are_all_found(
    tmp_path: Path, woman: Picture, cat: Picture, cup: Picture
) -> None:
    pictures = (woman, cat, cup)
    frames = []
    for second in range(60):
        start = (7 * second % 80, 3 * second % 80)
        frames += shot(pictures[second % 3], 10, start=start)
    pts = [100 * i for i in range(len(frames))]
    path = write(tmp_path / "clip.mkv", frames, pts, "yuv420p")
    assert find_cuts(path) == [1000 * second for second in range(1, 60)]


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        find_cuts(tmp_path / "nothing.mp4")
