"""The plugin host: finds, checks and loads plugins. Nothing here imports torch."""

from aigc_core.plugins.catalogue import Catalogue, load_catalogue
from aigc_core.plugins.compatibility import API_VERSION
from aigc_core.plugins.hookspecs import hookimpl, hookspec
from aigc_core.plugins.installed import InstalledPlugin, find_installed
from aigc_core.plugins.loader import PluginHost, get_host, use_host
from aigc_core.plugins.options import HostOptions, host_options, use_options
from aigc_core.plugins.specs import DatasetSpec, MetricSpec, ModalitySpec, ParentSpec, RecipeSpec
from aigc_core.plugins.status import PluginStatus

__all__ = [
    "API_VERSION",
    "Catalogue",
    "DatasetSpec",
    "HostOptions",
    "InstalledPlugin",
    "MetricSpec",
    "ModalitySpec",
    "ParentSpec",
    "PluginHost",
    "PluginStatus",
    "RecipeSpec",
    "find_installed",
    "get_host",
    "hookimpl",
    "hookspec",
    "host_options",
    "load_catalogue",
    "use_host",
    "use_options",
]
