"""A restorer on disk: one safetensors file that says what it is, its hash, and a card for people.

    restorer.safetensors   weights, with the configuration (JSON) in the header
    restorer.sha256        hash of that file, checked at every load
    CARD.md                data, recipe, results, limits, licence

Frozen parts of other people (a VAE, a FaRL tower) are named in the configuration, not copied.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vidref.errors import ModelError
from vidref.model.aligner import Aligner, Known, Moved, moved
from vidref.model.codec import Codec, build_codec
from vidref.model.config import RestorerConfig
from vidref.model.context import CompositeContext
from vidref.model.denoiser import Denoiser, coordinates
from vidref.model.found import CARD, HASH, WEIGHTS, check_hash, find_bundle, read_header
from vidref.model.grain import Grain


class RestorerNetwork(nn.Module):
    """The networks of a configuration."""

    def __init__(self, config: RestorerConfig) -> None:
        super().__init__()
        self.config = config
        self.codec: Codec = build_codec(config.codec)
        self.context = CompositeContext(config.context)
        self.denoiser = Denoiser(config)
        self.aligner: Aligner | None = None
        if config.aligner:
            place = 4 * config.denoiser.coordinates
            self.aligner = Aligner(config.aligner, config.codec.channels, place)
        self.grain = Grain(config.grain) if config.grain else None

    def bring(self, z_lq: Tensor, references: Tensor) -> Moved:
        """References (B, N, 3, S, S) in place of the degraded faces of latents `z_lq`."""
        assert self.aligner is not None
        pictures = references.flatten(0, 1)
        known = self.aligner.look_at(self.codec.encode(pictures))
        shifts, fit = self.place(z_lq, known)
        found = moved(pictures, shifts.flatten(0, 1)).view_as(references)
        return Moved(found, shifts, fit)

    def place(self, z_lq: Tensor, known: Known) -> tuple[Tensor, Tensor]:
        """How references lie: shifts (B, N, 2, h, w) in half widths and fitness (B, N, 1, h, w)."""
        assert self.aligner is not None
        place = coordinates(self.config.denoiser.coordinates, z_lq)
        said = self.aligner(z_lq, known, place).view(len(z_lq), -1, 3, *z_lq.shape[-2:])
        shifts, fit = said.split([2, 1], 2)
        return shifts, fit

    def own_weights(self) -> dict[str, Tensor]:
        """What training changes and a bundle stores."""
        return {key: value for key, value in self.state_dict().items() if is_own(key)}


def is_own(key: str) -> bool:
    """Whether a weight is ours, and not of a frozen codec or vision tower."""
    return not (key.startswith("codec.") or ".tower." in key)


def save_bundle(
    folder: Path,
    config: RestorerConfig,
    values: dict[str, Tensor],
    card: str,
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a bundle; every file appears under its name only when it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {key: value.detach().to("cpu", dtype).contiguous() for key, value in values.items()}
    part = folder / (WEIGHTS + ".part")
    save_file(tensors, part, metadata={"restorer": config.model_dump_json()})
    digest = hashlib.sha256(part.read_bytes()).hexdigest()
    part.chmod(0o644)  # safetensors makes it private, but a bundle is for installing
    part.replace(folder / WEIGHTS)
    for name, text in ((HASH, digest + "\n"), (CARD, card)):
        half = folder / (name + ".part")
        half.write_text(text, encoding="utf-8")
        half.replace(folder / name)


def load_network(where: str) -> RestorerNetwork:
    """The network of a bundle: "bundled", a folder, or a hub id that the user named."""
    folder = find_bundle(where)
    path = folder / WEIGHTS
    check_hash(folder)
    config = read_header(path)
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key).float() for key in list(file.keys())}
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a readable safetensors file ({error}).") from error
    network = RestorerNetwork(config)
    fill(network, tensors, str(path))
    return network.eval()


def fill(network: RestorerNetwork, values: dict[str, Tensor], where: str) -> None:
    """Put a bundle's weights into a network; anything missing, foreign or misshapen is refused."""
    own = network.own_weights()
    wrong = sorted(set(own) ^ set(values))
    wrong += [key for key in own if key in values and own[key].shape != values[key].shape]
    if wrong:
        raise ModelError(
            f"{where}: {len(wrong)} weights do not fit the configuration in its header, first "
            f"{wrong[0]}: the file is damaged or of another version."
        )
    network.load_state_dict(values, strict=False)
