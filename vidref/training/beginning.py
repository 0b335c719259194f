"""What a restorer's training begins with: nothing, or as much of a bundle as fits."""

from __future__ import annotations

import torch
from torch import Tensor

from vidref.errors import ModelError
from vidref.model.bundle import RestorerNetwork, fill, load_network
from vidref.model.config import RestorerConfig


def begun(config: RestorerConfig, start_from: str | None) -> RestorerNetwork:
    """A new network, with what fits of the weights it starts from."""
    network = RestorerNetwork(config)
    if start_from is None:
        return network
    before = load_network(start_from).own_weights()
    own = network.own_weights()
    # a new recogniser changes only the identity projection, which then starts afresh
    fits = {
        key: value if own[key].shape == value.shape else widened(value, own[key])
        for key, value in before.items()
        if key in own and fits_within(value, own[key])
    }
    if len(fits) < 0.5 * len(own):
        raise ModelError(
            f"{start_from}: only {len(fits)} of {len(own)} weights fit this "
            "configuration: begin without start_from or use its own configuration."
        )
    fill(network, {**own, **fits}, start_from)
    return network


def fits_within(old: Tensor, new: Tensor) -> bool:
    """Whether weights are the same, or those of a convolution that only got more channels."""
    if old.shape == new.shape:
        return True
    grew = old.ndim == new.ndim and all(a <= b for a, b in zip(old.shape, new.shape, strict=True))
    return grew and (old.ndim == 1 or old.ndim == 4) and old.shape[2:] == new.shape[2:]


def widened(old: Tensor, new: Tensor) -> Tensor:
    """`old` with the new channels at zero, so that the first prediction is the old network's."""
    grown = torch.zeros_like(new)
    grown[tuple(slice(0, length) for length in old.shape)] = old
    return grown
