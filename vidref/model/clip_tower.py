"""The vision tower of CLIP ViT, which FaRL shares: an image becomes a sequence of tokens.

The tokens are those after the last block and *before* the final layer norm (`ln_post`), as the
method's authors extract them (paper.md 2.2): 197 x 768 for ViT-B/16 at 224 px. Two key layouts are
read, told apart by their names: OpenAI's (FaRL's too) and transformers'. Sizes come from
the weights.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as functional
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vidref.errors import MissingDependencyError, ModelError

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HEAD_WIDTH = 64
"""Every published CLIP ViT has heads of this width; transformers' config.json may say otherwise."""


class Block(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int, hidden: int, heads: int, quick: bool) -> None:
        super().__init__()
        self.heads, self.quick = heads, quick
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, count, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, count, width))
        hidden = self.up(self.norm2(x))
        # OpenAI trained with x * sigmoid(1.702 x), later reproductions with the exact GELU
        hidden = hidden * torch.sigmoid(1.702 * hidden) if self.quick else functional.gelu(hidden)
        return x + torch.as_tensor(self.down(hidden))


class ClipTower(nn.Module):
    """(B, 3, H, W) in [-1, 1] -> (B, 1 + patches, width)."""

    def __init__(
        self, width: int, patch: int, grid: int, blocks: int, hidden: int, heads: int, quick: bool
    ) -> None:
        super().__init__()
        self.size = patch * grid
        self.tokens, self.width = grid**2 + 1, width
        self.patches = nn.Conv2d(3, width, patch, patch, bias=False)
        self.cls = nn.Parameter(torch.zeros(width))
        self.positions = nn.Parameter(torch.zeros(self.tokens, width))
        self.norm_pre = nn.LayerNorm(width)
        self.blocks = nn.Sequential(*(Block(width, hidden, heads, quick) for _ in range(blocks)))
        self.register_buffer("mean", torch.tensor(CLIP_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD).view(1, 3, 1, 1), persistent=False)

    def preprocess(self, image: Tensor) -> Tensor:
        """CLIP's own: bicubic to the tower's size, its mean and deviation."""
        unit = image.float() / 2 + 0.5
        small = functional.interpolate(unit, (self.size, self.size), mode="bicubic", antialias=True)
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        return (small.clamp(0, 1) - mean) / std

    def forward(self, image: Tensor) -> Tensor:
        return self.encode(self.preprocess(image))

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokens of pixels that are preprocessed already."""
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        cls = self.cls.expand(patches.shape[0], 1, -1)
        x = self.norm_pre(torch.cat([cls, patches], 1) + self.positions)
        return torch.as_tensor(self.blocks(x))


def load_clip_tower(source: str) -> ClipTower:
    """A frozen tower from a safetensors file, a transformers folder, or a hub id."""
    weights, settings = read_weights(source)
    if "visual.class_embedding" in weights:
        weights = from_openai(weights)
    elif any(key.endswith("embeddings.class_embedding") for key in weights):
        weights = from_transformers(weights)
    else:
        raise ModelError(
            f"{source}: not a CLIP or FaRL vision tower (no class embedding among its "
            f"{len(weights)} tensors): give FaRL's, OpenAI's or transformers' weights."
        )
    width, _, patch, _ = weights["patches.weight"].shape
    blocks = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("blocks."))
    tower = ClipTower(
        width=width,
        patch=patch,
        grid=round((weights["positions"].shape[0] - 1) ** 0.5),
        blocks=blocks,
        hidden=weights["blocks.0.up.weight"].shape[0],
        heads=int(settings.get("num_attention_heads", max(1, width // HEAD_WIDTH))),
        quick=settings.get("hidden_act", "quick_gelu") == "quick_gelu",
    )
    try:
        tower.load_state_dict({key: value.float() for key, value in weights.items()})
    except RuntimeError as error:
        raise ModelError(f"{source}: a damaged or unknown vision tower ({error}).") from error
    return tower.requires_grad_(False).eval()


def read_weights(source: str) -> tuple[dict[str, Tensor], dict[str, str | int]]:
    """All tensors of a checkpoint, and the vision settings beside it where there are any."""
    path = Path(source)
    if not path.exists():
        path = hub_folder(source)
    if path.is_file():
        return read_tensors(path), {}
    weights = path / "model.safetensors"
    if not weights.exists():
        raise ModelError(f"{source}: holds no model.safetensors: give the file itself.")
    settings = {}
    if (path / "config.json").exists():
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        settings = config.get("vision_config", config)
    return read_tensors(weights), settings


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of one safetensors file; other formats can run code when they are read."""
    if path.suffix != ".safetensors":
        raise ModelError(
            f"{path}: not a safetensors file, and others can run code when they are read: convert "
            "it once (docs/training.md says how) and give the result."
        )
    try:
        loaded = load_file(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error}).") from error
    return {key.removeprefix("module."): value for key, value in loaded.items()}


