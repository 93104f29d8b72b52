"""The training algorithms that every modality shares."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports
from aigc_core.trainers.config import (
    AdversarialConfig,
    AutoregressiveConfig,
    FlowConfig,
    FlowControls,
    MaskedConfig,
    MaskedControls,
    VariationalConfig,
)

if TYPE_CHECKING:
    from aigc_core.trainers.adversarial import AdversarialTrainer
    from aigc_core.trainers.autoregressive import AutoregressiveTrainer
    from aigc_core.trainers.flow import FlowGenerator, FlowTrainer
    from aigc_core.trainers.masked import MaskedGenerator, MaskedTrainer
    from aigc_core.trainers.variational import Decoder, Encoder, VariationalTrainer

__getattr__ = lazy_exports(
    __name__,
    {
        "AdversarialTrainer": "adversarial",
        "AutoregressiveTrainer": "autoregressive",
        "Decoder": "variational",
        "Encoder": "variational",
        "FlowGenerator": "flow",
        "FlowTrainer": "flow",
        "MaskedGenerator": "masked",
        "MaskedTrainer": "masked",
        "VariationalTrainer": "variational",
    },
)

__all__ = [
    "AdversarialConfig",
    "AdversarialTrainer",
    "AutoregressiveConfig",
    "AutoregressiveTrainer",
    "Decoder",
    "Encoder",
    "FlowConfig",
    "FlowControls",
    "FlowGenerator",
    "FlowTrainer",
    "MaskedConfig",
    "MaskedControls",
    "MaskedGenerator",
    "MaskedTrainer",
    "VariationalConfig",
    "VariationalTrainer",
]
