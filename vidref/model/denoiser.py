"""The conditional U-Net: noisy latent and degraded latent side by side, the context by attention.

Where the restorer has an aligner, the aligned references' latent stands beside these two, and the
network says how much of each of their bands to take where.

One class for every configuration. A condition is dropped by value, not by structure: a dropped
degraded crop is a latent of zeros, a dropped context is the context's own null token.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from vidref.errors import ModelError
from vidref.imports import only_promised
from vidref.model.aligner import Shown
from vidref.model.bands import weighted_bands
from vidref.model.checkpoints import describe_failure, load_options
from vidref.model.codec import PixelShuffleCodec
from vidref.model.config import RestorerConfig
from vidref.model.diffusion import alpha_bars, per_image


class Denoiser(nn.Module):
    """prediction = U-Net(z_t beside z_lq, t, context tokens)."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.residual, self.bands = config.denoiser.residual, config.denoiser.coordinates
        if config.denoiser.hide_noise:
            signal = alpha_bars(config.diffusion).sqrt()
            self.register_buffer("signal", signal, persistent=False)
        self.sharpen = config.denoiser.sharpen
        if self.sharpen:
            self.codec = PixelShuffleCodec(config.codec.factor, config.codec.levelled)
        self.sees_references = config.aligner is not None
        self.hides_noise = config.denoiser.hide_noise
        self.reference_tokens = config.context.tokens if config.denoiser.person else None
        if config.denoiser.source is None:
            self.unet = new_unet(config)
        else:
            self.unet = unet_from(config.denoiser.source, config)

    def forward(
        self,
        z_t: Tensor,
        z_lq: Tensor,
        t: Tensor,
        tokens: Tensor,
        mask: Tensor | None = None,
        shown: Shown | None = None,
    ) -> Tensor:
        """`mask` is 1 where a token counts, 0 where it is padding; values between are weights.

        `shown`: the references in place; none where nothing is known of the person.
        """
        if self.hides_noise:
            z_t = z_t * per_image(self.get_buffer("signal")[t], z_t)
        seen = [z_t, z_lq]
        if self.bands:
            seen.append(coordinates(self.bands, z_t).expand(len(z_t), -1, -1, -1))
        if self.sees_references:
            there = z_lq.new_zeros(len(z_lq)) if shown is None else shown.there
            z_shown = torch.zeros_like(z_lq) if shown is None else self.codec.encode(shown.picture)
            seen += [z_shown, per_image(there, z_lq).expand(-1, 1, *z_lq.shape[2:])]
        noisy = torch.cat(seen, 1).contiguous(memory_format=torch.channels_last)
        keep = None if mask is None else attention_keep(mask)
        person = None
        if self.reference_tokens is not None:
            person = mean_identity(tokens, mask, self.reference_tokens)
        out = cast(Any, self.unet)(
            noisy, t, tokens, class_labels=person, encoder_attention_mask=keep
        ).sample.to(z_lq)
        if self.sharpen:
            bands = 2 * len(self.sharpen)
            gains, out, taken = out.tensor_split([bands, bands + z_lq.shape[1]], 1)
            picture = self.codec.decode(z_lq)
            picture = picture + weighted_bands(picture, gains, self.sharpen)
            if shown is not None:
                picture = picture + weighted_bands(shown.picture, taken, self.sharpen)
            z_lq = self.codec.encode(picture)
        return cast(Tensor, out + z_lq if self.residual else out)


def coordinates(bands: int, like: Tensor) -> Tensor:
    """(1, 4 * bands, H, W): sines and cosines of the place, one turn per face and its multiples."""
    turns = 2.0 ** torch.arange(bands, device=like.device, dtype=like.dtype) * math.pi
    angles = []
    for axis, size in ((2, like.shape[2]), (3, like.shape[3])):
        place = (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) / size
        angle = (turns[:, None] * place).view(1, bands, *[size if a == axis else 1 for a in (2, 3)])
        angles.append(angle.expand(1, bands, *like.shape[2:]))
    both = torch.cat(angles, 1)
    return torch.cat([both.sin(), both.cos()], 1)


