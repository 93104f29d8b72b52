"""The dots plugin, with a dataset whose labels have the order of a set."""

import dots
from dots import aigc_register_modalities

from aigc_core import DatasetSpec, hookimpl

__all__ = ["aigc_register_modalities"]


@hookimpl
def aigc_register_datasets() -> list[DatasetSpec]:
    changes = {"code": "broken_dots.datasets:OrderedByHash", "splits": ("train",)}
    return [dots.aigc_register_datasets()[0].model_copy(update=changes)]
