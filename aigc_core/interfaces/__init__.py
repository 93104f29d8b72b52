"""What a plugin implements: networks, trainers, modalities, datasets and their configuration."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports
from aigc_core.interfaces.config import (
    ChoiceControls,
    ConfigModel,
    NoControls,
    OptimizerConfig,
    PrivacyConfig,
    TokenControls,
)
from aigc_core.interfaces.sample import Column, SampleSpec

if TYPE_CHECKING:
    from aigc_core.interfaces.autoregressive import AutoregressiveGenerator
    from aigc_core.interfaces.dataset import DataFolders, Dataset, SampleStore
    from aigc_core.interfaces.discriminator import ClassifyingDiscriminator, Discriminator
    from aigc_core.interfaces.generator import Condition, Generator, LatentGenerator
    from aigc_core.interfaces.metric import Metric
    from aigc_core.interfaces.modality import Modality, Representation, TextCodec
    from aigc_core.interfaces.recipe import Parent, RecipeContext, RunFacts
    from aigc_core.interfaces.trainer import Batch, Phase, Reconstructs, StepState, Trainer

__getattr__ = lazy_exports(
    __name__,
    {
        "AutoregressiveGenerator": "autoregressive",
        "Batch": "trainer",
        "ClassifyingDiscriminator": "discriminator",
        "Condition": "generator",
        "DataFolders": "dataset",
        "Dataset": "dataset",
        "Discriminator": "discriminator",
        "Generator": "generator",
        "LatentGenerator": "generator",
        "Metric": "metric",
        "Modality": "modality",
        "Parent": "recipe",
        "Phase": "trainer",
        "TextCodec": "modality",
        "RecipeContext": "recipe",
        "Reconstructs": "trainer",
        "Representation": "modality",
        "RunFacts": "recipe",
        "SampleStore": "dataset",
        "StepState": "trainer",
        "Trainer": "trainer",
    },
)

__all__ = [
    "AutoregressiveGenerator",
    "Batch",
    "ChoiceControls",
    "ClassifyingDiscriminator",
    "Column",
    "Condition",
    "ConfigModel",
    "DataFolders",
    "Dataset",
    "Discriminator",
    "Generator",
    "LatentGenerator",
    "Metric",
    "Modality",
    "NoControls",
    "OptimizerConfig",
    "Parent",
    "Phase",
    "PrivacyConfig",
    "RecipeContext",
    "Reconstructs",
    "Representation",
    "RunFacts",
    "SampleSpec",
    "SampleStore",
    "StepState",
    "TextCodec",
    "TokenControls",
    "Trainer",
]
