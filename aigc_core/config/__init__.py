"""The configuration of a run: its schema, and how its layers become one. Never imports torch."""

from aigc_core.config.folders import cache_folder, data_root
from aigc_core.config.layers import (
    Layer,
    given_settings,
    parse_assignment,
    read_config_file,
)
from aigc_core.config.resolve import ResolvedConfig, resolve_config
from aigc_core.config.schema import CheckpointConfig, DatasetConfig, EngineConfig, RunConfig
from aigc_core.config.standard import StandardConfig, parse_standard

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
