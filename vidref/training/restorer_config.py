"""What a training run of the restorer is: one YAML file, validated once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vidref import weights
from vidref.errors import SettingsError
from vidref.model.config import RestorerConfig, problem, read_config
from vidref.model.recogniser import Crop

BUNDLED_RECOGNISER = weights.FACE_PACK / "recogniser.onnx"


class Part(BaseModel):
    """Frozen, and refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(Part):
    """Which photographs, and who is a reference of whom."""

    folder: Path
    strict: bool = False
    limit: int | None = None
    references: int = Field(default=3, ge=1)
    """At most so many references of a target; the paper trains with exactly one."""
    several_share: float = 0.6
    """Share of targets drawn from people who have other photographs."""
    wrong_share: float = 0.04
    """Share of targets that are shown a stranger's photographs, to be ignored."""
    worn_share: float = 0.0
    """Share of references that are themselves slightly damaged, as a bad clip's own frames are."""
    augment_references: bool = True
    """False lets the frozen towers' features be cached per photograph."""
    flip: bool = True
    quick: bool = False
    """Make batches with OpenCV on the CPU's cores (quick_batches.py): for runs without a GPU."""
    vary: bool = True
    """False keeps the stored alignment and colours of the target (for overfitting tests)."""


class DamageConfig(Part):
    """Shares of the batch that are damaged in each way; they sum to one."""

    moderate: float = 0.25
    severe: float = 0.25
    training: float = 0.25
    video: float = 0.25
    filmed: float = 0.0
    """A short coded clip of the face in motion (moving_damage.py); needs PyAV."""
    encode: bool = True
    """Really encode a part of the video share (needs PyAV)."""
    group: int = Field(default=1, ge=1)
    """Neighbours in a batch that share a shrink factor: 1 on the CPU, 4 keeps a GPU fed."""
    faded: float = 0.1
    grey: float = 0.1


class LossConfig(Part):
    """Weights of the losses; zero leaves a loss out."""

    reconstruction: float = 1.0
    edges: float = 0.0
    """Weight of the error of Haar coefficients at two scales: edges count more than areas."""
    structure: float = 0.0
    """Weight of 1 - HaarPSI: edges as strong as the truth's, not the mean of all possible ones."""
    alignment: float = 0.0
    """Weight of how badly references lie on the target; for restorers with an aligner."""
    identity: float = 0.1
    hard_share: float = Field(default=0.25, ge=0, le=1)
    """The lambda of the hard-example identity loss: how much of it looks at the reference."""
    trust_floor: float = Field(default=0.0, ge=0, le=1)
    """Losses on the whole face are scaled by max(sqrt(alpha-bar), this); 0 is ReF-LDM's."""
    recogniser_features: float = 0.0
    encoder_features: float = 0.0
    judged_every: int = Field(default=1, ge=1)
    """Every so manieth picture of a batch is shown to the recogniser; it costs as much as a third
    of a small denoiser."""
    adversarial: float = 0.0
    adversarial_after: int = 0


class NoiseConfig(Part):
    """Which noise levels are trained, and what is under the noise.

    The defaults are a diffusion model's: every level, over the truth. A run that is too short for
    that is spent where a sampler of few steps really comes by.
    """

    first: float = Field(default=0.0, ge=0, le=1)
    """Share of pictures at the first, noisiest step, where nothing of the picture is left."""
    own: float = Field(default=0.0, ge=0, le=1)
    """Share of the others with the network's own first estimate under the noise, as in sampling."""


class RunConfig(Part):
    """How long, how fast, how often."""

    size: int = 512
    batch: int = 8
    accumulate: int = Field(default=1, ge=1)
    steps: int = 10_000
    budget_seconds: float | None = None
    """Over all resumptions; where set, the schedule follows the clock instead of the step."""
    learning_rate: float = 2e-4
    warmup: int = 200
    aligning: int = Field(default=0, ge=0)
    """So many steps at the beginning train the aligner alone: they cost a tenth of the others, and
    references that do not yet lie where they belong only teach the network not to look at them."""
    cooldown: float = Field(default=0.3, ge=0, le=1)
    """Share of the run, at its end, over which the learning rate falls to nothing."""
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    log_every: int = 20
    save_every: int = 500
    sheet_every: int = 500
    seed: int = 0


class TrainingConfig(Part):
    """A training run."""

    restorer: RestorerConfig
    data: DataConfig
    damage: DamageConfig = DamageConfig()
    losses: LossConfig = LossConfig()
    noise: NoiseConfig = NoiseConfig()
    run: RunConfig = RunConfig()
    drop_degraded: float = 0.1
    drop_context: float = 0.1
    recogniser: Path | None = None
    """ArcFace-format ONNX, or the word bundled: embeds references, judges in identity losses."""
    recogniser_crop: Crop = "aligned"
    perceptual_encoder: Path | None = None
    start_from: str | None = None
    """A bundle whose weights training begins with."""


def read_training_config(path: Path, changes: dict[str, object] | None = None) -> TrainingConfig:
    """Read a run. `restorer` names another file; paths are relative to the file that names them.

    `changes` are values by dotted key that replace the file's.
    """
    values = read_table(path)
    if isinstance(values.get("restorer"), str):
        values["restorer"] = read_config(path.parent / values["restorer"]).model_dump()
    put_in(values, changes or {})
    if values.get("recogniser") == "bundled":
        values["recogniser"] = BUNDLED_RECOGNISER
    try:
        return TrainingConfig.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"{path}: not a training configuration: {problem(error)}.") from error


def read_table(path: Path) -> dict[str, Any]:
    """A YAML file of settings as plain values."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: not a readable YAML file ({error}).") from error
    if not isinstance(values, dict):
        raise SettingsError(f"{path}: not a training configuration: it should be a table.")
    return values


def put_in(values: dict[str, Any], changes: dict[str, object]) -> None:
    """Values by dotted key, in place."""
    for dotted, value in changes.items():
        *parents, last = dotted.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
