"""Pixels <-> latents: pixel-shuffle (exact, no weights) or any diffusers autoencoder (frozen)."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.errors import ModelError
from vidref.model.checkpoints import describe_failure, load_options
from vidref.model.config import CodecConfig


class PixelShuffleCodec(nn.Module):
    """Space to depth: 512 x 512 x 3 becomes 64 x 64 x 192 and back without loss."""

    def __init__(self, factor: int, levelled: bool = False) -> None:
        super().__init__()
        self.factor, self.levelled = factor, levelled
        if levelled:
            basis, strength = frequencies(factor)
            self.register_buffer("forth", basis / strength[:, None], persistent=False)
            self.register_buffer("back", basis.T * strength, persistent=False)

    def encode(self, image: Tensor) -> Tensor:
        patches = functional.pixel_unshuffle(image, self.factor)
        return self._mixed(patches, "forth") if self.levelled else patches

    def decode(self, latent: Tensor) -> Tensor:
        patches = self._mixed(latent, "back") if self.levelled else latent
        return functional.pixel_shuffle(patches, self.factor)

    def _mixed(self, patches: Tensor, name: str) -> Tensor:
        # half the bits are enough for a network, and show in pixels: half a level of 255
        with torch.autocast(patches.device.type, enabled=False):
            return functional.conv2d(patches.float(), self.get_buffer(name)[:, :, None, None])


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


def frequencies(factor: int) -> tuple[Tensor, Tensor]:
    """An orthonormal basis of colour patches (rows), and how strong each is in photographs.

    Brightness and two colour differences, each by the cosines of a patch. Measured on 40 portraits
    at 256 px with 8 px patches: brightness deviates by about 6 on average and by 1.25 / f^1.5 at f
    half turns a patch; red-blue is 0.3 of that and the other difference 0.12.
    """
    k, n = torch.meshgrid(torch.arange(factor), torch.arange(factor), indexing="ij")
    cosines = torch.cos((2 * n + 1) * k * math.pi / (2 * factor)) * (2 / factor) ** 0.5
    cosines[0] /= 2**0.5
    colours = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])
    colours = colours / colours.norm(dim=1, keepdim=True)
    basis = torch.einsum("dc,ui,vj->duvcij", colours, cosines, cosines).reshape(3 * factor**2, -1)
    turns = torch.linalg.vector_norm(torch.stack([k, n]).float(), dim=0)
    strength = torch.where(turns == 0, 6.0, 1.25 / turns.clamp(min=1) ** 1.5)
    shares = torch.tensor([1.0, 0.3, 0.12]).view(3, 1, 1)
    return basis, (shares * strength).clamp(min=0.02).flatten()


Codec = PixelShuffleCodec | AutoencoderCodec


def build_codec(config: CodecConfig) -> Codec:
    """The codec a configuration names; a VAE is read from its checkpoint."""
    if config.kind == "pixel-shuffle":
        return PixelShuffleCodec(config.factor, config.levelled)
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
