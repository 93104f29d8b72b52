"""The dots plugin, with options in a module that imports torch."""

import dots
from dots import aigc_register_modalities, aigc_register_recipes

from aigc_core import DatasetSpec, hookimpl

__all__ = ["aigc_register_modalities", "aigc_register_recipes"]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    ring, stars = dots.aigc_register_datasets()
    return [ring.model_copy(update={"options": "broken_dots.heavy_settings:RingOptions"}), stars]