def hub_folder(name: str) -> Path:
    """The folder of a hub id that the user named, downloaded if it is not in the cache."""
    if name.count("/") != 1:
        raise ModelError(
            f"{name}: no such file or folder, and not a hub id of the form owner/name."
        )
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingDependencyError(
            f"{name} is a hub id, which needs huggingface_hub: pip install huggingface_hub."
        ) from error
    try:
        return Path(snapshot_download(name, allow_patterns=["model.safetensors", "config.json"]))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{name}: could not be fetched from the hub, nor found in its cache: check the name "
            "and the connection, or give a local path."
        ) from error


def from_openai(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names for OpenAI's and FaRL's tensors."""
    names = {
        "conv1.weight": "patches.weight",
        "class_embedding": "cls",
        "positional_embedding": "positions",
        "ln_pre.": "norm_pre.",
        "transformer.resblocks.": "blocks.",
        ".ln_1.": ".norm1.",
        ".ln_2.": ".norm2.",
        ".attn.in_proj_": ".qkv.",
        ".attn.out_proj.": ".out.",
        ".mlp.c_fc.": ".up.",
        ".mlp.c_proj.": ".down.",
    }
    own: dict[str, Tensor] = {}
    for key, value in weights.items():
        if key.startswith("visual.") and not key.startswith(("visual.ln_post", "visual.proj")):
            own[rename(key.removeprefix("visual."), names)] = value
    return own


def from_transformers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our names for transformers' tensors; its q, k and v are joined."""
    names = {
        "embeddings.patch_embedding.weight": "patches.weight",
        "embeddings.class_embedding": "cls",
        "embeddings.position_embedding.weight": "positions",
        "pre_layrnorm.": "norm_pre.",
        "encoder.layers.": "blocks.",
        ".layer_norm1.": ".norm1.",
        ".layer_norm2.": ".norm2.",
        ".self_attn.out_proj.": ".out.",
        ".mlp.fc1.": ".up.",
        ".mlp.fc2.": ".down.",
    }
    vision = {
        key.removeprefix("vision_model."): value
        for key, value in weights.items()
        if not key.startswith(
            ("text_model.", "text_projection", "visual_projection", "logit_scale")
        )
    }
    own: dict[str, Tensor] = {}
    for key, value in vision.items():
        if key.endswith("position_ids") or key.startswith("post_layernorm"):
            continue
        if ".self_attn.q_proj." in key:
            parts = [vision[key.replace(".q_proj.", f".{part}_proj.")] for part in "qkv"]
            own[rename(key.replace(".self_attn.q_proj.", ".qkv."), names)] = torch.cat(parts)
        elif ".self_attn.k_proj." not in key and ".self_attn.v_proj." not in key:
            own[rename(key, names)] = value
    return own


def rename(key: str, names: dict[str, str]) -> str:
    """`key` with every known part replaced."""
    for old, new in names.items():
        key = key.replace(old, new)
    return key
