"""The published degradation, its twin on the device, and what video does."""

from __future__ import annotations

from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.small_photos import portrait
from vidref.training.degradation import (
    MODERATE,
    NAMED,
    SEVERE,
    TRAINING,
    Damage,
    convolve,
    degrade_batch,
    degrade_image,
    draw,
    gaussian_kernels,
)
from vidref.training.encoding import encode_round_trip
from vidref.training.jpeg import jpeg_round_trip
from vidref.training.video_damage import (
    combs,
    damage_video,
    film_grain,
    halo,
    look,
    motion_blur,
    scratches,
    tape,
)


def face(size: int = 512) -> np.ndarray:
    """BGR, with some texture."""
    image = np.asarray(portrait(1).resize((size, size)))[..., ::-1].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_ranges_are_the_protocols() -> None:
    assert (MODERATE.blur, MODERATE.shrink, MODERATE.noise) == ((0, 8), (1, 8), (0, 15))
    assert (SEVERE.blur, SEVERE.shrink, SEVERE.noise) == ((8, 16), (8, 32), (0, 20))
    assert (TRAINING.blur, TRAINING.shrink, TRAINING.quality) == ((0, 16), (1, 32), (30, 100))
    drawn = draw(SEVERE, 4000, 512, generator(0))
    assert drawn.blur_x.min() >= 8 and drawn.blur_x.max() <= 16
    assert drawn.shrink.min() >= 8 and drawn.shrink.max() <= 32
    assert drawn.quality.min() >= 30 and drawn.quality.max() <= 100
    assert 0.45 < (drawn.blur_x == drawn.blur_y).float().mean() < 0.55


def test_a_kernel_is_the_gaussian_written_out() -> None:
    damage = draw(SEVERE, 3, 512, generator(4))
    kernels = gaussian_kernels(damage)
    for i in range(3):
        sx, sy, a = (float(v[i]) for v in (damage.blur_x, damage.blur_y, damage.angle))
        turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        inverse = np.linalg.inv(turn @ np.diag([sx**2, sy**2]) @ turn.T)
        for row, column in ((0, 0), (20, 20), (5, 33), (40, 1)):
            p = np.array([column - 20, row - 20])
            relative = np.exp(-0.5 * p @ inverse @ p)
            assert float(kernels[i, row, column] / kernels[i, 20, 20]) == pytest.approx(
                relative, rel=1e-3, abs=1e-6
            )
        assert float(kernels[i].sum()) == pytest.approx(1, abs=1e-5)


def test_convolving_by_fourier_transform_is_filtering() -> None:
    image = face(128).astype(np.float32)
    kernels = gaussian_kernels(draw(SEVERE, 1, 512, generator(1)))
    wanted = cv2.filter2D(image, -1, kernels[0].numpy())
    batch = torch.from_numpy(image).permute(2, 0, 1)[None]
    found = convolve(batch, kernels)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - wanted).max() < 0.01


@pytest.mark.parametrize("quality", [30, 60, 75, 95])
def test_the_devices_jpeg_is_a_real_jpeg_to_a_level(quality: int) -> None:
    image = cv2.resize(face(), (150, 133))
    _, file = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    wanted = cv2.imdecode(file, 1).astype(np.float32)
    coded = jpeg_round_trip(tensor(image), torch.tensor([quality]))
    found = coded[0].permute(1, 2, 0).numpy()[..., ::-1] * 255
    lost = np.abs(wanted - image).mean()
    assert np.abs(found - wanted).mean() < max(0.25 * lost, 0.6)


