"""FaRL and CLIP checkpoints of the real formats reproduce transformers' own forward pass."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel

from vidref.errors import ModelError
from vidref.model.clip_tower import CLIP_MEAN, CLIP_STD, load_clip_tower

SIZES = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 224,
    "patch_size": 16,
}


def vision_model() -> CLIPVisionModel:
    torch.manual_seed(1)
    model = CLIPVisionModel(CLIPVisionConfig(**SIZES)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.2)
    return model


def openai_names(model: CLIPVisionModel) -> dict[str, Tensor]:
    """The weights under the names of OpenAI's release, which FaRL's file uses too."""
    theirs = {k.removeprefix("vision_model."): v for k, v in model.state_dict().items()}
    own: dict[str, Tensor] = {
        "visual.conv1.weight": theirs["embeddings.patch_embedding.weight"],
        "visual.class_embedding": theirs["embeddings.class_embedding"],
        "visual.positional_embedding": theirs["embeddings.position_embedding.weight"],
        "visual.proj": torch.zeros(128, 64),
        "logit_scale": torch.tensor(4.6),
    }
    for part in ("weight", "bias"):
        own[f"visual.ln_pre.{part}"] = theirs[f"pre_layrnorm.{part}"]
        own[f"visual.ln_post.{part}"] = theirs[f"post_layernorm.{part}"]
        for i in range(3):
            here, there = f"visual.transformer.resblocks.{i}", f"encoder.layers.{i}"
            attention = f"{there}.self_attn"
            joined = [theirs[f"{attention}.{x}_proj.{part}"] for x in "qkv"]
            own[f"{here}.attn.in_proj_{part}"] = torch.cat(joined)
            own[f"{here}.attn.out_proj.{part}"] = theirs[f"{attention}.out_proj.{part}"]
            own[f"{here}.ln_1.{part}"] = theirs[f"{there}.layer_norm1.{part}"]
            own[f"{here}.ln_2.{part}"] = theirs[f"{there}.layer_norm2.{part}"]
            own[f"{here}.mlp.c_fc.{part}"] = theirs[f"{there}.mlp.fc1.{part}"]
            own[f"{here}.mlp.c_proj.{part}"] = theirs[f"{there}.mlp.fc2.{part}"]
    return own


def write(kind: str, model: CLIPVisionModel, folder: Path) -> Path:
    if kind == "farl, converted":
        path = folder / "FaRL-Base-Patch16.safetensors"
        save_file({f"module.{k}": v.clone() for k, v in openai_names(model).items()}, path)
        return path
    if kind == "openai .safetensors":
        path = folder / "clip.safetensors"
        save_file({k: v.clone() for k, v in openai_names(model).items()}, path)
        return path
    if kind == "transformers vision folder":
        model.save_pretrained(folder / "vision")
        return folder / "vision"
    whole = CLIPModel(
        CLIPConfig(
            text_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
                         "num_attention_heads": 2, "vocab_size": 100},
            vision_config=SIZES,
        )
    )  # fmt: skip
    whole.vision_model.load_state_dict(
        {k.removeprefix("vision_model."): v for k, v in model.state_dict().items()}
    )
    whole.save_pretrained(folder / "whole")
    return folder / "whole"


@pytest.mark.parametrize(
    "kind",
    [
        "farl, converted",
        "openai .safetensors",
        "transformers vision folder",
        "transformers whole folder",
    ],
)
def test_every_published_format_gives_transformers_hidden_states(kind: str, tmp_path: Path) -> None:
    model = vision_model()
    tower = load_clip_tower(str(write(kind, model, tmp_path)))
    pixels = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        wanted = model(pixel_values=pixels, output_hidden_states=True)
        found = tower.encode(pixels)
    assert found.shape == (2, 197, 128)
    scale = wanted.hidden_states[-1].abs().max()
    assert (found - wanted.hidden_states[-1]).abs().max() < 1e-5 * scale
    # the tokens are from before ln_post: the pooled output is that norm of the first of them
    vision = getattr(model, "vision_model", model)
    torch.testing.assert_close(
        vision.post_layernorm(found[:, 0]), wanted.pooler_output, atol=1e-4, rtol=1e-4
    )


def test_preprocessing_is_clips_own(tmp_path: Path) -> None:
    tower = load_clip_tower(str(write("farl, converted", vision_model(), tmp_path)))
    flat = torch.full((1, 3, 512, 512), 0.5)
    mean, std = torch.tensor(CLIP_MEAN), torch.tensor(CLIP_STD)
    torch.testing.assert_close(tower.preprocess(flat)[0, :, 100, 100], (0.75 - mean) / std)
    assert tower.preprocess(flat).shape == (1, 3, 224, 224)


def test_a_file_that_runs_code_when_unpickled_is_refused(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (ran,)

    for name in ("evil.pth", "evil.safetensors"):
        torch.save({"state_dict": Evil()}, tmp_path / name)
        with pytest.raises(ModelError, match="safetensors file"):
            load_clip_tower(str(tmp_path / name))
    assert not ran.exists()


def test_what_is_no_vision_tower_is_refused_with_a_sentence(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="not a CLIP or FaRL"):
        load_clip_tower(str(tmp_path / "other.safetensors"))
    with pytest.raises(ModelError, match="no such file"):
        load_clip_tower("nowhere.safetensors")
