"""Two-scale guidance over any number of references (paper.md 2.4).

    guided = (1 - s_i) D(z, -, -) + (s_i - s_c) D(z, lq, -) + s_c * sum_j w_j D(z, lq, c_j)

with w_j = 1/N in the paper, or any weights that sum to one. The factors sum to one, and for a
fixed z_t noise, v and x0 are affine in each other, so the sum may be taken of whichever of them
the network predicts. A term whose factor is zero is not evaluated: with s_i = s_c the middle one,
with s_i = 1 the first. With no reference the last term is D(z, lq, -).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from vidref.model.diffusion import per_image

Predict = Callable[[bool, int | None], Tensor]
"""Prediction with (the degraded crop?, the context of reference j or none)."""


@dataclass(frozen=True)
class Guidance:
    """The two scales: `image` (s_i) for the degraded crop, `context` (s_c) for the references."""

    image: float = 1.0
    context: float = 1.0


def guided(predict: Predict, guidance: Guidance, weights: Sequence[Tensor]) -> Tensor:
    """The guided prediction; `weights[j]` (B,) is how much reference j counts in each image."""
    s_i, s_c = guidance.image, guidance.context
    total: Tensor | None = None

    def add(term: Tensor) -> None:
        nonlocal total
        total = term if total is None else total + term

    if s_i != 1:
        add((1 - s_i) * predict(False, None))
    middle = s_i - s_c if weights else s_i
    if middle != 0:
        add(middle * predict(True, None))
    if s_c != 0:
        for j, weight in enumerate(weights):
            term = predict(True, j)
            add(s_c * per_image(weight, term) * term)
    if total is None:
        raise ValueError(
            "the factors of a guided prediction sum to one, so one of them is not zero"
        )
    return total