@pytest.mark.parametrize("kind", ["moderate", "severe"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_devices_degradation_is_the_protocols(kind: str, seed: int) -> None:
    damage = draw(NAMED[kind], 1, 512, generator(seed))
    damage = replace(damage, noise=torch.zeros(1))
    wanted = degrade_image(face(), damage, np.random.default_rng(0)).astype(np.float32)
    found = degrade_batch(tensor(face()), damage, generator(0))[0].permute(1, 2, 0).numpy()
    assert np.abs(found[..., ::-1] * 255 - wanted).mean() < 1.2


def test_noise_is_drawn_at_the_small_size_with_the_stated_deviation() -> None:
    flat = np.full((512, 512, 3), 128, np.uint8)
    one = torch.ones(1)
    damage = Damage(one * 0, one * 0, one * 0, one * 2, one * 20 / 255, one * 100)
    found = degrade_image(flat, damage, np.random.default_rng(1))
    small = cv2.resize(found, (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32)
    ours = degrade_batch(tensor(flat), damage, generator(1))
    ours = torch.nn.functional.interpolate(ours, (256, 256), mode="area") * 255
    assert float(ours.std()) == pytest.approx(float(small.std()), rel=0.1)
    assert small.std() > 8


def test_a_batch_is_damaged_picture_by_picture_whatever_the_others_are() -> None:
    images = torch.rand(3, 3, 64, 64)
    damage = draw(TRAINING, 3, 64, generator(2))
    damage = replace(damage, noise=torch.zeros(3))
    together = degrade_batch(images, damage, generator(0))
    for i in range(3):
        one = Damage(*(v[i : i + 1] for v in vars(damage).values()))
        alone = degrade_batch(images[i : i + 1], one, generator(0))
        assert (alone - together[i : i + 1]).abs().max() <= 1.01 / 255


def test_at_half_the_size_as_little_of_the_face_is_left() -> None:
    large, small = draw(SEVERE, 5, 512, generator(3)), draw(SEVERE, 5, 256, generator(3))
    torch.testing.assert_close(512 / large.shrink, 256 / small.shrink)
    torch.testing.assert_close(large.blur_x / 2, small.blur_x)


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "mpeg4"])
def test_encoding_is_real_and_worse_the_more_severe(codec: str) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    clean = tensor(cv2.resize(face(), (96, 80)))
    errors = [
        float((encode_round_trip(clean, codec, severity) - clean).abs().mean())
        for severity in (0.0, 0.5, 1.0)
    ]
    assert errors == sorted(errors) and errors[-1] > 1.3 * errors[0]
    assert errors[-1] < 0.2  # still the same picture, in the same place


def test_video_damage_keeps_shape_and_range_and_repeats_by_seed() -> None:
    images = torch.rand(4, 3, 64, 64)
    one = damage_video(images, generator(5), generator(6), encode=True)
    assert one.shape == images.shape and one.min() >= 0 and one.max() <= 1
    assert torch.equal(one, damage_video(images, generator(5), generator(6), encode=True))
    assert not torch.equal(one, damage_video(images, generator(7), generator(6), encode=True))


def test_each_video_fault_does_what_its_name_says() -> None:
    flat = torch.full((2, 3, 64, 64), 0.5)
    edge = flat.clone()
    edge[..., 32:] = 1.0
    grain = film_grain(flat, 0.05, generator(1))
    assert 0.01 < float(grain.std()) < 0.2 and torch.equal(grain[:, 0], grain[:, 2])
    assert float((scratches(flat, generator(2)) != flat).float().mean()) < 0.3
    woven = combs(edge, 3)
    assert torch.equal(woven[..., 0::2, :], edge[..., 0::2, :])
    assert not torch.equal(woven[..., 1::2, :], edge[..., 1::2, :])
    assert float(halo(edge, 1.0).max()) > 1.0
    blurred = motion_blur(edge, generator(3))
    assert blurred.std() < edge.std() and float(blurred.mean()) == pytest.approx(0.75, abs=0.02)
    colour = torch.zeros(1, 3, 64, 64)
    colour[:, 0, :, 32:] = 1.0
    worn = tape(colour, generator(4), generator(5))
    luma = lambda x: x[:, 0] * 0.299 + x[:, 1] * 0.587 + x[:, 2] * 0.114  # noqa: E731
    chroma_change = (worn[:, 0] - luma(worn) - colour[:, 0] + luma(colour)).abs().mean()
    assert chroma_change > (luma(worn) - luma(colour)).abs().mean()


def test_grey_pictures_are_grey_and_the_rest_keep_their_colours() -> None:
    images = torch.rand(400, 3, 8, 8)
    seen = look(images, generator(0), faded=0.0, grey=0.25)
    is_grey = (seen[:, 0] == seen[:, 1]).flatten(1).all(1)
    assert 0.18 < is_grey.float().mean() < 0.32
    assert torch.equal(seen[~is_grey], images[~is_grey])
