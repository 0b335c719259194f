"""The losses against their equations written out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.model.small import recogniser_file
from vidref.evaluation import metrics
from vidref.model.recogniser import Recogniser
from vidref.training import losses
from vidref.training.discriminator import PatchDiscriminator, discriminator_loss
from vidref.training.losses import (
    encoder_features,
    hard_example_identity,
    identity_distance,
    random_window,
    recogniser_features,
    reconstruction,
    trust,
)
from vidref.training.perceptual import PerceptualEncoder

TEACHER = (
    Path(__file__).resolve().parents[3] / "shared/data/teachers/perceptual-encoder.safetensors"
)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    a, b = a.double().numpy(), b.double().numpy()  # type: ignore[assignment]
    return float(np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b))  # type: ignore[arg-type]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.25, 0.5, 1.0])
def test_the_hard_example_identity_loss_is_the_papers(share: float) -> None:
    estimate, truth, reference = torch.randn(3, 16), torch.randn(3, 16), torch.randn(3, 1, 16)
    found = hard_example_identity(
        estimate, truth, reference, torch.ones(3), torch.full((3,), share)
    )
    for i in range(3):
        to_truth = 1 - cosine(truth[i], estimate[i])
        to_reference = 1 - cosine(reference[i, 0], estimate[i])
        wanted = (1 - share) * to_truth + share * to_reference
        assert float(found[i]) == pytest.approx(wanted, abs=1e-5)


def test_its_floor_and_its_best_face_are_where_the_algebra_says() -> None:
    # with unit h and r the loss is least along (1 - s) h + s r, and there it is 1 - |that|
    torch.manual_seed(0)
    h, r = torch.nn.functional.normalize(torch.randn(2, 16), dim=1)
    mix = 0.75 * h + 0.25 * r
    best = hard_example_identity(
        mix[None], h[None], r[None, None], torch.ones(1), torch.tensor([0.25])
    )
    assert float(best) == pytest.approx(1 - float(mix.norm()), abs=1e-5)
    for _ in range(50):
        other = mix + 0.3 * torch.randn(16)
        worse = hard_example_identity(
            other[None], h[None], r[None, None], torch.ones(1), torch.tensor([0.25])
        )
        assert worse > best


def test_references_that_a_target_does_not_have_do_not_count() -> None:
    estimate, truth, references = torch.randn(2, 8), torch.randn(2, 8), torch.randn(2, 3, 8)
    share = torch.tensor([0.5, 0.5])
    found = hard_example_identity(estimate, truth, references, torch.tensor([2, 3]), share)
    first_two = identity_distance(estimate[:1, None], references[:1, :2]).mean()
    wanted = 0.5 * identity_distance(estimate[0], truth[0]) + 0.5 * first_two
    torch.testing.assert_close(found[0], wanted)
    changed = references.clone()
    changed[0, 2] += 5
    again = hard_example_identity(estimate, truth, changed, torch.tensor([2, 3]), share)
    torch.testing.assert_close(again, found)


def test_reconstruction_looks_only_at_real_pixels() -> None:
    target, real = torch.zeros(1, 3, 16, 16), torch.zeros(1, 1, 16, 16)
    real[..., :8] = 1
    wrong_in_mirror = target.clone()
    wrong_in_mirror[..., 8:] = 1
    one = torch.ones(1)
    assert float(reconstruction(wrong_in_mirror, target, real, one)) == 0
    assert float(reconstruction(target + 0.5, target, real, one)) == pytest.approx(0.5)


def test_a_coarse_target_forgives_fine_detail_and_nothing_else() -> None:
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    fine = ((x + y) % 2 * 2.0 - 1).expand(1, 3, -1, -1)
    coarse = torch.ones(1, 3, 64, 64)
    target, real = torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    sharp, soft = torch.tensor([1.0]), torch.tensor([0.25])
    assert float(reconstruction(fine, target, real, sharp)) == pytest.approx(1)
    assert float(reconstruction(fine, target, real, soft)) < 0.02
    assert float(reconstruction(coarse, target, real, soft)) == pytest.approx(1, abs=1e-4)


def test_recogniser_features_are_zero_for_the_same_face_and_have_gradients(tmp_path: Path) -> None:
    recogniser = Recogniser(recogniser_file(tmp_path))
    face = torch.rand(2, 3, 128, 128) * 2 - 1
    assert float(recogniser_features(recogniser, face, face).sum()) == 0
    other = (face + 0.3 * torch.randn_like(face)).requires_grad_()
    loss = recogniser_features(recogniser, other, face)
    assert (loss > 0).all()
    loss.sum().backward()
    assert other.grad is not None and other.grad.abs().sum() > 0


@pytest.mark.skipif(not TEACHER.exists(), reason="the teachers are not here")
def test_the_perceptual_encoder_is_the_chain_its_keys_describe() -> None:
    weights = {k: v.float() for k, v in load_file(TEACHER).items()}
    image = torch.rand(1, 3, 64, 64) * 2 - 1

    def conv(x: torch.Tensor, key: str, stride: int = 1) -> torch.Tensor:
        kernel = weights[f"{key}.weight"]
        pad = kernel.shape[-1] // 2
        return torch.conv2d(x, kernel, weights.get(f"{key}.bias"), stride, pad)

    x, maps = conv(image / 2 + 0.5, "0"), []
    for place in range(1, 14):
        if place in (2, 6, 10):
            maps.append(x)
            x = conv(x, str(place), 2)
            continue
        if place >= 11:
            pooled = conv(x, f"{place}.pool.0")
            pooled = torch.nn.functional.group_norm(
                pooled, 4, weights[f"{place}.pool.1.weight"], weights[f"{place}.pool.1.bias"]
            )
            x = x + conv(pooled.relu(), f"{place}.pool.3")
        hidden = conv(conv(x, f"{place}.conv.0").relu(), f"{place}.conv.2").relu()
        x = (conv(hidden, f"{place}.conv.4") + x).relu()
    encoder = PerceptualEncoder(TEACHER)
    found = encoder(image)
    assert [m.shape[-1] for m in found] == [64, 32, 16, 8]
    for a, b in zip(found, [*maps, x], strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    loss = encoder_features(encoder, image.flip(3).requires_grad_(), image, torch.ones(1))
    assert float(loss.detach()) > 0


def test_an_estimate_is_trusted_by_the_root_of_its_signal() -> None:
    bars, no_crop = torch.tensor([1.0, 0.25, 0.01, 0.49]), torch.tensor([False, False, False, True])
    assert trust(bars, 0.0, no_crop).tolist() == pytest.approx([1.0, 0.5, 0.1, 0.0])
    assert trust(bars, 0.3, no_crop).tolist() == pytest.approx([1.0, 0.5, 0.3, 0.0])


def test_a_window_is_somewhere_else_each_time_and_always_inside() -> None:
    draws, image = torch.Generator().manual_seed(0), torch.arange(4096.0).view(1, 1, 64, 64)
    corners = set()
    for _ in range(20):
        seen = image[random_window(64, draws)]
        assert seen.shape == (1, 1, 24, 24)
        corners.add(float(seen[0, 0, 0, 0]))
    assert len(corners) > 15


def test_the_discriminator_learns_which_is_which() -> None:
    torch.manual_seed(0)
    critic = PatchDiscriminator(8)
    optimiser = torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.5, 0.9))
    beside = torch.zeros(8, 3, 32, 32)
    losses = []
    for _ in range(30):
        sharp, soft = torch.randn(8, 3, 32, 32), torch.randn(8, 3, 32, 32) * 0.3
        loss = discriminator_loss(critic(sharp, beside), critic(soft, beside), torch.ones(8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[-1] < 0.5 * losses[0]
    nothing = discriminator_loss(critic(sharp, beside), critic(soft, beside), torch.zeros(8))
    assert float(nothing) == 0


def test_structure_is_the_measure_of_the_benchmark() -> None:
    draws = np.random.default_rng(3)
    rough = cv2.GaussianBlur(draws.random((512, 512, 3)), (0, 0), 5)
    truth = np.uint8(np.clip((rough - 0.5) * 1500 + 128, 0, 255))
    for blur in (2, 4, 8):
        soft = cv2.GaussianBlur(truth, (0, 0), blur)
        pair = [torch.from_numpy(p).permute(2, 0, 1)[None] / 127.5 - 1 for p in (soft, truth)]
        found = losses.unlike_structure(*pair, torch.ones(1, 1, 512, 512), torch.ones(1))
        assert 1 - float(found) == pytest.approx(metrics.haarpsi(soft, truth), abs=0.005)


def test_structure_prefers_one_of_two_possible_edges_to_their_mean() -> None:
    across = torch.arange(64.0).expand(1, 3, 64, 64)
    real, detail = torch.ones(1, 1, 64, 64), torch.ones(1)
    possible = [torch.tanh((across - place) / 2) / 2 for place in (29.5, 33.5)]
    mean = sum(possible) / 2

    def expected(measure: Callable[..., torch.Tensor], shown: torch.Tensor) -> float:
        return float(sum(measure(shown, one, real, detail) for one in possible)) / 2

    assert expected(reconstruction, possible[0]) == pytest.approx(expected(reconstruction, mean))
    decided, undecided = (expected(losses.unlike_structure, p) for p in (possible[0], mean))
    assert decided < 0.95 * undecided


def test_structure_judges_what_the_target_can_show_of_real_pixels() -> None:
    draws = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 3, 64, 64, generator=draws) * 2 - 1
    changed = truth.clone()
    changed[:, :, :20] = 0
    real = torch.ones(2, 1, 64, 64)
    assert losses.unlike_structure(changed, truth, real, torch.ones(2)).min() > 0.05
    real[:, :, :30] = 0
    assert losses.unlike_structure(changed, truth, real, torch.ones(2)).max() < 0.01
    real = torch.ones(2, 1, 64, 64)
    fine = truth + 0.3 * torch.randn(truth.shape, generator=draws)
    sharp, soft = losses.unlike_structure(fine, truth, real, torch.tensor([1.0, 0.1]))
    assert float(soft) < float(sharp) / 2
