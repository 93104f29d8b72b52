"""The plugin host: finds, checks and loads plugins. Nothing here imports torch."""

from aigc_core.plugins.catalogue import Catalogue, load_catalogue
from aigc_core.plugins.hookspecs import hookimpl, hookspec
from aigc_core.plugins.loader import PluginHost, PluginStatus, get_host, use_host
from aigc_core.plugins.specs import DatasetSpec, ModalitySpec, RecipeSpec

__all__ = [
    "Catalogue",
    "DatasetSpec",
    "ModalitySpec",
    "PluginHost",
    "PluginStatus",
    "RecipeSpec",
    "get_host",
    "hookimpl",
    "hookspec",
    "load_catalogue",
    "use_host",
]
