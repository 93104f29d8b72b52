"""A plugin without any code of networks: two recipes, four datasets and their settings."""

import sys
import types
from typing import Literal

import pytest
from pydantic import Field, model_validator

from aigc_core import ConfigModel, DatasetSpec, ModalitySpec, RecipeSpec, hookimpl
from aigc_core.plugins import PluginHost, PluginStatus


class NetConfig(ConfigModel):
    width: int = Field(8, ge=1)
    kind: Literal["small", "large"] = "small"
    size: int | list[int] = 1
    pair: tuple[float, float] = (0.0, 1.0)
    title: str = ""

    @model_validator(mode="after")
    def _title_fits(self) -> "NetConfig":
        if len(self.title) > self.width:
            raise ValueError("title is longer than width")
        return self


class NeedyConfig(ConfigModel):
    depth: int


class SquareOptions(ConfigModel):
    size: int = Field(8, ge=1)
    border: int = 0


class Toy:
    @hookimpl
    def aigc_register_modalities(self) -> list[ModalitySpec]:
        return [
            ModalitySpec(name="toy", summary="", code="a:B"),
            ModalitySpec(name="other", summary="", code="a:B"),
        ]

    @hookimpl
    def aigc_register_datasets(self) -> list[DatasetSpec]:
        options = "toy_settings:SquareOptions"
        return [
            DatasetSpec(name="squares", modality="toy", summary="", code="a:B", options=options),
            DatasetSpec(name="boxes", modality="toy", summary="", code="a:B", options=options),
            DatasetSpec(name="plain", modality="toy", summary="", code="a:B"),
            DatasetSpec(name="foreign", modality="other", summary="", code="a:B"),
        ]

    @hookimpl
    def aigc_register_recipes(self) -> list[RecipeSpec]:
        trainer = "aigc_core.trainers.config:AdversarialConfig"

        def recipe(name: str, model: str, **more: object) -> RecipeSpec:
            return RecipeSpec(
                name=name,
                summary="",
                build="a:b",
                model=model,
                trainer=trainer,
                dataset="squares",
                **more,
            )

        return [
            recipe(
                "toy/net",
                "toy_settings:NetConfig",
                defaults={
                    "engine": {"epochs": 5, "batch_size": 32},
                    "dataset": {"options": {"size": 16}},
                },
                presets={
                    "long": {"engine": {"steps": 9000}, "model": {"width": 64}},
                    "boxed": {"dataset": {"name": "boxes", "options": {"border": 2}}},
                },
            ),
            recipe("toy/needy", "toy_settings:NeedyConfig", defaults={"engine": {"steps": 1}}),
            recipe("toy/wrong", "toy_settings:not_a_model", defaults={"engine": {"steps": 1}}),
        ]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PluginHost:
    module = types.ModuleType("toy_settings")
    vars(module).update(
        NetConfig=NetConfig,
        NeedyConfig=NeedyConfig,
        SquareOptions=SquareOptions,
        not_a_model=lambda: None,
    )
    monkeypatch.setitem(sys.modules, "toy_settings", module)
    host = PluginHost()
    status = PluginStatus("toy", "toy_settings")
    host.register(Toy(), status)
    assert status.error is None
    return host
