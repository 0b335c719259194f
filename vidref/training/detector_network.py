"""The detector's network: a frame in, SCRFD's nine maps out.

Widths are small where maps are large: at 640 px half of all arithmetic is spent before stride 8.
Plain 3x3 convolutions, as in the recogniser: the fastest operation per multiplication on a CPU.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.training.recogniser_network import Convolution

STRIDES = (8, 16, 32)
ANCHORS = 2
"""Predictions a cell; the first is trained for the smaller half of the level's faces."""


class Bottleneck(nn.Module):
    """Narrow 3x3 between two 1x1, beside the identity."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            Convolution(width, narrow, kernel=1),
            Convolution(narrow, narrow),
            Convolution(narrow, width, kernel=1, active=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


class DetectorNetwork(nn.Module):
    """Frames as float BCHW in [-1, 1], RGB, sides that divide by 32.

    Gives per stride the scores before the sigmoid (B, 2, H, W), the distances from the cell to the
    box's sides (B, 8, H, W) and the landmark offsets (B, 20, H, W), both in units of the stride.
    """

    def __init__(self, widths: tuple[int, int, int, int, int], neck: int) -> None:
        super().__init__()
        stem, quarter, eighth, sixteenth, last = widths
        self.to_eighth = nn.Sequential(
            Convolution(3, stem, stride=2),
            Convolution(stem, quarter, stride=2),
            Convolution(quarter, eighth, stride=2),
            Bottleneck(eighth, eighth // 2),
            Bottleneck(eighth, eighth // 2),
        )
        self.to_sixteenth = nn.Sequential(
            Convolution(eighth, sixteenth, stride=2),
            Bottleneck(sixteenth, sixteenth // 2),
            Bottleneck(sixteenth, sixteenth // 2),
        )
        self.to_last = nn.Sequential(
            Convolution(sixteenth, last, stride=2),
            Bottleneck(last, last // 2),
            Bottleneck(last, last // 2),
            Bottleneck(last, last // 2),
        )
        self.lateral = nn.ModuleList(
            Convolution(width, neck, kernel=1, active=False) for width in (eighth, sixteenth, last)
        )
        self.smooth = nn.ModuleList(Convolution(neck, neck) for _ in STRIDES)
        self.tower = nn.ModuleList(Convolution(neck, neck) for _ in STRIDES[1:])
        outputs = ANCHORS * (1 + 4 + 10)
        self.predict = nn.ModuleList(nn.Conv2d(neck, outputs, 1) for _ in STRIDES)
        for layer in self.predict:
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            nn.init.constant_(layer.bias[:ANCHORS], -4.6)

    def forward(self, frames: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        eighth = self.to_eighth(frames)
        sixteenth = self.to_sixteenth(eighth)
        last = self.to_last(sixteenth)
        top = self.lateral[2](last)
        middle = self.lateral[1](sixteenth) + functional.interpolate(top, scale_factor=2.0)
        bottom = self.lateral[0](eighth) + functional.interpolate(middle, scale_factor=2.0)
        maps = [self.smooth[i](x) for i, x in enumerate((bottom, middle, top))]
        maps[1], maps[2] = self.tower[0](maps[1]), self.tower[1](maps[2])
        found = []
        for features, layer in zip(maps, self.predict, strict=True):
            scores, boxes, points = layer(features).split(
                [ANCHORS, ANCHORS * 4, ANCHORS * 10], dim=1
            )
            # exp keeps distances positive and lets one cell serve faces of any size of its level.
            found.append((scores, torch.exp(boxes.clamp(max=4.0)), points))
        return found
