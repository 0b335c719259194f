"""The sizes of a restorer: all that is needed to build one, nothing about how to run or train it.

Both configurations are values of the same classes: the bundled model (pixel-shuffle codec, a small
U-Net) and paper-512 (VAE codec, a Stable-Diffusion-size U-Net). The JSON of `RestorerConfig`
travels inside the weights file, so a bundle never has to be told what it is. No torch here: a run
reads it before it knows whether there is a face.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vidref.errors import SettingsError

FACE_SIZE = 512
"""Pixels along one side of the aligned face that every restorer works on."""
BANDS_PX = (1.0, 2.0, 4.0)
"""Deviations of the blurs between which a face's bands of detail lie (clarity.py), at the size the
network works at."""

GRAIN_PX = (0.6, 1.2, 2.4)
"""The same for the finest detail, at the size of the crop (grain.py)."""


class Sizes(BaseModel):
    """Frozen, and refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CodecConfig(Sizes):
    """Pixels <-> what the denoiser sees. `source`: a diffusers checkpoint, for VAEs only."""

    kind: Literal["pixel-shuffle", "autoencoder-kl", "autoencoder-tiny"]
    factor: int = Field(default=8, gt=0)
    channels: int = Field(gt=0)
    source: str | None = None
    levelled: bool = False
    """Pixel-shuffle only: every patch by its frequencies, each divided by its usual strength, so
    that the fine ones are not lost beside the coarse ones."""

    @model_validator(mode="after")
    def _agree(self) -> CodecConfig:
        if self.kind == "pixel-shuffle" and self.channels != 3 * self.factor**2:
            raise ValueError("a pixel-shuffle codec has 3 x factor x factor channels")
        if self.levelled and self.kind != "pixel-shuffle":
            raise ValueError("codec.levelled is for the pixel-shuffle codec")
        return self


class DenoiserConfig(Sizes):
    """The U-Net. With `source` its sizes and first weights come from that diffusers checkpoint."""

    widths: tuple[int, ...] = (96, 128, 160)
    cross_attention: tuple[bool, ...] = (False, True, True)
    layers_per_block: int = 1
    groups: int = 16
    heads: int = 4
    coordinates: int = Field(default=0, ge=0)
    """Bands of sines and cosines of the place in the aligned face beside the input: a face is where
    it is aligned to, and convolutions do not know where they are."""
    residual: bool = False
    """Predict the difference to the degraded crop; only an x0-prediction can."""
    sharpen: tuple[float, ...] = ()
    """Deviations (pixels, rising) of low-passes that part the degraded crop into bands. Beside its
    own picture the network says how much of each band to add or take away where: deblurring and
    denoising that need not be learned pixel by pixel."""
    hide_noise: bool = False
    """Show z_t times its signal level, the best linear guess at the picture in it: at the first
    step that is nothing, and no weights have to learn that noise says nothing."""
    person: bool = False
    """Tell every block who it is, by the mean identity token, beside what attention finds."""
    source: str | None = None

    @model_validator(mode="after")
    def _agree(self) -> DenoiserConfig:
        if len(self.widths) != len(self.cross_attention):
            raise ValueError("widths and cross_attention must have one entry per level")
        return self


class AlignerConfig(Sizes):
    """Bringing references into place, so that their pixels are evidence too (aligner.py)."""

    widths: tuple[int, ...] = (48, 64, 96, 96)
    reach: float = Field(default=0.3, gt=0, le=1)
    """The farthest that a point of a reference may be moved, in widths of the face square."""


class GrainConfig(Sizes):
    """The finest detail, at the whole size (grain.py)."""

    width: int = 48
    blocks: int = 2
    coordinates: int = Field(default=4, ge=0)
    shares: tuple[float, ...] = (0.4, 0.4, 0.3)
    """So much of what a face lacks of each band is added; measured with the weights."""

    @field_validator("shares")
    @classmethod
    def _one_each(cls, shares: tuple[float, ...]) -> tuple[float, ...]:
        if len(shares) != len(GRAIN_PX):
            raise ValueError(f"grain.shares has {len(GRAIN_PX)} shares, one for each band")
        return shares


class IdentityConfig(Sizes):
    """One token from a recogniser's embedding."""

    dimension: int = Field(gt=0)
    normalised: bool = True
    """Project the unit vector (times the root of its dimension) instead of the raw embedding."""
    recogniser_sha256: str | None = None
    """The recogniser it was trained with: embeddings of another one mean something else."""


class SemanticConfig(Sizes):
    """The token sequence of a frozen FaRL / CLIP vision tower."""

    source: str
    tokens: int = 197
    dimension: int = 768


