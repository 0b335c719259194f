"""Pixels <-> latents: pixel-shuffle (exact, no weights) or any diffusers autoencoder (frozen)."""

from __future__ import annotations

from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.errors import ModelError
from vidref.model.checkpoints import describe_failure, load_options
from vidref.model.config import CodecConfig


class PixelShuffleCodec(nn.Module):
    """Space to depth: 512 x 512 x 3 becomes 64 x 64 x 192 and back without loss."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def encode(self, image: Tensor) -> Tensor:
        return functional.pixel_unshuffle(image, self.factor)

    def decode(self, latent: Tensor) -> Tensor:
        return functional.pixel_shuffle(latent, self.factor)


class AutoencoderCodec(nn.Module):
    """A frozen diffusers autoencoder; latents are scaled and shifted as its configuration says."""

    def __init__(self, autoencoder: nn.Module) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(False).eval()
        config = cast(Any, autoencoder).config
        self.scale = float(getattr(config, "scaling_factor", None) or 1.0)
        self.shift = float(getattr(config, "shift_factor", None) or 0.0)

    def train(self, mode: bool = True) -> AutoencoderCodec:
        """Stays in evaluation mode: it is frozen."""
        return super().train(False)

    def encode(self, image: Tensor) -> Tensor:
        encoded = cast(Any, self.autoencoder).encode(image)
        # the mode, not a sample: the degraded crop's latent must not be noisy by itself
        latent = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        return cast(Tensor, (latent - self.shift) * self.scale)

    def decode(self, latent: Tensor) -> Tensor:
        image = cast(Any, self.autoencoder).decode(latent / self.scale + self.shift).sample
        return cast(Tensor, image)


Codec = PixelShuffleCodec | AutoencoderCodec


def build_codec(config: CodecConfig) -> Codec:
    """The codec a configuration names; a VAE is read from its checkpoint."""
    if config.kind == "pixel-shuffle":
        return PixelShuffleCodec(config.factor)
    if config.source is None:
        raise ModelError(
            f"The codec {config.kind} needs codec.source: a folder or hub id of its weights."
        )
    from diffusers import AutoencoderKL, AutoencoderTiny

    family: Any = AutoencoderKL if config.kind == "autoencoder-kl" else AutoencoderTiny
    try:
        autoencoder = family.from_pretrained(config.source, **load_options(config.source, "vae"))
    except (OSError, ValueError) as error:
        raise describe_failure(config.source, config.kind, error) from error
    with torch.no_grad():
        codec = AutoencoderCodec(autoencoder)
        channels = codec.encode(torch.zeros(1, 3, 8 * config.factor, 8 * config.factor)).shape[1:]
    if tuple(channels) != (config.channels, 8, 8):
        real = 8 * config.factor // channels[1]
        raise ModelError(
            f"{config.source} has latents of {channels[0]} channels at 1/{real}, the configuration "
            f"says {config.channels} at 1/{config.factor}: correct codec in it."
        )
    return codec
