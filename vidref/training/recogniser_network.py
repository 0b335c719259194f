"""The recogniser's network: 112 px aligned face in, embedding out.

Plain 3x3 convolutions throughout: on the CPUs this is trained and run on they reach several times
the arithmetic rate of depthwise ones, so a larger network costs the same time. The face is aligned,
so the last layer keeps positions (a global depthwise convolution) instead of averaging them away.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FACE_SIZE = 112


class Convolution(nn.Sequential):
    """3x3 or 1x1 convolution, batch norm and, unless told otherwise, ReLU."""

    def __init__(
        self, inside: int, outside: int, kernel: int = 3, stride: int = 1, active: bool = True
    ) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outside),
        ]
        if active:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Convolution(width, width), Convolution(width, width, active=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class RecogniserNetwork(nn.Module):
    """Faces as float BCHW in [-1, 1], RGB; gives embeddings that are not normalised."""

    def __init__(self, widths: tuple[int, int, int], blocks: tuple[int, int, int], size: int):
        super().__init__()
        layers: list[nn.Module] = [Convolution(3, 24, stride=2)]
        inside = 24
        for width, count in zip(widths, blocks, strict=True):
            layers.append(Convolution(inside, width, stride=2))
            layers.extend(Residual(width) for _ in range(count))
            inside = width
        self.body = nn.Sequential(*layers)
        wide = 2 * inside
        cells = FACE_SIZE // 16
        self.head = nn.Sequential(
            Convolution(inside, wide, kernel=1),
            nn.Conv2d(wide, wide, cells, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.Flatten(),
            nn.Linear(wide, size, bias=False),
            nn.BatchNorm1d(size, affine=False),
        )
        # Computed after training (recogniser_whitening.py); until then it changes nothing.
        self.whitening = nn.Linear(size, size).requires_grad_(False)
        nn.init.eye_(self.whitening.weight)
        nn.init.zeros_(self.whitening.bias)

    def forward(self, faces: Tensor) -> Tensor:
        embeddings: Tensor = self.whitening(self.head(self.body(faces)))
        return embeddings
