"""The guided prediction against the sum written out (paper.md 2.4)."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vidref.model.diffusion import to_x0
from vidref.model.guidance import Guidance, guided

LQ, CONTEXTS = torch.randn(3, 4, 8, 8), [torch.randn(3, 4, 8, 8) for _ in range(5)]
Z = torch.randn(3, 4, 8, 8)


def eps(with_crop: bool, j: int | None) -> Tensor:
    """Any function of the three conditions will do; this one is not linear in them."""
    crop = LQ if with_crop else torch.zeros_like(LQ)
    context = torch.zeros_like(LQ) if j is None else CONTEXTS[j]
    return torch.tanh(Z + 0.5 * crop * context + crop - context)


def written_out(s_i: float, s_c: float, count: int) -> Tensor:
    """(1 - s_i) eps(-, -) + (s_i - s_c) eps(lq, -) + s_c / N sum_j eps(lq, c_j)."""
    total = (1 - s_i) * eps(False, None) + (s_i - s_c) * eps(True, None)
    if count == 0:
        return total + s_c * eps(True, None)
    for j in range(count):
        total = total + s_c / count * eps(True, j)
    return total


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize(("s_i", "s_c"), [(1.2, 1.2), (1.0, 1.0), (1.5, 1.1), (1.0, 1.4)])
def test_the_guided_prediction_is_the_papers_sum(count: int, s_i: float, s_c: float) -> None:
    weights = [torch.full((3,), 1 / max(1, count))] * count
    found = guided(eps, Guidance(s_i, s_c), weights)
    torch.testing.assert_close(found, written_out(s_i, s_c, count), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize(
    ("s_i", "s_c", "others"), [(1.5, 1.1, 2), (1.2, 1.2, 1), (1.0, 1.0, 0), (1.0, 1.4, 1)]
)
def test_a_term_that_counts_nothing_is_not_evaluated(
    count: int, s_i: float, s_c: float, others: int
) -> None:
    asked: list[tuple[bool, int | None]] = []

    def counting(with_crop: bool, j: int | None) -> Tensor:
        asked.append((with_crop, j))
        return eps(with_crop, j)

    guided(counting, Guidance(s_i, s_c), [torch.full((3,), 1 / max(1, count))] * count)
    if count == 0:
        assert len(asked) == (1 if s_i == 1 else 2)
    else:
        assert len(asked) == count + others
    assert len(set(asked)) == len(asked)


def test_weights_count_references_per_image() -> None:
    weights = [torch.tensor([1.0, 0.25, 0.0]), torch.tensor([0.0, 0.75, 1.0])]
    found = guided(eps, Guidance(1.3, 1.2), weights)
    base = (1 - 1.3) * eps(False, None) + (1.3 - 1.2) * eps(True, None)
    for row, (a, b) in enumerate([(1.0, 0.0), (0.25, 0.75), (0.0, 1.0)]):
        wanted = base[row] + 1.2 * (a * eps(True, 0)[row] + b * eps(True, 1)[row])
        torch.testing.assert_close(found[row], wanted, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["epsilon", "v"])
def test_guiding_noise_or_v_is_guiding_the_clean_estimate(kind: str) -> None:
    bars, weights = torch.tensor([0.2, 0.5, 0.9]), [torch.full((3,), 0.5)] * 2
    whole = to_x0(kind, guided(eps, Guidance(1.4, 1.2), weights), Z, bars)
    parts = guided(lambda c, j: to_x0(kind, eps(c, j), Z, bars), Guidance(1.4, 1.2), weights)
    torch.testing.assert_close(whole, parts, atol=1e-5, rtol=1e-5)
