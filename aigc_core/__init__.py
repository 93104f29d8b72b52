"""aigc: train and use generative models of any kind of content."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports
from aigc_core._version import __version__
from aigc_core.errors import AigcError, ConfigError, DataError, PluginError, RunError, UserError
from aigc_core.interfaces.config import ConfigModel, OptimizerConfig, SamplingConfig
from aigc_core.interfaces.sample import SampleSpec

if TYPE_CHECKING:
    from aigc_core.api import evaluate, generate, resume, train
    from aigc_core.config import CheckpointConfig, EngineConfig
    from aigc_core.engine import Engine, EngineObserver, FitResult
    from aigc_core.interfaces import (
        AutoregressiveGenerator,
        Batch,
        ClassifyingDiscriminator,
        DataFolders,
        Dataset,
        Discriminator,
        Generator,
        LatentGenerator,
        Metric,
        Modality,
        Phase,
        RecipeContext,
        SampleStore,
        StepState,
        Trainer,
    )
    from aigc_core.plugins import DatasetSpec, MetricSpec, ModalitySpec, RecipeSpec, hookimpl
    from aigc_core.runs import Run, find_runs, open_run
    from aigc_core.trainers import (
        AdversarialConfig,
        AdversarialTrainer,
        AutoregressiveConfig,
        AutoregressiveTrainer,
        Decoder,
        Encoder,
        VariationalConfig,
        VariationalTrainer,
    )

_WHERE = {
    "api": ("evaluate", "generate", "resume", "train"),
    "config": ("CheckpointConfig", "EngineConfig"),
    "engine": ("Engine", "EngineObserver", "FitResult"),
    "interfaces": (
        "AutoregressiveGenerator",
        "Batch",
        "ClassifyingDiscriminator",
        "DataFolders",
        "Dataset",
        "Discriminator",
        "Generator",
        "LatentGenerator",
        "Metric",
        "Modality",
        "Phase",
        "RecipeContext",
        "SampleStore",
        "StepState",
        "Trainer",
    ),
    "plugins": ("DatasetSpec", "MetricSpec", "ModalitySpec", "RecipeSpec", "hookimpl"),
    "runs": ("Run", "find_runs", "open_run"),
    "trainers": (
        "AdversarialConfig",
        "AdversarialTrainer",
        "AutoregressiveConfig",
        "AutoregressiveTrainer",
        "Decoder",
        "Encoder",
        "VariationalConfig",
        "VariationalTrainer",
    ),
}
__getattr__ = lazy_exports(
    __name__, {name: module for module, names in _WHERE.items() for name in names}
)

__all__ = [
    "AdversarialConfig",
    "AdversarialTrainer",
    "AigcError",
    "AutoregressiveConfig",
    "AutoregressiveGenerator",
    "AutoregressiveTrainer",
    "Batch",
    "CheckpointConfig",
    "ClassifyingDiscriminator",
    "ConfigError",
    "ConfigModel",
    "DataError",
    "DataFolders",
    "Dataset",
    "DatasetSpec",
    "Decoder",
    "Discriminator",
    "Encoder",
    "Engine",
    "EngineConfig",
    "EngineObserver",
    "FitResult",
    "Generator",
    "LatentGenerator",
    "Metric",
    "MetricSpec",
    "Modality",
    "ModalitySpec",
    "OptimizerConfig",
    "Phase",
    "PluginError",
    "RecipeContext",
    "RecipeSpec",
    "Run",
    "RunError",
    "SampleSpec",
    "SampleStore",
    "SamplingConfig",
    "StepState",
    "Trainer",
    "UserError",
    "VariationalConfig",
    "VariationalTrainer",
    "__version__",
    "evaluate",
    "find_runs",
    "generate",
    "hookimpl",
    "open_run",
    "resume",
    "train",
]
