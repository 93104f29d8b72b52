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
    QuantizedConfig,
    VariationalConfig,
)

if TYPE_CHECKING:
    from aigc_core.trainers.adversarial import AdversarialTrainer
    from aigc_core.trainers.autoregressive import AutoregressiveTrainer
    from aigc_core.trainers.flow import FlowGenerator, FlowTrainer
    from aigc_core.trainers.latent import LatentFlow, TokenPrior, parent_autoencoder
    from aigc_core.trainers.masked import MaskedGenerator, MaskedTrainer
    from aigc_core.trainers.quantized import QuantizedAutoencoder, QuantizedTrainer
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
        "LatentFlow": "latent",
        "MaskedGenerator": "masked",
        "MaskedTrainer": "masked",
        "QuantizedAutoencoder": "quantized",
        "QuantizedTrainer": "quantized",
        "TokenPrior": "latent",
        "VariationalTrainer": "variational",
        "parent_autoencoder": "latent",
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
    "LatentFlow",
    "MaskedConfig",
    "MaskedControls",
    "MaskedGenerator",
    "MaskedTrainer",
    "QuantizedAutoencoder",
    "QuantizedConfig",
    "QuantizedTrainer",
    "TokenPrior",
    "VariationalConfig",
    "VariationalTrainer",
    "parent_autoencoder",
]
