"""The configuration of a run: its schema and how its layers are merged. Never imports torch."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports

if TYPE_CHECKING:
    from aigc_core.config.folders import cache_folder, data_root
    from aigc_core.config.layers import Layer, given_settings, parse_assignment, read_config_file
    from aigc_core.config.resolve import ResolvedConfig, resolve_config
    from aigc_core.config.schema import CheckpointConfig, DatasetConfig, EngineConfig, RunConfig
    from aigc_core.config.standard import StandardConfig, parse_standard

_WHERE = {
    "folders": ("cache_folder", "data_root"),
    "layers": ("Layer", "given_settings", "parse_assignment", "read_config_file"),
    "resolve": ("ResolvedConfig", "resolve_config"),
    "schema": ("CheckpointConfig", "DatasetConfig", "EngineConfig", "RunConfig"),
    "standard": ("StandardConfig", "parse_standard"),
}
__getattr__ = lazy_exports(
    __name__, {name: module for module, names in _WHERE.items() for name in names}
)

__all__ = [
    "CheckpointConfig",
    "DatasetConfig",
    "EngineConfig",
    "Layer",
    "ResolvedConfig",
    "RunConfig",
    "StandardConfig",
    "cache_folder",
    "data_root",
    "given_settings",
    "parse_assignment",
    "parse_standard",
    "read_config_file",
    "resolve_config",
]