def mean_identity(tokens: Tensor, mask: Tensor | None, per_reference: int) -> Tensor:
    """(B, width): the weighted mean over references of their first token, which says who it is."""
    first = tokens[:, ::per_reference]
    if mask is None:
        return first.mean(1)
    weight = mask[:, ::per_reference].to(first)[..., None]
    return (first * weight).sum(1) / weight.sum(1).clamp(min=1e-6)


def channels_last(module: nn.Module) -> None:
    """Lay the weights out as convolutions on every device run fastest."""
    cast(Any, module).to(memory_format=torch.channels_last)


def attention_keep(mask: Tensor) -> Tensor:
    """A mask of weights as diffusers wants it: it adds (1 - keep) * -10000 to the attention scores.

    A weight w must add log w, so that a token counts w times as much.
    """
    return 1 + mask.float().clamp(min=1e-30).log().clamp(min=-10000) / 10000


def unet_class() -> Any:
    """diffusers' U-Net, without the transformers that it imports beside: a sixth of a start-up."""
    with only_promised("diffusers.models.transformers"):
        from diffusers import UNet2DConditionModel
    return UNet2DConditionModel


def new_unet(config: RestorerConfig) -> nn.Module:
    """A U-Net of the configured sizes with random weights; its output starts at zero."""
    sizes, channels = config.denoiser, config.codec.channels
    crossed = list(zip(sizes.widths, sizes.cross_attention, strict=True))
    unet = unet_class()(
        sample_size=(config.working_size or config.size) // config.codec.factor,
        in_channels=2 * channels + 4 * sizes.coordinates + (channels + 1 if config.aligner else 0),
        out_channels=channels + (4 if config.aligner else 2) * len(sizes.sharpen),
        block_out_channels=sizes.widths,
        layers_per_block=sizes.layers_per_block,
        norm_num_groups=sizes.groups,
        cross_attention_dim=config.context.width,
        attention_head_dim=sizes.heads,
        class_embed_type="projection" if sizes.person else None,
        projection_class_embeddings_input_dim=config.context.width if sizes.person else None,
        down_block_types=tuple(
            "CrossAttnDownBlock2D" if cross else "DownBlock2D" for _, cross in crossed
        ),
        up_block_types=tuple(
            "CrossAttnUpBlock2D" if cross else "UpBlock2D" for _, cross in reversed(crossed)
        ),
    )
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(cast(Tensor, unet.conv_out.bias))
    return cast(nn.Module, unet)


def unet_from(source: str, config: RestorerConfig) -> nn.Module:
    """A U-Net that starts as a text-to-image checkpoint; the degraded latent enters at weight zero.

    So the first prediction is the checkpoint's own, to the last bit.
    """
    family = unet_class()
    try:
        unet: Any = family.from_pretrained(source, **load_options(source, "unet"))
    except (OSError, ValueError) as error:
        raise describe_failure(source, "U-Net", error) from error
    width = unet.config.cross_attention_dim
    if width != config.context.width:
        raise ModelError(
            f"{source} attends to tokens of width {width}, the configuration makes them "
            f"{config.context.width} wide: set context.width to {width}."
        )
    channels = config.codec.channels
    if unet.config.in_channels == channels:
        widen_input(unet, 2 * channels)
    if unet.config.in_channels != 2 * channels or unet.config.out_channels != channels:
        raise ModelError(
            f"{source} takes {unet.config.in_channels} and gives {unet.config.out_channels} "
            f"channels, but the codec has {channels}: choose a codec and a U-Net that fit."
        )
    return cast(nn.Module, unet)


def widen_input(unet: Any, channels: int) -> None:
    """Give `unet` more input channels, the new ones with weight zero."""
    old = unet.conv_in
    wide = nn.Conv2d(channels, old.out_channels, old.kernel_size, padding=old.padding)
    with torch.no_grad():
        wide.weight.zero_()
        wide.weight[:, : old.in_channels] = old.weight
        cast(Tensor, wide.bias).copy_(old.bias)
    unet.conv_in = wide
    unet.register_to_config(in_channels=channels)
