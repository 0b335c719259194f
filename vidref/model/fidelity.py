"""How far the input is believed: one knob with one meaning in every configuration.

Above some scale the output takes the input's word: its low frequencies are those of the degraded
crop. At fidelity 0 that scale is a sixth of the face, which matches the colour so that skin never
shifts; at 1 it is a few pixels, so that only fine detail is the model's own.
"""

from __future__ import annotations

from torch import Tensor

from vidref.model.separable import low_pass

COARSEST, FINEST = 1 / 6, 1 / 170
"""Standard deviations of the low-pass, in face widths, at fidelity 0 and 1."""


def scale_of(fidelity: float) -> float:
    """The deviation, in face widths, that a fidelity stands for; geometric between the ends."""
    if not 0 <= fidelity <= 1:
        raise ValueError("fidelity is between 0 and 1")
    return float(COARSEST * (FINEST / COARSEST) ** fidelity)


def believe_input(restored: Tensor, degraded: Tensor, fidelity: float) -> Tensor:
    """`restored` with the low frequencies of `degraded`; both (B, 3, S, S) in [-1, 1]."""
    sigma = scale_of(fidelity) * restored.shape[-1]
    return (restored + low_pass(degraded - restored, sigma)).clamp(-1, 1)
