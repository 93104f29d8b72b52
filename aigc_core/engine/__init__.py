"""Runs any trainer: device, precision, data, loop, guards. Knows no modality, recipe or folder."""

from aigc_core.engine.data import ResidentData
from aigc_core.engine.device import choose_device, choose_precision, describe_device
from aigc_core.engine.engine import Engine, EngineObserver
from aigc_core.engine.inputs import as_arrays
from aigc_core.engine.sampling import (
    by_output,
    chunk_inputs,
    draw_chunks,
    draw_samples,
    evaluation_mode,
    interpolate_latents,
    joined,
)
from aigc_core.engine.seeds import derive_seed, isolated_rng
from aigc_core.engine.state import load_weights, renaming, saved_modules, saved_state
from aigc_core.engine.stopping import FitResult
from aigc_core.engine.validation import Comparison
from aigc_core.state import State

__all__ = [
    "Comparison",
    "Engine",
    "EngineObserver",
    "FitResult",
    "ResidentData",
    "State",
    "as_arrays",
    "by_output",
    "choose_device",
    "choose_precision",
    "chunk_inputs",
    "derive_seed",
    "describe_device",
    "draw_chunks",
    "draw_samples",
    "evaluation_mode",
    "interpolate_latents",
    "isolated_rng",
    "joined",
    "load_weights",
    "renaming",
    "saved_modules",
    "saved_state",
]
