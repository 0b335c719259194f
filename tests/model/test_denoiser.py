"""The denoiser and the codecs, for both configurations, against diffusers' own forward pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel

from tests.model.small import SIZE, small_config, small_network
from vidref.errors import ModelError
from vidref.model.bundle import RestorerNetwork
from vidref.model.codec import AutoencoderCodec, build_codec
from vidref.model.config import CodecConfig, RestorerConfig
from vidref.model.denoiser import attention_keep, coordinates


def stable_diffusion(folder: Path) -> Path:
    """A checkpoint of Stable Diffusion's layout: vae/ and unet/ in diffusers format, made small."""
    torch.manual_seed(3)
    AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 16, 16, 16),
        latent_channels=4,
        norm_num_groups=8,
        scaling_factor=0.18215,
    ).save_pretrained(folder / "vae")
    UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=32,
        attention_head_dim=2,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).save_pretrained(folder / "unet")
    return folder


def paper_config(checkpoint: Path, **changes: object) -> RestorerConfig:
    """paper-512 in small: the same kinds of everything."""
    return small_config(
        codec={"kind": "autoencoder-kl", "channels": 4, "source": str(checkpoint)},
        denoiser={"source": str(checkpoint)},
        context={
            "width": 32,
            "identity": {"dimension": 24, "normalised": False},
            "patches": {"grid": 2, "widths": [32]},
        },
        diffusion={"prediction": "epsilon", "schedule": "scaled-linear"},
        **changes,
    )


def test_a_stable_diffusion_checkpoint_keeps_its_own_forward_pass(tmp_path: Path) -> None:
    folder = stable_diffusion(tmp_path)
    network = RestorerNetwork(paper_config(folder)).eval()
    original = UNet2DConditionModel.from_pretrained(folder / "unet").eval()
    z, lq, tokens = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.randn(2, 5, 32)
    t = torch.tensor([10, 900])
    with torch.no_grad():
        wanted = original(z, t, tokens).sample
        found = network.denoiser(z, lq, t, tokens)
    # the degraded latent enters with weight zero, so training starts from the checkpoint exactly
    assert (found - wanted).abs().max() < 1e-5


def test_a_degraded_latent_is_heard_once_its_weights_are_trained(tmp_path: Path) -> None:
    network = RestorerNetwork(paper_config(stable_diffusion(tmp_path))).eval()
    with torch.no_grad():
        network.denoiser.unet.conv_in.weight[:, 4:].normal_()
        z, tokens, t = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 32), torch.tensor([5])
        one = network.denoiser(z, torch.zeros_like(z), t, tokens)
        other = network.denoiser(z, torch.ones_like(z), t, tokens)
    assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["autoencoder-kl", "autoencoder-tiny"])
def test_a_vae_codec_is_diffusers_own_encode_and_decode(kind: str, tmp_path: Path) -> None:
    image = torch.rand(2, 3, 64, 64) * 2 - 1
    if kind == "autoencoder-kl":
        source = stable_diffusion(tmp_path)
        theirs = AutoencoderKL.from_pretrained(source / "vae").eval()
        with torch.no_grad():
            latent = theirs.encode(image).latent_dist.mode() * 0.18215
            back = theirs.decode(latent / 0.18215).sample
    else:
        source = tmp_path / "tiny"
        AutoencoderTiny(
            encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8)
        ).save_pretrained(source)
        theirs = AutoencoderTiny.from_pretrained(source).eval()
        with torch.no_grad():
            latent = theirs.encode(image).latents
            back = theirs.decode(latent).sample
    codec = build_codec(CodecConfig(kind=kind, channels=4, source=str(source)))
    with torch.no_grad():
        assert (codec.encode(image) - latent).abs().max() < 1e-5
        assert (codec.decode(latent) - back).abs().max() < 1e-5
    assert isinstance(codec, AutoencoderCodec) and not codec.train().training
    assert not any(weight.requires_grad for weight in codec.parameters())


def test_pixel_shuffle_loses_nothing() -> None:
    codec = small_network().codec
    image = torch.randn(2, 3, SIZE, SIZE)
    assert codec.encode(image).shape == (2, 192, SIZE // 8, SIZE // 8)
    assert torch.equal(codec.decode(codec.encode(image)), image)


def test_a_new_network_begins_by_returning_the_degraded_crop() -> None:
    network = RestorerNetwork(small_config()).eval()
    z, lq = torch.randn(1, 192, 8, 8), torch.randn(1, 192, 8, 8)
    with torch.no_grad():
        found = network.denoiser(z, lq, torch.tensor([500]), torch.randn(1, 5, 32))
    assert torch.equal(found, lq)


def test_a_masked_token_is_not_heard_and_a_weight_counts_like_repetition() -> None:
    denoiser = small_network().denoiser
    z, lq, t = torch.randn(1, 192, 8, 8), torch.randn(1, 192, 8, 8), torch.tensor([400])
    a, b, junk = (torch.randn(1, 1, 32) for _ in range(3))

    def with_tokens(tokens: list[torch.Tensor], mask: list[float]) -> torch.Tensor:
        with torch.no_grad():
            return denoiser(z, lq, t, torch.cat(tokens, 1), torch.tensor([mask]))

    plain = with_tokens([a, b], [1, 1])
    torch.testing.assert_close(with_tokens([a, b, junk], [1, 1, 0]), plain, atol=1e-5, rtol=1e-5)
    twice = with_tokens([a, b, b], [1, 1, 1])
    torch.testing.assert_close(with_tokens([a, b], [0.5, 1]), twice, atol=1e-3, rtol=1e-3)
    assert (twice - plain).abs().max() > 1e-4
    assert attention_keep(torch.tensor([1.0]))[0] == 1


def test_coordinates_tell_every_place_apart_at_any_size() -> None:
    for size in (8, 32):
        places = coordinates(4, torch.zeros(1, 3, size, size))[0].flatten(1).T
        assert places.shape == (size * size, 16)
        assert len(torch.unique(places.round(decimals=4), dim=0)) == size * size


def test_sources_that_do_not_belong_together_are_refused_by_name(tmp_path: Path) -> None:
    folder = stable_diffusion(tmp_path)
    wide = {"width": 48, "patches": {"grid": 2, "widths": [32]}}
    values = paper_config(folder).model_dump() | {"context": wide}
    with pytest.raises(ModelError, match=r"set context\.width to 32"):
        RestorerNetwork(RestorerConfig.model_validate(values))
    with pytest.raises(ModelError, match="says 8 at 1/8"):
        build_codec(CodecConfig(kind="autoencoder-kl", channels=8, source=str(folder)))
    with pytest.raises(ModelError, match="no autoencoder-kl could be loaded"):
        build_codec(
            CodecConfig(kind="autoencoder-kl", channels=4, source=str(tmp_path / "no/where"))
        )
