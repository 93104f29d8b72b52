"""The dots plugin, with a hook that imports torch."""

from dots import aigc_register_datasets, aigc_register_modalities

from aigc_core import RecipeSpec, hookimpl

__all__ = ["aigc_register_datasets", "aigc_register_modalities"]


@hookimpl
def aigc_register_recipes() -> list[RecipeSpec]:
    import torch

    assert torch.__version__
    return []
