"""The refiner's network: a window around what may be a face in; whether, where and its points out.

A detector has to say all this from one look at a whole frame. A second look at each face, always at
the same size, is a far easier thing to learn: a small network does it well from little data.
Points are the centres of gravity of heat maps, which follow a face that shifts in its window.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from vidref.faces.refiner import WINDOW_PX
from vidref.training.detector_network import Bottleneck
from vidref.training.recogniser_network import Convolution, Residual

POINTS = 5
REACH = 1.25
"""Heat maps reach this many windows from side to side, for points beyond the window's edge."""


class RefinerNetwork(nn.Module):
    """Windows as float BCHW in [-1, 1], RGB, 96 px.

    Gives the score before the sigmoid (B,), the box's centre and the logarithms of its sides
    (B, 4), and the points (B, 5, 2); places in shares of the window from its middle.
    """

    def __init__(self, widths: tuple[int, int, int, int], blocks: tuple[int, int, int]) -> None:
        super().__init__()
        stem, quarter, eighth, sixteenth = widths
        self.stem = nn.Sequential(Convolution(3, stem, stride=2))
        self.to_quarter = nn.Sequential(
            Convolution(stem, quarter, stride=2), *(Residual(quarter) for _ in range(blocks[0]))
        )
        self.to_eighth = nn.Sequential(
            Convolution(quarter, eighth, stride=2),
            *(Residual(eighth) for _ in range(blocks[1])),
        )
        self.to_sixteenth = nn.Sequential(
            Convolution(eighth, sixteenth, stride=2),
            *(Bottleneck(sixteenth, sixteenth // 2) for _ in range(blocks[2])),
        )
        cells = WINDOW_PX // 16
        self.summary = nn.Sequential(
            Convolution(sixteenth, sixteenth // 2, kernel=1),
            nn.Flatten(),
            nn.Linear(sixteenth // 2 * cells * cells, 64),
            nn.ReLU(),
        )
        self.judge = nn.Linear(64, 1 + 4)
        self.fine = Convolution(quarter, quarter, kernel=1, active=False)
        self.middle = Convolution(eighth, quarter, kernel=1, active=False)
        self.coarse = Convolution(sixteenth, quarter, kernel=1, active=False)
        self.smooth = Convolution(quarter, quarter)
        self.heat = nn.Conv2d(quarter, POINTS, 1)
        side = WINDOW_PX // 4
        places = (torch.arange(side) + 0.5) / side - 0.5
        self.register_buffer("places", places * REACH, persistent=False)
        nn.init.zeros_(self.judge.bias)
        nn.init.normal_(self.judge.weight, std=0.01)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        quarter = self.to_quarter(self.stem(windows))
        eighth = self.to_eighth(quarter)
        sixteenth = self.to_sixteenth(eighth)
        judged = self.judge(self.summary(sixteenth))
        deep = self.middle(eighth) + functional.interpolate(
            self.coarse(sixteenth), scale_factor=2.0
        )
        maps = self.heat(
            self.smooth(
                torch.relu(self.fine(quarter) + functional.interpolate(deep, scale_factor=2.0))
            )
        )
        # In half precision a place would be known to 1 in 256 only.
        heat = maps.float().flatten(2).softmax(-1).view_as(maps)
        places = self.places
        assert isinstance(places, Tensor)
        x = (heat.sum(2) * places).sum(-1)
        y = (heat.sum(3) * places).sum(-1)
        return judged[:, 0], judged[:, 1:], torch.stack([x, y], -1)
