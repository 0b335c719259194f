"""The faces' stream by itself: what a frame's face depends on, and what it does not."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from vidref.errors import ModelError
from vidref.faces.geometry import Placement
from vidref.faces.steady import REACH
from vidref.media.frames import Frame
from vidref.model.restorer import Face, PersonContext, Sampling
from vidref.pipeline.rebuild import FaceHere, Rebuilder, Touch

SIDE, FRAMES = 96, 2 * REACH + 3
PLACE = Placement((48.0, 46.0), 70.0, 0.05)


class Paler:
    """Gives every crop back paler, and counts them."""

    name, sha256, recogniser_sha256 = "paler", "0" * 64, None
    mirrored_embeddings = uses_references = False
    crop_px, batch, side_by_side = 64, 4, True

    def __init__(self) -> None:
        self.seen = 0

    def remember(self, references: object, weights: object = None) -> PersonContext:
        return PersonContext(torch.zeros(0, 1, 1), ())

    def restore(self, faces: Sequence[Face], sampling: Sampling | None = None) -> torch.Tensor:
        self.seen += len(faces)
        return torch.stack([face.crop for face in faces]) * 0.6


def frames(numbers: range = range(FRAMES)) -> list[Frame]:
    """A picture that drifts, its blocks a little different in every frame, as a codec leaves it."""
    y, x = np.mgrid[:SIDE, :SIDE]
    found = []
    for number in numbers:
        rng = np.random.default_rng(number)
        blocks = np.kron(rng.normal(0, 4, (SIDE // 6, SIDE // 6)), np.ones((6, 6)))
        grey = 120 + 50 * np.sin((x + 0.4 * number) / 7) * np.cos(y / 9) + blocks
        rgb = np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, 2)
        image = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
        image.pts, image.time_base = number, Fraction(1, 25)
        found.append(Frame(image, number, number, 1, Fraction(1, 25)))
    return found


def rebuilt(
    numbers: range = range(FRAMES),
    strength: float = 1.0,
    model: Paler | None = None,
    depth: int = 4,
    tracks: Sequence[int] = (1,) * FRAMES,
    shown: Sequence[float] = (1.0,) * FRAMES,
    threads: int = 1,
    calls: int = 1,
) -> dict[int, np.ndarray]:
    model = model or Paler()
    rebuilder = Rebuilder(
        model,
        {"p1": model.remember([])},
        lambda frame: [
            FaceHere("p1", PLACE, tracks[frame.pts], strength, shown[frame.pts])
            for _ in range(shown[frame.pts] > 0)
        ],
        Touch(Sampling(steps=1), calls=calls, threads=threads),
    )
    stream = rebuilder.stream(frames(numbers), depth)
    return {item.pts: item.image.to_ndarray() for item in stream if isinstance(item, Frame)}


@pytest.fixture(scope="module")
def whole() -> dict[int, np.ndarray]:
    return rebuilt()


def test_a_face_depends_on_the_frames_around_it_and_on_no_others(
    whole: dict[int, np.ndarray],
) -> None:
    middle = FRAMES // 2
    part = rebuilt(range(middle - REACH, middle + REACH + 1), depth=1)
    assert np.array_equal(part[middle], whole[middle])
    short = rebuilt(range(middle - REACH + 1, middle + REACH + 1))
    assert not np.array_equal(short[middle], whole[middle])


def test_the_number_of_threads_that_steady_changes_no_bit(
    whole: dict[int, np.ndarray],
) -> None:
    shared_out = rebuilt(threads=3)
    assert all(np.array_equal(shared_out[number], whole[number]) for number in whole)


class Hasty(Paler):
    """Takes turns in being slow, and knows how many calls are within it."""

    def __init__(self) -> None:
        super().__init__()
        self.within = self.most = self.calls = 0
        self._counting = threading.Lock()

    def restore(self, faces: Sequence[Face], sampling: Sampling | None = None) -> torch.Tensor:
        with self._counting:
            self.calls, self.within = self.calls + 1, self.within + 1
            self.most = max(self.most, self.within)
            slow = self.calls % 2
        time.sleep(0.2 * slow)
        with self._counting:
            self.within -= 1
            return super().restore(faces, sampling)


@pytest.mark.parametrize("calls", [1, 3])
def test_so_many_calls_of_the_model_run_side_by_side_and_change_no_bit(
    whole: dict[int, np.ndarray], calls: int
) -> None:
    model = Hasty()
    found = rebuilt(model=model, calls=calls)
    assert list(found) == list(whole)
    assert all(np.array_equal(found[number], whole[number]) for number in whole)
    assert (model.most, model.seen) == (calls, FRAMES)


def test_a_call_that_fails_ends_the_stream_with_its_error() -> None:
    class Failing(Hasty):
        def restore(self, faces: Sequence[Face], sampling: Sampling | None = None) -> torch.Tensor:
            if self.calls == 2:
                raise ModelError("no more")
            return super().restore(faces, sampling)

    with pytest.raises(ModelError, match="no more"):
        rebuilt(model=Failing(), calls=2)


def test_faces_of_different_tracks_are_not_mixed(whole: dict[int, np.ndarray]) -> None:
    cut = 5
    apart = rebuilt(tracks=[1] * cut + [2] * (FRAMES - cut))
    alone = rebuilt(range(cut)) | rebuilt(range(cut, FRAMES))
    assert all(np.array_equal(apart[n], alone[n]) for n in range(FRAMES))
    assert not np.array_equal(apart[cut], whole[cut])


def test_a_face_is_not_mixed_with_itself_from_before_it_was_away() -> None:
    away = 6
    shown = [float(number != away) for number in range(FRAMES)]
    apart = rebuilt(shown=shown)
    alone = rebuilt(range(away)) | rebuilt(range(away + 1, FRAMES))
    assert all(np.array_equal(apart[number], alone[number]) for number in alone)


def test_a_face_fades_into_the_picture_as_it_was(whole: dict[int, np.ndarray]) -> None:
    shares = [1.0] * (FRAMES - 3) + [0.5, 0.25, 0.0]
    faded = rebuilt(shown=shares)
    inside = (slice(35, 60), slice(35, 60))
    was = [frame.image.to_ndarray() for frame in frames()]
    assert np.array_equal(faded[FRAMES - 1], was[FRAMES - 1])
    for number in (FRAMES - 3, FRAMES - 2):
        full, part = (
            float(np.abs(some[number][inside].astype(int) - was[number][inside]).mean())
            for some in (whole, faded)
        )
        assert full > 2 and part == pytest.approx(shares[number] * full, rel=0.2)
    assert np.array_equal(faded[0], whole[0])


def test_a_face_of_which_nothing_is_shown_is_steadied_without_the_model() -> None:
    model = Paler()
    steadied = rebuilt(strength=0.0, model=model)
    assert model.seen == 0
    inside = (slice(35, 60), slice(35, 60))
    clean = [frame.image.to_ndarray()[:SIDE] for frame in frames()]
    steps = [
        float(np.abs(b[inside].astype(int) - a[inside]).mean())
        for a, b in ((clean[3], clean[4]), (steadied[3][:SIDE], steadied[4][:SIDE]))
    ]
    assert 0.5 < steps[1] < 0.75 * steps[0]
    for number, picture in enumerate(clean):
        assert np.array_equal(picture[0], steadied[number][0])


def test_a_strength_between_shows_so_much_of_the_restoration(whole: dict[int, np.ndarray]) -> None:
    inside = (slice(35, 60), slice(35, 60))
    none, half = rebuilt(strength=0.0), rebuilt(strength=0.5)
    level = [float(one[4][:SIDE][inside].mean()) for one in (none, half, whole)]
    assert level[1] == pytest.approx((level[0] + level[2]) / 2, abs=0.6)
