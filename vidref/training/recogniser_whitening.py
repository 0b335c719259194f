"""The last layer of the recogniser, computed rather than trained: within-class whitening.

Directions in which one person's photographs differ (light, expression, age) are shrunk, those in
which they agree count more. The covariance comes from the train split; how far to trust it, from
the held-out people. It is linear, so it costs a 128 x 128 product at run time.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vidref.training.recogniser_data import People, inner, view
from vidref.training.recogniser_measure import HeldOut, as_input
from vidref.training.recogniser_network import RecogniserNetwork

TRUST = (0.02, 0.1, 0.3, 1.0)
"""Ridges on the covariance, as a share of its mean variance."""
SINGLES = 1500
"""People of one photograph who take part, each with an augmented view beside it."""


@torch.no_grad()
def whiten(
    network: RecogniserNetwork, people: People, held_out: HeldOut, seed: int, device: torch.device
) -> float:
    """Whitens on top of what the network has; returns the ridge chosen (0: left as it is)."""
    vectors, owners = _embeddings(network, people, seed, device)
    centre = vectors.mean(0)
    covariance = _within(vectors, owners)
    best, chosen = sum(held_out.accepts(network, device)), 0.0
    weight, bias = network.whitening.weight.clone(), network.whitening.bias.clone()
    before, offset = weight.double().cpu().numpy(), bias.double().cpu().numpy()
    for ridge in TRUST:
        mean_variance = np.trace(covariance) / len(covariance)
        variances, axes = np.linalg.eigh(covariance + ridge * mean_variance * np.eye(len(centre)))
        matrix = axes @ np.diag(variances**-0.5) @ axes.T
        network.whitening.weight.copy_(torch.from_numpy(matrix @ before))
        network.whitening.bias.copy_(torch.from_numpy(matrix @ (offset - centre)))
        accepts = sum(held_out.accepts(network, device))
        if accepts > best:
            best, chosen = accepts, ridge
            weight, bias = network.whitening.weight.clone(), network.whitening.bias.clone()
    network.whitening.weight.copy_(weight)
    network.whitening.bias.copy_(bias)
    return chosen


def _embeddings(
    network: RecogniserNetwork, people: People, seed: int, device: torch.device
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    crops, owners = [], []
    for person, photos in enumerate(people.photos):
        if len(photos) > 1:
            crops += [inner(people.faces[i]) for i in photos]
            owners += [person] * len(photos)
    singles = [p for p, photos in enumerate(people.photos) if len(photos) == 1]
    for person in rng.permutation(singles)[:SINGLES]:
        photo = people.photos[person][0]
        crops += [inner(people.faces[photo]), view(people, photo, rng)]
        owners += [int(person)] * 2
    parts = [
        network(as_input(np.stack(crops[i : i + 128]), device)).double().cpu().numpy()
        for i in range(0, len(crops), 128)
    ]
    return np.concatenate(parts), np.array(owners)


def _within(vectors: NDArray[np.float64], owners: NDArray[np.int64]) -> NDArray[np.float64]:
    """Covariance of what is left when every person's own mean is taken away."""
    _, index, counts = np.unique(owners, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), vectors.shape[1]))
    np.add.at(sums, index, vectors)
    rest = vectors - (sums / counts[:, None])[index]
    result: NDArray[np.float64] = rest.T @ rest / (len(vectors) - len(counts))
    return result
