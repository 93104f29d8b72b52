"""What a plugin declares: frozen data that names code by strings, loaded only when used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from aigc_core.interfaces.config import ConfigModel

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=64)]
"""Lower-case words joined by hyphens, such as ``fashion-mnist``."""

ColumnName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""A name of an array, such as ``text``."""

RecipeName = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*/[a-z][a-z0-9]*(-[a-z0-9]+)*$",
        max_length=128,
    ),
]
"""``<modality>/<model>``, such as ``image/dcgan``."""

CodeRef = Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$")]
"""``"package.module:Name"``. Used only in a plugin's Python code, never in a user's file."""

KnownFailures = dict[Name, Annotated[str, Field(min_length=1)]]
"""Name of a contract-suite check, such as ``batch-of-one`` -> why it is known to fail."""

Capability = Literal["adversarial", "bf16"]
"""What a recipe can do, checked by the contract suite: see ``RecipeSpec.capabilities``."""


class ModalitySpec(ConfigModel):
    """A kind of content."""

    name: Name
    summary: str
    code: CodeRef
    """A subclass of ``aigc_core.Modality``."""
    known_failures: KnownFailures = {}
    """Checks of ``aigc plugins check`` that are known to fail; if one passes, that is an error."""


class DatasetSpec(ConfigModel):
    """A named source of samples."""

    name: Name
    modality: Name
    summary: str
    code: CodeRef
    """A subclass of ``aigc_core.Dataset``."""
    options: CodeRef | None = None
    """A ``ConfigModel`` for ``dataset.options.*``; its module must not import torch."""
    splits: tuple[str, ...] = ("train",)
    columns: dict[ColumnName, Name] = {}
    """Further columns that it has or, as configured, may have: name to modality."""
    embedded: bool = False
    """Whether it needs neither network access nor files from the user."""
    licence: str = ""
    homepage: str = ""
    known_failures: KnownFailures = {}
    """As for a modality."""


class MetricSpec(ConfigModel):
    """A metric that compares generated samples with real ones."""

    name: Name
    modality: Name | None = None
    """The modality whose samples it understands; None for any."""
    samples: Literal["any", "continuous"] = "any"
    """``continuous`` if the metric needs floating-point samples; it then refuses tokens, that is,
    modalities whose ``Modality.sample_dtype`` is not a floating-point type."""
    higher_is_better: tuple[str, ...] = ()
    """Names of its values that are better when higher, such as ``("precision",)``; all others are
    better when lower. Used to pick a run's best checkpoint."""
    summary: str
    code: CodeRef
    """A subclass of ``aigc_core.Metric``."""
    known_failures: KnownFailures = {}
    """As for a modality."""


class ParentSpec(ConfigModel):
    """A trained run that a recipe builds on."""

    recipes: tuple[RecipeName, ...] = Field(min_length=1)
    """Those that it may be a run of."""
    summary: str
    """What it is used for, in a few words."""
    required: bool = True
    """Whether the recipe cannot be trained without it."""


class RecipeSpec(ConfigModel):
    """Something that can be trained by name: networks, trainer, defaults and presets."""

    name: RecipeName
    """``<modality>/<model>``; the family instead of the modality with ``any_modality``."""
    any_modality: bool = False
    """Whether it takes data whose ``samples`` are of any modality."""
    family: str = Field(default="", max_length=30)
    """What kind of model it is, for listings: ``GAN``, ``VAE``, ``autoregressive``, ``flow``,
    ``masked``, ``two stages``, or another short name."""
    summary: str
    build: CodeRef
    """``(RecipeContext) -> Trainer``."""
    model: CodeRef
    """A ``ConfigModel`` for ``model.*``; its module must not import torch."""
    trainer: CodeRef
    """A ``ConfigModel`` for ``trainer.*``; its module must not import torch."""
    dataset: Name
    """Name of the default dataset."""
    defaults: dict[str, Any] = {}
    """Values that override the fields' own defaults: ``{"engine": {"epochs": 5}}``."""
    presets: dict[Name, dict[str, Any]] = {}
    """Named settings that override ``defaults``, in the same form. The contract suite trains the
    one named ``tiny``: small networks and few steps on an embedded dataset."""
    parents: dict[Name, ParentSpec] = {}
    """Trained runs that it builds on, by names such as ``autoencoder`` (``--parent``). ``build``
    finds them in ``RecipeContext.parents``."""
    capabilities: tuple[Capability, ...] = ()
    """Extra properties for the contract suite to check. ``adversarial``: the networks include
    ``Discriminator``s. ``bf16``: losses stay finite in bfloat16."""
    known_failures: KnownFailures = {}
    """As for a modality."""

    @property
    def modality(self) -> str | None:
        """The modality of what it makes; None for any."""
        return None if self.any_modality else self.name.split("/")[0]

    @model_validator(mode="after")
    def _sections_are_known(self) -> RecipeSpec:
        for where, values in [("defaults", self.defaults), *self.presets.items()]:
            unknown = set(values) - {"dataset", "model", "trainer", "engine"}
            if unknown:
                raise ValueError(f"{where}: {sorted(unknown)} is not a configuration section")
            for section, inner in values.items():
                if not isinstance(inner, dict):
                    raise ValueError(f"{where}: {section} must be a dict, found {inner!r:.40}")
        return self
