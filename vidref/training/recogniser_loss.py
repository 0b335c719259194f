"""What the recogniser is trained by: margin softmax over people, and agreement of two views.

With one photograph for most people, a softmax over ten thousand of them moves slowly from random
proxies. So the views are first only pulled together and pushed apart within the batch; then every
person's proxy is set to the mean of its embeddings, and the margin softmax takes over from there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn


class PeopleProxies(nn.Module):
    """CosFace: one direction a person, and a margin that the right one must win by."""

    def __init__(self, people: int, size: int, scale: float) -> None:
        super().__init__()
        self.directions = nn.Parameter(functional.normalize(torch.randn(people, size), dim=1))
        self.scale = scale

    def forward(self, embeddings: Tensor, people: Tensor, margin: float) -> Tensor:
        directions = functional.normalize(self.directions, dim=1)
        cosines = functional.normalize(embeddings, dim=1) @ directions.T
        with_margin = cosines.clone()
        rows = torch.arange(len(people), device=people.device)
        with_margin[rows, people] -= margin
        return functional.cross_entropy(self.scale * with_margin, people)


def agreement(embeddings: Tensor, people: Tensor, temperature: float) -> Tensor:
    """Supervised contrastive loss within the batch: same person together, all others apart."""
    normalised = functional.normalize(embeddings, dim=1)
    logits = normalised @ normalised.T / temperature
    itself = torch.eye(len(people), dtype=torch.bool, device=people.device)
    logits = logits.masked_fill(itself, -torch.inf)
    same = (people[:, None] == people[None]) & ~itself
    log_chance = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    kept = log_chance.masked_fill(~same, 0.0)
    return -(kept.sum(1) / same.sum(1).clamp(min=1)).mean()
