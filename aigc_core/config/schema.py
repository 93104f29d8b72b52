"""The four parts of a run's configuration: dataset, model, trainer, engine."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from aigc_core.config.standard import StandardConfig
from aigc_core.interfaces.config import ConfigModel

_DEVICE = "auto|cpu|mps|cuda(:[0-9]{1,3})?"


class DatasetConfig(ConfigModel):
    """Which data; ``options`` are the dataset's own."""

    name: str
    """Name of a dataset of the recipe's modality: see ``aigc datasets``."""
    root: str | None = None
    """Folder to read the data from (``--data-root``); null for AIGC_DATA_DIR or a download."""
    options: SerializeAsAny[ConfigModel] | None = None
    """The dataset's own settings."""


class CheckpointConfig(ConfigModel):
    """When the whole state is saved. The last step of a run, and Ctrl-C, always save."""

    every: int = Field(default=500, ge=1)
    """Save every this many steps."""
    keep: int = Field(default=3, ge=1)
    """How many of the newest checkpoints to keep."""
    keep_best: str | None = "auto"
    """Also save, and keep, the checkpoint at which this metric was best, such as validation/loss;
    null for none. auto takes the standard's metric, else validation/loss, else the first that is
    measured at validations."""


class EngineConfig(ConfigModel):
    """How any trainer is run."""

    steps: int | None = Field(default=None, ge=1, le=10**9)
    """Train until this many steps are done. Either this or epochs."""
    epochs: float | None = Field(default=None, gt=0, le=10**6)
    """Train for this many passes over the data; becomes steps when the data is known."""
    schedule_steps: int | None = Field(default=None, ge=1, le=10**9)
    """Step at which learning-rate schedules end that have no decay_steps; null for the last step.
    ``aigc resume --keep-schedule`` sets it, so that a longer training keeps its final rate."""
    batch_size: int = Field(default=64, ge=1, le=10**6)
    """Samples per optimiser update."""
    accumulate: int = Field(default=1, ge=1)
    """Split each batch into this many parts whose gradients are added, to need less memory. Gives
    the same to rounding, except with batch normalisation, which then sees the parts."""
    device: str = Field(default="auto", json_schema_extra={"pattern": f"^({_DEVICE})$"})
    """auto takes CUDA, else MPS, else the CPU; or cpu, cuda, cuda:1, mps."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto takes bf16 autocast where the device computes it natively, else fp32."""
    channels_last: bool | None = None
    """Memory format of convolutions' weights and images; null lets the engine choose."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Everything random follows from it: weights, order of the data, latents."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of the exponential moving average of the generator; null for none."""
    deterministic: bool = False
    """On a GPU: only deterministic algorithms, slower. On a CPU runs are deterministic anyway."""
    log_every: int = Field(default=20, ge=1)
    """Read and log the metrics every this many steps."""
    validate_every: int = Field(default=500, ge=1)
    """Measure on held-out data every this many steps and after the last, where the recipe
    measures something and the dataset has a validation or test split."""
    validation_samples: int = Field(default=10_000, ge=0)
    """How many held-out samples at most, drawn at random; 0 for no validation."""
    validation_metrics: tuple[str, ...] = ()
    """Metrics that compare generated samples with held-out ones at each validation, by name: see
    ``aigc metrics``. They are logged as validation/<metric>/<value>."""
    validation_metric_samples: int = Field(default=1000, ge=2, le=10**6)
    """How many samples these metrics compare, where there are as many held-out ones."""
    standard: StandardConfig | None = None
    """End as soon as a validation meets this standard (``--until``); null for none."""
    patience: int | None = Field(default=None, ge=1)
    """End after this many validations in a row without a new best of checkpoint.keep_best."""
    sample_every: int = Field(default=250, ge=1)
    """Draw preview samples every this many steps, and after the last."""
    sample_count: int = Field(default=64, ge=1, le=4096)
    """How many samples a preview shows."""
    max_skipped_steps: int = Field(default=100, ge=1)
    """Stop after this many updates in a row were skipped for non-finite losses or gradients."""
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)
    """When the whole state is saved."""

    @field_validator("device")
    @classmethod
    def _is_device(cls, device: str) -> str:
        if not re.fullmatch(_DEVICE, device):
            raise ValueError("it should be auto, cpu, mps, cuda, or one GPU such as cuda:1")
        return device

    @model_validator(mode="after")
    def _consistent(self) -> EngineConfig:
        if self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        if self.steps is None and self.epochs is None:
            raise ValueError("give steps or epochs")
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"accumulate={self.accumulate} does not divide batch_size={self.batch_size}"
            )
        if not self.validation_samples and self.needs_validation:
            raise ValueError(
                f"{self.needs_validation} needs validation, and validation_samples=0 means none"
            )
        if self.patience is not None and self.checkpoint.keep_best is None:
            raise ValueError(
                "patience waits for a new best, and with checkpoint.keep_best=null none is known"
            )
        return self

    @property
    def needs_validation(self) -> str | None:
        """The first setting that means nothing without a validation, if one is set."""
        asked = {
            "standard": self.standard is not None,
            "patience": self.patience is not None,
            "validation_metrics": bool(self.validation_metrics),
            "checkpoint.keep_best": self.checkpoint.keep_best not in (None, "auto"),
        }
        return next((name for name, is_set in asked.items() if is_set), None)


class RunConfig(ConfigModel):
    """Everything that defines a run; stands in its folder as ``config.yaml``."""

    schema_version: Literal[1] = 1
    recipe: str
    preset: str | None = None
    dataset: DatasetConfig
    model: SerializeAsAny[ConfigModel]
    trainer: SerializeAsAny[ConfigModel]
    engine: EngineConfig

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, complete, as written to YAML and JSON."""
        return self.model_dump(mode="json")
