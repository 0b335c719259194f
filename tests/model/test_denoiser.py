"""The denoiser and the codecs, for both configurations, against diffusers' own forward pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from pydantic import ValidationError

from tests.model.small import SIZE, picture, small_config, small_network
from vidref.errors import ModelError
from vidref.model.bands import all_at_once, weighted_bands
from vidref.model.bundle import RestorerNetwork
from vidref.model.codec import AutoencoderCodec, PixelShuffleCodec, build_codec
from vidref.model.config import CodecConfig, RestorerConfig
from vidref.model.denoiser import attention_keep, coordinates
from vidref.model.separable import low_pass


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


def test_gains_add_or_take_away_a_band_of_grey_or_of_colour() -> None:
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
    gains = torch.zeros(1, 4, 4, 4)
    assert not weighted_bands(image, gains, (1.0, 3.0)).any()
    # all of the finest band taken away, in grey and in colour: the low-pass is left
    gains[:, 0::2] = -1
    found = image + weighted_bands(image, gains, (1.0, 3.0))
    assert torch.allclose(found, low_pass(image, 1.0), atol=1e-6)
    grey_only = torch.zeros(1, 4, 4, 4)
    grey_only[:, 0] = 2
    change = weighted_bands(image, grey_only, (1.0, 3.0))
    assert change.abs().mean() > 0.1
    assert torch.allclose(change[:, 0], change[:, 1], atol=1e-6)
    # one corner's gain leaves the opposite corner as it was
    corner = torch.zeros(1, 4, 4, 4)
    corner[..., 0, 0] = 1
    moved = weighted_bands(image, corner, (1.0, 3.0))
    assert moved[..., :8, :8].abs().mean() > 0.02 and moved[..., 16:, 16:].abs().max() == 0


def test_bands_and_their_gradients_are_the_same_face_by_face_and_all_at_once() -> None:
    draws = torch.Generator().manual_seed(0)
    pictures = torch.rand(2, 3, 96, 96, generator=draws) - 0.5
    gains, weights = torch.randn(2, 6, 12, 12, generator=draws), torch.rand(2, 3, 96, 96)
    outcomes = []
    for way in (weighted_bands, all_at_once):
        given = [pictures.clone().requires_grad_(), gains.clone().requires_grad_()]
        found = way(*given, (0.7, 2.0, 5.0))
        (found * weights).sum().backward()
        outcomes.append([found.detach(), *(leaf.grad for leaf in given)])
    for one, other in zip(*outcomes, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_a_network_that_sharpens_starts_at_its_input_and_learns_gains() -> None:
    sizes = {"widths": [32, 32], "cross_attention": [False, True], "residual": True}
    config = small_config(denoiser={**sizes, "sharpen": [0.7, 2.0], "hide_noise": True})
    network = RestorerNetwork(config)
    z_lq = network.codec.encode(picture(0)[None])
    tokens, last = torch.zeros(1, 5, 32), torch.tensor([config.diffusion.train_steps - 1])
    found = network.denoiser(torch.randn_like(z_lq), z_lq, last, tokens)
    assert torch.allclose(found, z_lq, atol=1e-5)
    (found - torch.randn_like(found)).square().mean().backward()
    weight = network.denoiser.unet.conv_out.weight
    assert weight.shape[0] == 192 + 4 and weight.grad[:4].abs().max() > 0
    with pytest.raises(ValidationError, match="needs residual"):
        small_config(denoiser={**sizes, "residual": False, "sharpen": [1.0]})


def test_hidden_noise_says_nothing_at_the_first_step_and_something_later() -> None:
    sizes = {"widths": [32, 32], "cross_attention": [False, True], "hide_noise": True}
    network = small_network(small_config(denoiser=sizes))
    z_lq, tokens = network.codec.encode(picture(0)[None]), torch.zeros(1, 5, 32)
    one, other = torch.randn(2, *z_lq.shape, generator=torch.Generator().manual_seed(0))
    last, middle = torch.tensor([999]), torch.tensor([400])
    with torch.no_grad():
        first = [network.denoiser(z, z_lq, last, tokens) for z in (one, other)]
        later = [network.denoiser(z, z_lq, middle, tokens) for z in (one, other)]
    assert torch.equal(*first)
    assert not torch.allclose(*later, atol=1e-3)


def test_a_levelled_codec_loses_nothing_and_makes_fine_and_coarse_alike() -> None:
    codec = PixelShuffleCodec(8, levelled=True)
    image = picture(1)[None]
    assert torch.allclose(codec.decode(codec.encode(image)), image, atol=1e-5)
    flat = codec.encode(torch.full((1, 3, 64, 64), 0.5))[0, :, 0, 0]
    assert int((flat.abs() > 1e-4).sum()) == 1
    # red against blue is one of the two colour differences, and no brightness
    tinted = torch.full((1, 3, 64, 64), 0.5)
    tinted[:, 0], tinted[:, 2] = 0.6, 0.4
    change = (codec.encode(tinted)[0, :, 0, 0] - flat).abs()
    assert int((change > 1e-4).sum()) == 1 and change[64:128].max() == change.max()
    with pytest.raises(ValidationError, match="levelled"):
        CodecConfig(kind="autoencoder-kl", channels=4, levelled=True)
