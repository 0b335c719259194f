"""What a step of the restorer's training runs forwards and backwards, as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vidref.model.aligner import Moved, small, suiting, together
from vidref.model.bundle import RestorerNetwork


class Trained(nn.Module):
    """What has gradients: the context's projections and the denoiser, as one module."""

    def __init__(self, network: RestorerNetwork) -> None:
        super().__init__()
        self.context, self.denoiser = network.context, network.denoiser
        self.aligner, self.bring, self.decode = network.aligner, network.bring, network.codec.decode

    def forward(
        self,
        z_t: Tensor,
        z_lq: Tensor,
        t: Tensor,
        raw: list[Tensor],
        counts: Tensor,
        no_crop: Tensor,
        no_context: Tensor,
        references: Tensor,
    ) -> tuple[Tensor, Moved | None]:
        """The prediction, with each condition dropped where its mask (B,) says so.

        Beside it the references in place, where the restorer brings them there.
        """
        batch = len(z_t)
        tokens = self.context.tokens(raw)
        per_reference = tokens.shape[1]
        tokens = tokens.reshape(batch, -1, tokens.shape[-1])
        slots = torch.arange(tokens.shape[1], device=tokens.device) // per_reference
        mask = (slots[None] < counts[:, None]).to(z_t.dtype)
        tokens, mask = self.context.drop(tokens, mask, no_context)
        z_lq = torch.where(no_crop.view(-1, 1, 1, 1), torch.zeros_like(z_lq), z_lq)
        if self.aligner is None:
            return self.denoiser(z_t, z_lq, t, tokens, mask), None
        found = self.bring(z_lq, references)
        slots = torch.arange(references.shape[1], device=counts.device)
        weights = ((slots[None] < counts[:, None]) & ~no_context[:, None]).to(z_t.dtype)
        with torch.no_grad():
            seen = small(self.decode(z_lq).float())
            weights = suiting(weights, small(references), found.shifts, seen)
        shown = together(found, weights)
        return self.denoiser(z_t, z_lq, t, tokens, mask, shown), found
