"""Putting a face back: only the face moves, in the input's colours, and what hides it stays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from vidref.faces.blend import Placed, place_back
from vidref.faces.geometry import Placement, take_crop, to_frame
from vidref.faces.mask import face_mask, region_of

FACE = Placement((224.2, 105.5), 179.0, 0.034)
"""Where scikit-image's astronaut has her face."""
CHEEKS = ((160, 310, 40), (310, 310, 40))


@pytest.fixture(scope="module")
def photo() -> NDArray[np.uint8]:
    return np.asarray(data.astronaut(), np.uint8)


def degraded(picture: NDArray[np.uint8], smaller: int = 3, noise: float = 4) -> NDArray[np.uint8]:
    """The picture through a small, noisy copy of itself."""
    height, width = picture.shape[:2]
    size = (width // smaller, height // smaller)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    rough = np.random.default_rng(1).normal(0, noise, small.shape)
    small = np.clip(small + rough, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def blended(frame: NDArray[np.uint8], placed: Placed) -> NDArray[np.float32]:
    """What the frame shows afterwards, over 0..255."""
    rgb = placed.rgb.astype(np.float32) / 257
    mask = placed.mask[..., None]
    return np.asarray(frame * (1 - mask) + rgb * mask, np.float32)


def as_model(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
    return (crop / 255).astype(np.float32)


def lab(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def skin(crop: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean Lab colour of both cheeks of an aligned square."""
    patches = [lab(crop)[y - r : y + r, x - r : x + r].reshape(-1, 3) for x, y, r in CHEEKS]
    return np.asarray(np.concatenate(patches).mean(0))


def test_the_restored_face_arrives_where_it_belongs(photo: NDArray[np.uint8]) -> None:
    poor = degraded(photo)
    placed = place_back(poor, take_crop(poor, FACE), as_model(take_crop(photo, FACE)), FACE)
    whole = placed.mask > 0.99
    assert whole.mean() > 0.03
    before = np.abs(poor[whole].astype(float) - photo[whole]).mean()
    after = np.abs(blended(poor, placed)[whole] - photo[whole]).mean()
    assert after < 0.35 * before
    for x, y in ((1, 0), (0, 1)):
        moved = np.roll(blended(poor, placed), (y, x), (0, 1))
        assert np.abs(moved[whole] - photo[whole]).mean() > 1.5 * after


@pytest.mark.parametrize("size", [60.0, 201.5, 512.0, 700.0])
@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_places_are_exact_to_a_fraction_of_a_pixel(size: float, angle: float) -> None:
    place = Placement((400.37, 399.81), size, angle)
    matrix = to_frame(place)
    y, x = np.mgrid[:512, :512]
    spot = np.exp(-(((x - 250.0) / 14) ** 2 + ((y - 280.0) / 14) ** 2)).astype(np.float32)
    frame = np.full((800, 800, 3), 128, np.uint8)
    restored = 0.5 + 0.4 * np.repeat(spot[..., None], 3, axis=2)
    # a spot this strong is an occluder to the tool, so only the rebuilt picture is looked at
    placed = place_back(frame, take_crop(frame, place), restored, place, grain=0)
    bright = placed.rgb[..., 0].astype(float) - np.median(placed.rgb)
    bright[bright < 0.25 * bright.max()] = 0
    rows, columns = np.mgrid[:800, :800]
    found = np.array([(columns * bright).sum(), (rows * bright).sum()]) / bright.sum()
    wanted = matrix[:, :2] @ np.array([250.0, 280.0]) + matrix[:, 2]
    assert np.abs(found - wanted).max() < 0.08


def test_nothing_moves_outside_the_face(photo: NDArray[np.uint8]) -> None:
    restored = 1 - as_model(take_crop(photo, FACE))
    placed = place_back(photo, take_crop(photo, FACE), restored, FACE)
    left, top, right, bottom = region_of(FACE, (512, 512))
    outside = np.ones((512, 512), bool)
    outside[top:bottom, left:right] = False
    assert placed.mask[outside].max() == 0
    assert (placed.rgb[outside] == photo[outside].astype(np.uint16) * 257).all()
    mask = face_mask()
    edge = np.concatenate([mask[:2], mask[-2:], mask[:, :2].T, mask[:, -2:].T])
    assert edge.max() == 0 and mask.max() == 1


def test_strength_mixes_and_none_of_it_changes_nothing(photo: NDArray[np.uint8]) -> None:
    poor = degraded(photo)
    crop, restored = take_crop(poor, FACE), as_model(take_crop(photo, FACE))
    full = place_back(poor, crop, restored, FACE)
    half = place_back(poor, crop, restored, FACE, strength=0.5)
    none = place_back(poor, crop, restored, FACE, strength=0)
    assert none.mask.max() == 0
    assert (none.rgb == poor.astype(np.uint16) * 257).all()
    assert np.allclose(half.mask, full.mask / 2, atol=1e-6)


@pytest.mark.parametrize("cast", [(1.15, 0.95, 0.8), (0.8, 1.0, 1.1), (0.85, 0.85, 0.85)])
def test_a_model_that_shifts_colours_does_not_shift_the_skin(
    photo: NDArray[np.uint8], cast: tuple[float, float, float]
) -> None:
    poor = degraded(photo, noise=8)
    crop = take_crop(poor, FACE)
    restored = np.clip(as_model(take_crop(photo, FACE)) * np.array(cast, np.float32), 0, 1)
    placed = place_back(poor, crop, restored, FACE)
    out = take_crop(np.rint(blended(poor, placed)).astype(np.uint8), FACE)
    assert np.linalg.norm(skin(restored * 255) - skin(crop)) > 5
    assert np.linalg.norm(skin(out) - skin(crop)) < 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_stays_grey_whatever_the_model_paints(photo: NDArray[np.uint8], dtype: type) -> None:
    luma = cv2.cvtColor(degraded(photo), cv2.COLOR_RGB2GRAY)
    grey = np.repeat(luma[..., None], 3, axis=2)
    if dtype is np.uint16:
        grey = grey.astype(np.uint16) * 257
    placed = place_back(grey, take_crop(grey, FACE), as_model(take_crop(photo, FACE)), FACE)
    assert (placed.rgb == placed.rgb[..., :1]).all()
    assert np.abs(placed.rgb[..., 0].astype(int) - luma.astype(int) * 257).max() > 2000


def test_sepia_gets_no_red_lips(photo: NDArray[np.uint8]) -> None:
    luma = cv2.cvtColor(degraded(photo), cv2.COLOR_RGB2GRAY).astype(np.float32)
    sepia = np.stack([luma, 0.85 * luma + 4, 0.6 * luma + 10], -1)
    poor = np.clip(np.rint(sepia), 0, 255).astype(np.uint8)
    placed = place_back(poor, take_crop(poor, FACE), as_model(take_crop(photo, FACE)), FACE)
    out = blended(poor, placed)[placed.mask > 0.99]
    out = out[(out[:, 0] > 5) & (out[:, 0] < 250)]
    assert np.abs(out[:, 1] - (0.85 * out[:, 0] + 4)).max() < 3


def test_a_hand_and_a_microphone_stay_in_front_of_the_face(photo: NDArray[np.uint8]) -> None:
    covered = np.zeros((512, 512), np.uint8)
    cv2.circle(covered, (225, 180), 26, 255, -1)
    cv2.line(covered, (225, 180), (260, 330), 255, 22)
    hidden = photo.copy()
    hidden[covered > 0] = (45, 45, 48)
    poor = degraded(hidden)
    placed = place_back(poor, take_crop(poor, FACE), as_model(take_crop(photo, FACE)), FACE)
    out = blended(poor, placed)
    thing = (cv2.erode(covered, np.ones((7, 7))) > 0) & (face_weight(poor.shape) > 0.9)
    free = (cv2.dilate(covered, np.ones((31, 31))) == 0) & (face_weight(poor.shape) > 0.99)
    assert thing.sum() > 500
    moved = np.linalg.norm(lab(out) - lab(poor.astype(np.float32)), axis=2)
    assert moved[thing].mean() < 1.5
    assert placed.mask[free].mean() > 0.97


def face_weight(shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = (shape[1], shape[0])
    return np.asarray(cv2.warpAffine(face_mask(), to_frame(FACE), size), np.float32)


def test_a_sharpened_face_is_not_taken_for_an_occluder(photo: NDArray[np.uint8]) -> None:
    for smaller, noise in ((2, 3.0), (5, 8.0), (8, 12.0)):
        poor = degraded(photo, smaller, noise)
        placed = place_back(poor, take_crop(poor, FACE), as_model(take_crop(photo, FACE)), FACE)
        kept = (placed.mask * face_weight(poor.shape)).sum() / (face_weight(poor.shape) ** 2).sum()
        assert kept > 0.96


def test_a_face_larger_than_the_model_keeps_its_own_fine_detail(photo: NDArray[np.uint8]) -> None:
    large = np.asarray(cv2.resize(photo, (2048, 2048), interpolation=cv2.INTER_CUBIC))
    lines = np.where(np.arange(2048) < 900, 12 * (np.arange(2048) // 2 % 2) - 6, 0)
    large = np.clip(large.astype(int) + lines[None, :, None], 0, 255).astype(np.uint8)
    place = Placement((4 * FACE.centre_xy[0], 4 * FACE.centre_xy[1]), 4 * FACE.size_px, 0.0)
    crop = take_crop(large, place)
    restored = np.clip(as_model(crop) + 0.02, 0, 1)
    placed = place_back(large, crop, restored, place, grain=0)
    middle = (slice(400, 560), slice(780, 880))
    fine = np.diff(placed.rgb[middle].astype(float) / 257, axis=1)
    assert np.abs(fine).mean() > 0.7 * np.abs(np.diff(large[middle].astype(float), axis=1)).mean()


def test_the_films_grain_is_on_the_rebuilt_face_too_and_a_clean_film_gets_none(
    photo: NDArray[np.uint8],
) -> None:
    soft = cv2.GaussianBlur(photo, (0, 0), 2.5)
    grain = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 14, (512, 512)), (0, 0), 0.7)
    grainy = np.clip(soft + grain[..., None], 0, 255).astype(np.uint8)
    restored = as_model(take_crop(soft, FACE))
    cheek = (slice(112, 132), slice(186, 206))

    def level(picture: NDArray[np.float32]) -> float:
        grey = picture.mean(2)
        return float((grey - cv2.GaussianBlur(grey, (0, 0), 1.5))[cheek].std())

    def outcome(frame: NDArray[np.uint8], share: float) -> NDArray[np.float32]:
        return blended(frame, place_back(frame, take_crop(frame, FACE), restored, FACE, 1, share))

    wanted = level(grainy.astype(np.float32))
    assert level(outcome(grainy, 0)) < 0.4 * wanted
    assert 0.6 * wanted < level(outcome(grainy, 1)) < 1.1 * wanted
    assert np.abs(outcome(soft, 1) - outcome(soft, 0)).max() < 0.5


@pytest.mark.parametrize("centre", [(-20.0, 100.0), (500.0, 505.0), (-900.0, 50.0)])
def test_a_face_that_the_frame_cuts_off_is_placed_as_far_as_it_is_seen(
    photo: NDArray[np.uint8], centre: tuple[float, float]
) -> None:
    place = Placement(centre, 280.0, 0.3)
    placed = place_back(photo, take_crop(photo, place), as_model(take_crop(photo, place)), place)
    assert placed.rgb.shape == photo.shape and placed.mask.shape == photo.shape[:2]
    assert np.isfinite(placed.mask).all()
    assert (placed.mask.max() > 0.9) == (centre[0] > -500)
    out = blended(photo, placed)
    assert np.abs(out - photo).mean() < 1


def test_deep_pictures_keep_their_depth(photo: NDArray[np.uint8]) -> None:
    ramp = np.linspace(0, 300, 512)[None, :, None] + photo.astype(np.float64) * 200
    deep = ramp.astype(np.uint16)
    placed = place_back(deep, take_crop(deep, FACE), take_crop(deep, FACE), FACE)
    eight = np.unique((placed.rgb[placed.mask > 0.9] // 257).astype(int)).size
    assert np.unique(placed.rgb[placed.mask > 0.9]).size > 20 * eight
    assert np.abs(placed.rgb.astype(int) - deep).mean() < 257


def test_the_same_picture_gives_the_same_bits(photo: NDArray[np.uint8]) -> None:
    poor = degraded(photo)
    crop, restored = take_crop(poor, FACE), as_model(take_crop(photo, FACE))
    first, second = (place_back(poor.copy(), crop, restored, FACE) for _ in range(2))
    assert (first.rgb == second.rgb).all() and (first.mask == second.mask).all()
