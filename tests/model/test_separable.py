"""Blurs and sizes as products of matrices."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional

from vidref.model.separable import gaussian, linear, low_pass, resized

CPU = torch.device("cpu")


def picture(size: int) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(size)) - 0.5


@pytest.mark.parametrize(("size", "sigma"), [(200, 0.7), (256, 6.0), (96, 3.0)])
def test_a_blur_in_blocks_is_the_whole_product(size: int, sigma: float) -> None:
    image, matrix = picture(size), gaussian(size, sigma, CPU, torch.float32).matrix
    assert torch.allclose(matrix.sum(1), torch.ones(size), atol=1e-6)
    assert torch.allclose(low_pass(image, sigma), matrix @ image @ matrix.T, atol=1e-5)


def test_a_broad_blur_of_a_smaller_picture_is_that_of_the_picture() -> None:
    # a slope over the picture, so that there is something left after the blur
    image = picture(512) + torch.linspace(-0.5, 0.5, 512)
    matrix = gaussian(512, 85.0, CPU, torch.float32).matrix
    whole = matrix @ image @ matrix.T
    assert whole.std() > 0.05
    # less than half of one level of 255
    assert (low_pass(image, 85.0) - whole).abs().max() < 4e-3


@pytest.mark.parametrize(("small", "large"), [(64, 200), (100, 256)])
def test_enlarging_is_what_torch_makes_of_it(small: int, large: int) -> None:
    image = picture(small)
    cubic = functional.interpolate(image, (large, large), mode="bicubic")
    assert torch.allclose(resized(image, large), cubic, atol=1e-5)
    lines = functional.interpolate(image, (large, large), mode="bilinear")
    assert torch.allclose(linear(small, large, CPU, torch.float32)(image), lines, atol=1e-5)
    assert torch.allclose(resized(image, small // 4), functional.avg_pool2d(image, 4)) and resized(
        image, 48
    ).shape == (2, 3, 48, 48)


def test_a_blur_made_while_restoring_serves_a_gradient_later() -> None:
    picture = torch.randn(1, 3, 48, 48)
    with torch.inference_mode():
        low_pass(picture, 1.3125)
    picture.requires_grad_()
    low_pass(picture, 1.3125).sum().backward()
    assert picture.grad is not None and picture.grad.isfinite().all()
