"""The four parts of a run's configuration: dataset, model, trainer, engine."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from aigc_core.config.durations import seconds
from aigc_core.config.standard import StandardConfig
from aigc_core.interfaces.config import ConfigModel

_DEVICE = "auto|cpu|mps|cuda(:[0-9]{1,3})?"


class DatasetConfig(ConfigModel):
    """Which data to train on; ``options`` holds the dataset's own settings."""

    name: str
    """Name of a dataset of the recipe's modality: see ``aigc datasets``."""
    root: str | None = None
    """Folder to read the data from (``--data-root``); null for AIGC_DATA_DIR or a download."""
    options: SerializeAsAny[ConfigModel] | None = None
    """The dataset's own settings."""


class CheckpointConfig(ConfigModel):
    """When the full state is saved. It is always saved at a run's last step and on Ctrl-C."""

    every: int = Field(default=500, ge=1)
    """Steps between checkpoints."""
    keep: int = Field(default=3, ge=1)
    """How many of the newest checkpoints to keep."""
    keep_best: str | None = "auto"
    """Also save and keep the checkpoint where this metric, such as validation/loss, was best; null
    for none. auto takes the standard's metric, else validation/loss, else the first metric that
    validations measure."""


class LoraConfig(ConfigModel):
    """Low-rank adapters (Hu et al. 2022)."""

    rank: int = Field(default=8, ge=1, le=4096)
    """Rank of what is added to each weight."""
    alpha: float = Field(default=8.0, gt=0)
    """Strength: what is learned is multiplied by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Layers to adapt, such as generator.blocks.*; none for all linear layers and convolutions."""


class TunedConfig(ConfigModel):
    """What was fastest on a machine; ``aigc`` writes it into a run."""

    machine: str
    """Where it was measured; elsewhere it does not count."""
    precision: Literal["fp32", "bf16"]
    """Instead of precision=auto."""
    channels_last: bool
    """Instead of channels_last=null."""
    threads: int = Field(ge=1)
    """How many threads compute, on a CPU."""


class EngineConfig(ConfigModel):
    """How a trainer is run, whatever the recipe."""

    steps: int | None = Field(default=None, ge=1, le=10**9)
    """Total number of steps. Give either this or epochs."""
    epochs: float | None = Field(default=None, gt=0, le=10**6)
    """Number of passes over the data; converted to steps once the data is loaded."""
    schedule_steps: int | None = Field(default=None, ge=1, le=10**9)
    """Step at which learning-rate schedules without decay_steps end; null for the last step.
    ``aigc resume --keep-schedule`` sets it, so that further training keeps the final rate."""
    batch_size: int = Field(default=64, ge=1, le=10**6)
    """Samples per optimiser update."""
    accumulate: int = Field(default=1, ge=1)
    """Split each batch into this many parts and add up their gradients, to save memory. Same result
    up to rounding, except with batch normalisation, which then sees the parts."""
    device: str = Field(default="auto", json_schema_extra={"pattern": f"^({_DEVICE})$"})
    """cpu, cuda, cuda:1 or mps; auto takes CUDA, else MPS, else the CPU."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto takes bf16 autocast if the device computes it natively, else fp32."""
    channels_last: bool | None = None
    """Memory format of convolution weights and images; null lets the engine choose."""
    tune: Literal["auto", "off"] = "auto"
    """auto tries, before a training of minutes, which precision, memory format and number of
    threads are fastest on this machine, unless they are set; off takes what usually is."""
    tuned: TunedConfig | None = None
    """What was found so, or null; kept so that a resume computes the same."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of everything random: weights, order of the data, latents."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of the generator's exponential moving average; null for none."""
    deterministic: bool = False
    """Use only deterministic, slower algorithms on a GPU. CPU runs are deterministic anyway."""
    log_every: int = Field(default=20, ge=1)
    """Steps between logged metrics."""
    validate_every: int = Field(default=500, ge=1)
    """Steps between validations on held-out data; the last step is validated too. Needs something
    to measure, from the recipe or validation_metrics, and a validation or test split."""
    validation_samples: int = Field(default=10_000, ge=0)
    """Maximum number of held-out samples, drawn at random; 0 for no validation."""
    validation_metrics: tuple[str, ...] = ()
    """Names of metrics that compare generated with held-out samples at each validation: see
    ``aigc metrics``. Logged as validation/<metric>/<value>."""
    validation_metric_samples: int = Field(default=1000, ge=2, le=10**6)
    """How many samples these metrics compare, if there are that many held-out ones."""
    standard: StandardConfig | None = None
    """Stop as soon as a validation meets this standard (``--until``); null for none."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many validations in a row without a new best of checkpoint.keep_best."""
    max_time: float | None = Field(default=None, gt=0, le=10**9)
    """Stop after this much training: seconds, or 45s, 30m, 2h, 1d, 1h30m. Time before a resume
    counts, work between steps such as checkpoints does not. Schedules end at the last step
    whatever the time."""
    freeze: tuple[str, ...] = ()
    """What does not learn: names of networks, modules or parameters, such as generator.layers.0 or
    discriminator.*. They get no gradients, and modules stay in evaluation mode."""
    lora: LoraConfig | None = None
    """Learn low-rank adapters of the weights given by --init-from, and nothing else."""
    sample_every: int = Field(default=250, ge=1)
    """Steps between previews; one is also drawn after the last step."""
    sample_count: int = Field(default=64, ge=1, le=4096)
    """How many samples a preview shows."""
    max_skipped_steps: int = Field(default=100, ge=1)
    """Stop after this many updates in a row are skipped for non-finite losses or gradients."""
    checkpoint: CheckpointConfig = Field(default_factory=CheckpointConfig)
    """When the full state is saved."""

    @field_validator("max_time", mode="before")
    @classmethod
    def _in_seconds(cls, value: object) -> object:
        return seconds(value) if isinstance(value, str) else value

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
        """Name of the first setting in use that has no effect without validation, or None."""
        asked = {
            "standard": self.standard is not None,
            "patience": self.patience is not None,
            "validation_metrics": bool(self.validation_metrics),
            "checkpoint.keep_best": self.checkpoint.keep_best not in (None, "auto"),
        }
        return next((name for name, is_set in asked.items() if is_set), None)


class ParentRef(ConfigModel):
    """A run that another one builds on, and keeps a copy of below ``parents``."""

    recipe: str
    run: str
    """Where it was."""
    step: int = Field(ge=0)
    """Of the checkpoint that was taken."""
    sha256: str
    """Of the digests of its settings, its data's facts and its weights' manifest."""


class InitialRef(ConfigModel):
    """Weights that a run started from, which it keeps in ``initial.safetensors``."""

    source: str
    """The run or the file they are from."""
    step: int | None = None
    """Of the run's checkpoint."""
    sha256: str
    """Of ``initial.safetensors``."""


class RunConfig(ConfigModel):
    """Everything that defines a run; saved in its folder as ``config.yaml``."""

    schema_version: Literal[1] = 1
    recipe: str
    preset: str | None = None
    dataset: DatasetConfig
    model: SerializeAsAny[ConfigModel]
    trainer: SerializeAsAny[ConfigModel]
    engine: EngineConfig
    parents: dict[str, ParentRef] = {}
    """Runs that it builds on, by the names that the recipe gives them."""
    initial: InitialRef | None = None
    """What training started from, if not from random weights."""

    def to_dict(self) -> dict[str, Any]:
        """Return the complete configuration as plain data, as written to YAML and JSON."""
        unused = {name for name in ("parents", "initial") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=unused)
