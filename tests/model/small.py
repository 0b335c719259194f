"""Small restorers, checkpoints and recognisers with random weights, made in milliseconds."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from vidref.model.bundle import RestorerNetwork
from vidref.model.config import RestorerConfig
from vidref.model.context import Reference
from vidref.model.restorer import Restorer

SIZE = 64
DIMENSION = 24


ALIGNED: dict[str, object] = {
    "denoiser": {
        "widths": [32, 32],
        "cross_attention": [False, True],
        "groups": 16,
        "residual": True,
        "coordinates": 2,
        "sharpen": [0.7, 2.0],
    },
    "aligner": {"widths": [16, 32]},
}
"""What makes the small restorer look at its references' pixels too."""


def small_config(**changes: object) -> RestorerConfig:
    """The bundled configuration, shrunk to 64 px."""
    values: dict[str, object] = {
        "name": "small",
        "size": SIZE,
        "codec": {"kind": "pixel-shuffle", "factor": 8, "channels": 192},
        "denoiser": {
            "widths": [32, 32],
            "cross_attention": [False, True],
            "groups": 16,
            "residual": True,
        },
        "context": {
            "width": 32,
            "identity": {"dimension": DIMENSION},
            "patches": {"grid": 2, "widths": [32, 32]},
        },
        "diffusion": {
            "prediction": "x0",
            "schedule": "cosine",
            "shift": 2.0,
            "zero_terminal_snr": True,
        },
        "licence": "Apache-2.0",
        "use": "tests",
    }
    return RestorerConfig.model_validate({**values, **changes})


def small_network(config: RestorerConfig | None = None, seed: int = 0) -> RestorerNetwork:
    """With every weight away from zero, so that nothing a test looks at can be absent."""
    torch.manual_seed(seed)
    network = RestorerNetwork(config or small_config())
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                nn.init.normal_(weight, std=0.05)
    return network.eval()


def small_restorer(batch: int = 3, max_references: int = 3, **changes: object) -> Restorer:
    network = small_network(small_config(**changes))
    return Restorer(network, batch=batch, max_references=max_references)


def picture(seed: int, size: int = SIZE) -> Tensor:
    """(3, S, S) in [-1, 1]."""
    return torch.rand(3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def reference(seed: int) -> Reference:
    embedding = torch.randn(1, DIMENSION, generator=torch.Generator().manual_seed(seed))
    return Reference(picture(seed)[None], embedding)


class SmallRecogniser(nn.Module):
    """The operations of a real ArcFace network, and random weights."""

    def __init__(self, dimension: int = DIMENSION) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False),
            nn.BatchNorm2d(8),
            nn.PReLU(8),
            nn.Conv2d(8, 16, 3, 2, 1, groups=8),
            nn.PReLU(16),
            nn.Conv2d(16, 16, 3, 4, 1),
            nn.BatchNorm2d(16),
        )
        self.short = nn.Conv2d(16, 16, 1, 4)
        self.act = nn.PReLU(16)
        self.flat = nn.Flatten()
        self.fc = nn.Linear(16 * 7 * 7, dimension)
        self.norm = nn.BatchNorm1d(dimension)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                assert module.running_mean is not None and module.running_var is not None
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        early = self.body[:5](x)
        return self.norm(self.fc(self.flat(self.act(self.body[5:](early) + self.short(early)))))


def recogniser_file(folder: Path, dimension: int = DIMENSION, seed: int = 0) -> Path:
    """An ArcFace-format ONNX file with random weights."""
    torch.manual_seed(seed)
    path = folder / "recogniser.onnx"
    torch.onnx.export(
        SmallRecogniser(dimension).eval(),
        (torch.zeros(1, 3, 112, 112),),
        str(path),
        input_names=["input"],
        output_names=["embedding"],
        dynamic_axes={"input": {0: "batch"}, "embedding": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )
    return path