class PatchConfig(Sizes):
    """A trainable convolutional encoder: a grid of local tokens."""

    grid: int = 8
    widths: tuple[int, ...] = (96, 128, 160, 192)
    size: int | None = None
    """Look at the reference at this side instead of the crop's own."""


class ContextConfig(Sizes):
    """Composite Context: which tokens describe one reference (paper.md 2.2)."""

    width: int = Field(gt=0)
    identity: IdentityConfig | None = None
    semantic: SemanticConfig | None = None
    patches: PatchConfig | None = None

    @model_validator(mode="after")
    def _agree(self) -> ContextConfig:
        if self.identity is None and self.semantic is None and self.patches is None:
            raise ValueError("a context needs at least one of identity, semantic and patches")
        return self

    @property
    def tokens(self) -> int:
        """Tokens of one reference."""
        count = 1 if self.identity else 0
        count += self.semantic.tokens if self.semantic else 0
        return count + (self.patches.grid**2 if self.patches else 0)


class DiffusionConfig(Sizes):
    """The forward process and what the network predicts."""

    prediction: Literal["x0", "v", "epsilon"]
    schedule: Literal["cosine", "linear", "scaled-linear"]
    beta_start: float = 0.00085
    beta_end: float = 0.012
    shift: float = Field(default=1.0, gt=0)
    """Multiplies the noise-to-signal ratio: large pictures need more noise for the same effect."""
    zero_terminal_snr: bool = False
    train_steps: int = 1000

    @model_validator(mode="after")
    def _agree(self) -> DiffusionConfig:
        if self.prediction == "epsilon" and self.zero_terminal_snr:
            raise ValueError(
                "noise-prediction says nothing about the image at zero signal: use x0 or v"
            )
        return self


class RestorerConfig(Sizes):
    """A whole restorer."""

    name: str
    size: int = FACE_SIZE
    working_size: int | None = None
    """The side that the network works at, where it is smaller than the crop's: what is finer in the
    crop stays as it came."""
    codec: CodecConfig
    denoiser: DenoiserConfig
    context: ContextConfig
    aligner: AlignerConfig | None = None
    """None: references speak through their tokens alone, as in the paper."""
    grain: GrainConfig | None = None
    """None: what is finer than the network's own size comes from the crop and photographs alone."""
    diffusion: DiffusionConfig
    clarity: tuple[float, ...] = ()
    """So much of each band of detail is added to what the network makes (clarity.py); measured with
    the weights it belongs to."""
    licence: str
    use: str

    @model_validator(mode="after")
    def _agree(self) -> RestorerConfig:
        if self.denoiser.source and self.denoiser.coordinates:
            raise ValueError("denoiser.coordinates is for new U-Nets: leave it out with a source")
        if self.denoiser.residual and self.diffusion.prediction != "x0":
            raise ValueError("denoiser.residual needs diffusion.prediction x0")
        if self.denoiser.sharpen and not self.denoiser.residual:
            raise ValueError("denoiser.sharpen changes the degraded crop: it needs residual")
        if self.denoiser.sharpen and self.codec.kind != "pixel-shuffle":
            raise ValueError("denoiser.sharpen is for the pixel-shuffle codec")
        if self.aligner and not (self.denoiser.sharpen and self.denoiser.coordinates):
            raise ValueError("aligner needs denoiser.sharpen and denoiser.coordinates")
        if self.denoiser.person and (self.denoiser.source or self.context.identity is None):
            raise ValueError("denoiser.person is for new U-Nets and needs context.identity")
        if len(self.clarity) not in (0, len(BANDS_PX)):
            raise ValueError(f"clarity has {len(BANDS_PX)} shares, one for each band, or none")
        if self.grain and not self.working_size:
            raise ValueError("grain is for restorers that work at less than the crop's size")
        if self.size % (self.working_size or self.size):
            raise ValueError("size must be a multiple of working_size")
        return self


def read_config(path: Path) -> RestorerConfig:
    """The configuration in a YAML file."""
    try:
        return parse_config(yaml.safe_load(path.read_text(encoding="utf-8")), str(path))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: not a readable YAML file ({error}).") from error


def parse_config(value: Any, where: str) -> RestorerConfig:
    """A configuration from plain values; `where` names their origin in the error."""
    try:
        return RestorerConfig.model_validate(value)
    except ValidationError as error:
        raise SettingsError(f"{where}: not a restorer configuration: {problem(error)}.") from error


def problem(error: ValidationError) -> str:
    """The first thing that is wrong, and where."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}"
