"""The encoder of a tiny autoencoder (TAEF2, MIT), whose features say how alike two pictures look.

An option of training, given by path; it is never shipped. The chain is read from the key names.
"""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as functional
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vidref.errors import ModelError


class PerceptualEncoder(nn.Module):
    """Feature maps after the first block and after every halving: full, 1/2, 1/4 and 1/8 size."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            weights = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path}: not a readable safetensors file ({error}).") from error
        if "0.weight" not in weights or "1.conv.0.weight" not in weights:
            raise ModelError(f"{path}: not the tiny encoder: expected the keys 0.weight, 1.conv...")
        self.names = {}
        for key, value in weights.items():
            self.names[key] = key.replace(".", "_")
            self.register_buffer(self.names[key], value.float())
        self.positions = sorted({int(key.split(".")[0]) for key in weights})

    def _get(self, key: str) -> Tensor | None:
        return self.get_buffer(self.names[key]) if key in self.names else None

    def _conv(self, x: Tensor, key: str, stride: int = 1) -> Tensor:
        weight = self.get_buffer(self.names[f"{key}.weight"])
        return functional.conv2d(x, weight, self._get(f"{key}.bias"), stride, weight.shape[-1] // 2)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Maps of an image in [-1, 1], fine to coarse."""
        x = image / 2 + 0.5
        maps: list[Tensor] = []
        for place in self.positions[:-1]:
            if f"{place}.conv.0.weight" in self.names:
                x = self._block(x, str(place))
            elif place == 0:
                x = self._conv(x, "0")
            else:
                maps.append(x)
                x = self._conv(x, str(place), stride=2)
        return [*maps, x]

    def _block(self, x: Tensor, key: str) -> Tensor:
        if f"{key}.pool.0.weight" in self.names:
            pooled = self._conv(x, f"{key}.pool.0")
            scale, shift = self._get(f"{key}.pool.1.weight"), self._get(f"{key}.pool.1.bias")
            pooled = functional.relu(functional.group_norm(pooled, 4, scale, shift))
            x = x + self._conv(pooled, f"{key}.pool.3")
        hidden = functional.relu(self._conv(x, f"{key}.conv.0"))
        hidden = functional.relu(self._conv(hidden, f"{key}.conv.2"))
        return functional.relu(self._conv(hidden, f"{key}.conv.4") + x)
