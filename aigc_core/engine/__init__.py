"""Runs any trainer: device, precision, data, loop, guards. Knows no modality, recipe or folder."""

from aigc_core.engine.comparison import Comparison
from aigc_core.engine.data import ResidentData
from aigc_core.engine.device import choose_device, describe_device
from aigc_core.engine.engine import Engine
from aigc_core.engine.observer import EngineObserver
from aigc_core.engine.precision import choose_precision
from aigc_core.engine.sampling import draw_samples, evaluation_mode, interpolate_latents
from aigc_core.engine.seeds import derive_seed, isolated_rng
from aigc_core.engine.state import EngineState, load_weights
from aigc_core.engine.stopping import FitResult

__all__ = [
    "Comparison",
    "Engine",
    "EngineObserver",
    "EngineState",
    "FitResult",
    "ResidentData",
    "choose_device",
    "choose_precision",
    "derive_seed",
    "describe_device",
    "draw_samples",
    "evaluation_mode",
    "interpolate_latents",
    "isolated_rng",
    "load_weights",
]
