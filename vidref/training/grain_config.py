"""What a training run of the grain is: one YAML file, validated once."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, ValidationError

from vidref.errors import SettingsError
from vidref.model.config import GrainConfig, RestorerConfig, problem
from vidref.training.restorer_config import (
    BUNDLED_RECOGNISER,
    DamageConfig,
    DataConfig,
    Part,
    RunConfig,
    TrainingConfig,
    put_in,
    read_table,
)


class GrainRun(Part):
    """How long, how fast."""

    batch: int = Field(default=4, ge=1)
    steps: int = 3000
    budget_seconds: float | None = None
    """Where set, the clock ends the run if the steps do not."""
    learning_rate: float = 1e-3
    warmup: int = 50
    cooldown: float = Field(default=0.6, ge=0, le=1)
    ema: float = 0.995
    log_every: int = 100
    seed: int = 0


class GrainTraining(Part):
    """A training run."""

    grain: GrainConfig
    data: DataConfig
    damage: DamageConfig = DamageConfig()
    cases: int = Field(default=2400, ge=4)
    """Faces that are restored once, with all that the grain sees of them, and kept."""
    least_detail: float = 0.84
    """Photographs with less than this share of the square's resolution are not learned from: what
    is finer in them is invented."""
    no_photograph: float = Field(default=0.25, ge=0, le=1)
    """Share of faces that come without the person's photographs."""
    recogniser: Path = BUNDLED_RECOGNISER
    run: GrainRun = GrainRun()

    def for_batches(self, restorer: RestorerConfig) -> TrainingConfig:
        """The same as the maker of damaged faces wants it."""
        run = RunConfig(size=restorer.size, batch=4, seed=self.run.seed)
        return TrainingConfig(
            restorer=restorer,
            data=self.data,
            damage=self.damage,
            recogniser=self.recogniser,
            run=run,
        )


def read_grain_training(path: Path, data: Path | None, changes: dict[str, object]) -> GrainTraining:
    """Read a run. `data` replaces its folder, `changes` are values by dotted key."""
    values = read_table(path)
    if data is not None:
        changes = {**changes, "data.folder": str(data)}
    put_in(values, changes)
    try:
        return GrainTraining.model_validate(values)
    except ValidationError as error:
        raise SettingsError(f"{path}: {problem(error)}.") from error
