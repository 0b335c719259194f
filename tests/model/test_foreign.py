"""Face models of others, with weights of their real shapes made here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from vidref.errors import MissingDependencyError, ModelError, SettingsError
from vidref.model.loading import load_restorer
from vidref.model.restorer import Face, Sampling


@pytest.fixture(scope="module")
def spandrel() -> object:
    try:
        import spandrel
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"spandrel is not usable here: {error}")
    return spandrel


def gfpgan_file(folder: Path) -> Path:
    from spandrel.architectures.GFPGAN import GFPGAN

    torch.manual_seed(0)
    network = GFPGAN(
        out_size=512, num_style_feat=512, channel_multiplier=2, decoder_load_path=None,
        fix_decoder=False, num_mlp=8, input_is_latent=True, different_w=True, narrow=1,
        sft_half=True,
    )  # fmt: skip
    for value in network.parameters():
        if value.numel() == 1:  # how loud each layer's noise is; nought until it is trained
            value.data += 0.1  # a trained one uses its noise
    return saved(network, folder / "GFPGANv1.4.pth", {"params_ema": network.state_dict()})


def restoreformer_file(folder: Path) -> Path:
    from spandrel.architectures.RestoreFormer import RestoreFormer

    torch.manual_seed(0)
    network = RestoreFormer(
        n_embed=1024, embed_dim=256, ch=64, out_ch=3, ch_mult=(1, 2, 2, 4, 4, 8),
        num_res_blocks=2, attn_resolutions=(16,), dropout=0.0, in_channels=3, resolution=512,
        z_channels=256, double_z=False, enable_mid=True, head_size=8,
    )  # fmt: skip
    return saved(network, folder / "RestoreFormer.pth", network.state_dict())


def esrgan_file(folder: Path) -> Path:
    """A general enlarging model: its result comes back in the crop's own size."""
    from spandrel.architectures.Compact import Compact

    torch.manual_seed(0)
    network = Compact(num_in_ch=3, num_out_ch=3, num_feat=16, num_conv=2, upscale=2)
    return saved(network, folder / "compact-2x.pth", {"params": network.state_dict()})


def saved(network: torch.nn.Module, path: Path, values: object) -> Path:
    torch.save(values, path)
    return path


def face(seed: int, person: str = "a") -> Face:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 16, 16, generator=generator) * 2 - 1
    crop = torch.nn.functional.interpolate(coarse, (512, 512), mode="bicubic").clamp(-1, 1)[0]
    return Face(crop, person, load_nothing())


def load_nothing():
    from vidref.model.restorer import PersonContext

    return PersonContext(torch.zeros(0, 1, 1), ())


@pytest.mark.slow
@pytest.mark.parametrize("make", [gfpgan_file, restoreformer_file, esrgan_file])
def test_a_file_of_others_restores_crops_the_same_way_every_time(
    make, spandrel: object, tmp_path: Path
) -> None:
    model = load_restorer(str(make(tmp_path)), "cpu")
    one, other = face(1), face(2)
    first: Tensor = model.restore([one, other])
    again = model.restore([other, one])
    assert first.shape == (2, 3, 512, 512)
    assert torch.isfinite(first).all() and first.min() >= -1 and first.max() <= 1
    assert torch.equal(first[0], again[1]) and torch.equal(first[1], again[0])
    assert len(model.sha256) == 64 and model.name


def test_fidelity_means_for_others_what_it_means_for_ours(spandrel: object, tmp_path: Path) -> None:
    model = load_restorer(str(esrgan_file(tmp_path)), "cpu")
    one = face(3)
    free, faithful = (
        (model.restore([one], Sampling(fidelity=f))[0] - one.crop).abs().mean() for f in (0, 1)
    )
    assert faithful < free


def test_a_file_that_is_no_model_is_refused_in_one_sentence(
    spandrel: object, tmp_path: Path
) -> None:
    broken, unknown = tmp_path / "broken.pth", tmp_path / "unknown.pth"
    broken.write_bytes(b"this is no model")
    torch.save({"layer.weight": torch.zeros(3, 3)}, unknown)
    for path in (broken, unknown):
        with pytest.raises(ModelError, match=path.name):
            load_restorer(str(path), "cpu")


def test_a_file_with_code_in_it_runs_nothing(spandrel: object, tmp_path: Path) -> None:
    trap, sprung = tmp_path / "trap.pth", tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> object:
            return Path.touch, (sprung,)

    torch.save({"params": Trap()}, trap)
    with pytest.raises(ModelError, match=r"trap\.pth"):
        load_restorer(str(trap), "cpu")
    assert not sprung.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="check the path"):
        load_restorer(str(tmp_path / "nothing.pth"), "cpu")


def test_without_spandrel_the_user_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spandrel", None)
    path = tmp_path / "model.pth"
    path.write_bytes(b"")
    with pytest.raises(MissingDependencyError, match="pip install"):
        load_restorer(str(path), "cpu")


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="no usable"):
        load_restorer("bundled", "cuda:7")
    with pytest.raises(SettingsError, match="is no device"):
        load_restorer("bundled", "toaster")
