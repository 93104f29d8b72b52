"""What a plugin declares: frozen data, with code named by strings and loaded when used."""

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
"""``"package.module:Name"``. Stands in a plugin's Python only, never in a user's file."""

KnownFailures = dict[Name, Annotated[str, Field(min_length=1)]]
"""Check of the contract suite, such as ``batch-of-one``, to the reason why it is known to fail."""

Capability = Literal["adversarial", "bf16"]
"""What a recipe can do, and is checked for: see ``RecipeSpec.capabilities``."""


class ModalitySpec(ConfigModel):
    """A kind of content."""

    name: Name
    summary: str
    code: CodeRef
    """A subclass of ``aigc_core.Modality``."""
    known_failures: KnownFailures = {}
    """Checks of ``aigc plugins check`` that are known to fail; one that passes is then an error."""


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
    """Whether it needs neither a network nor files of the user's."""
    licence: str = ""
    homepage: str = ""
    known_failures: KnownFailures = {}
    """As for a modality."""


class MetricSpec(ConfigModel):
    """A comparison of generated samples with real ones."""

    name: Name
    modality: Name | None = None
    """The modality whose samples it understands; None for any."""
    samples: Literal["any", "continuous"] = "any"
    """``continuous`` for one that needs numbers on a scale: it is not for samples that are tokens,
    whose numbers are names. Such are those whose ``Modality.sample_dtype`` is an integer type."""
    higher_is_better: tuple[str, ...] = ()
    """Names of its values that are better when higher, such as ``("precision",)``; all others are
    better when lower. It decides which checkpoint of a run is the best."""
    summary: str
    code: CodeRef
    """A subclass of ``aigc_core.Metric``."""
    known_failures: KnownFailures = {}
    """As for a modality."""


class RecipeSpec(ConfigModel):
    """What can be trained by name: networks, trainer, defaults and presets."""

    name: RecipeName
    """``<modality>/<model>``."""
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
    """Values over the fields' own defaults: ``{"engine": {"epochs": 5}}``."""
    presets: dict[Name, dict[str, Any]] = {}
    """Named settings over ``defaults``, in the same form. One named ``tiny``, small networks and
    few steps on an embedded dataset, is what the contract suite trains."""
    capabilities: tuple[Capability, ...] = ()
    """What the contract suite checks besides what holds for every recipe. ``adversarial``: among
    the networks are ``Discriminator``s. ``bf16``: losses stay finite in bfloat16."""
    known_failures: KnownFailures = {}
    """As for a modality."""

    @property
    def modality(self) -> str:
        """The part of the name before the slash."""
        return self.name.split("/")[0]

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
