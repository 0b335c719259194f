"""A restorer small enough for tests of the pipeline: random weights that visibly change a face."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch

from vidref import weights
from vidref.model.bundle import RestorerNetwork, save_bundle
from vidref.model.config import parse_config


def save_stand_in(folder: Path, recogniser_sha256: str | None = None) -> Path:
    """A bundle that looks at 64 px crops; as trained, it expects the bundled recogniser."""
    recogniser = weights.FACE_PACK / "recogniser.onnx"
    tree = {
        "name": "stand-in",
        "size": 64,
        "codec": {"kind": "pixel-shuffle", "factor": 8, "channels": 192},
        "denoiser": {
            "widths": [16, 16],
            "cross_attention": [False, True],
            "layers_per_block": 1,
            "groups": 4,
            "heads": 2,
            "residual": True,
        },
        "context": {
            "width": 16,
            "identity": {
                "dimension": 128,
                "recogniser_sha256": recogniser_sha256
                or hashlib.sha256(recogniser.read_bytes()).hexdigest(),
            },
        },
        "diffusion": {"prediction": "x0", "schedule": "cosine", "zero_terminal_snr": True},
        "licence": "none",
        "use": "tests",
    }
    config = parse_config(tree, "the stand-in")
    torch.manual_seed(0)
    network = RestorerNetwork(config)
    with torch.no_grad():
        network.denoiser.unet.conv_out.weight.normal_(0, 0.03)
    save_bundle(folder, config, network.own_weights(), "# A stand-in for tests\n")
    return folder
