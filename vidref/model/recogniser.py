"""A frozen, differentiable ArcFace-format recogniser: an aligned face in, an embedding out.

Format by agreement, not by import: an ONNX file that takes (B, 3, 112, 112) RGB as
(x - 127.5) / 127.5 and gives one embedding that is not normalised. In [-1, 1] that is the
model room's own range, so the pixels go in as they are.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.model.onnx_graph import OnnxGraph

INPUT_SIZE = 112
Crop = Literal["aligned", "whole", "centre"]


def _similarity() -> Tensor:
    """The 2 x 3 map from the 112 px ArcFace template to the 512 px aligned square, in pixels."""
    square = torch.tensor(
        [[192.98, 239.95], [318.90, 240.19], [256.63, 314.02], [201.26, 371.41], [313.09, 371.15]],
        dtype=torch.float64,
    )
    template = torch.tensor(
        [
            [38.2946, 51.6963],
            [73.5318, 51.5014],
            [56.0252, 71.7366],
            [41.5493, 92.3655],
            [70.7299, 92.2041],
        ],
        dtype=torch.float64,
    )
    centre_s, centre_t = square.mean(0), template.mean(0)
    s, t = square - centre_s, template - centre_t
    # least squares from the face to the template, as insightface aligns, then the inverse of it
    a = (s * t).sum() / (s * s).sum()
    b = (s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum() / (s * s).sum()
    turn = torch.linalg.inv(torch.stack([torch.stack([a, -b]), torch.stack([b, a])]))
    return torch.cat([turn, (centre_s - turn @ centre_t)[:, None]], 1)


class Recogniser(nn.Module):
    """`crop` is how the recogniser's square is cut from the 512 px aligned face.

    aligned: by the fixed five points of the square, as at detection; whole: the method's authors;
    centre: ReF-LDM's 6.25 % to 93.75 % (paper.md 2.2 and 5.3).
    """

    def __init__(self, path: Path, crop: Crop = "aligned") -> None:
        super().__init__()
        self.graph = OnnxGraph(path).requires_grad_(False).eval()
        self.crop = crop
        self.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.register_buffer("map", _similarity().float(), persistent=False)
        self.between = round(2 * 512 / float(self.get_buffer("map")[0, 0]))
        with torch.no_grad():
            probe = self.graph(torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE))
        self.dimension = int(probe.shape[1])

    def cut(self, face: Tensor) -> Tensor:
        """(B, 3, S, S) aligned faces -> (B, 3, 112, 112), without aliasing."""
        size = face.shape[-1]
        if self.crop == "whole":
            return functional.interpolate(face, (INPUT_SIZE,) * 2, mode="bilinear")
        if self.crop == "centre":
            edge = size // 16
            inner = face[..., edge : size - edge, edge : size - edge]
            return functional.interpolate(inner, (INPUT_SIZE,) * 2, mode="area")
        # the window is about 400 of 512 px wide: shrink it to twice the target first, then sample
        between = min(size, self.between)
        small = (
            functional.interpolate(face, (between,) * 2, mode="area") if between < size else face
        )
        return functional.grid_sample(
            small, self._grid(face), mode="bilinear", padding_mode="border", align_corners=False
        )

    def _grid(self, face: Tensor) -> Tensor:
        steps = torch.arange(INPUT_SIZE, device=face.device, dtype=torch.float32)
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        points = torch.stack([x, y, torch.ones_like(x)], -1) @ self.get_buffer("map").T
        return ((points + 0.5) / 256 - 1).to(face.dtype).expand(face.shape[0], -1, -1, -1)

    def forward(self, face: Tensor) -> Tensor:
        """Embeddings (B, dimension), not normalised."""
        return torch.as_tensor(self.graph(self.cut(face)))

    def embed(self, face: Tensor, mirrored: bool) -> Tensor:
        """A reference's embedding for the identity token.

        `mirrored`: as face packs embed, the mean of the face and its mirror image, each of length
        one. Otherwise the raw vector, as the method's authors store it.
        """
        if not mirrored:
            return self.forward(face)
        window = self.cut(face)
        both = [functional.normalize(self.graph(w), dim=1) for w in (window, window.flip(3))]
        return functional.normalize(both[0] + both[1], dim=1)

    def features(self, face: Tensor, count: int = 4) -> list[Tensor]:
        """`count` feature maps from early to late, and none that has lost its picture."""
        names = self.graph.activations
        chosen = [names[(i + 1) * len(names) // (count + 1)] for i in range(min(count, len(names)))]
        return self.graph.values(self.cut(face), chosen)
