"""Building blocks of networks that recipes of several modalities use."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports

if TYPE_CHECKING:
    from aigc_core.networks.autoencoder import SignalDecoder, SignalEncoder
    from aigc_core.networks.bits import Bits
    from aigc_core.networks.convolutions import (
        doubling_convolutions,
        halved_widths,
        halving_convolutions,
        initialize_convolutions,
        with_label,
    )
    from aigc_core.networks.embeddings import SequenceEncoder, TimeEmbedding
    from aigc_core.networks.frozen import Frozen
    from aigc_core.networks.lora import LowRank, add_adapters, merge_adapters
    from aigc_core.networks.patches import folded, unfolded
    from aigc_core.networks.quantizer import VectorQuantizer
    from aigc_core.networks.sets import SetNetwork
    from aigc_core.networks.token_cache import TokenCache
    from aigc_core.networks.token_transformer import TokenTransformer
    from aigc_core.networks.transformer import (
        MLP,
        Attention,
        Block,
        CrossAttention,
        CrossBlock,
        attention,
        initialize_transformer,
    )
    from aigc_core.networks.unet import ResidualBlock, UNet

__getattr__ = lazy_exports(
    __name__,
    {
        "Attention": "transformer",
        "Bits": "bits",
        "Block": "transformer",
        "CrossAttention": "transformer",
        "CrossBlock": "transformer",
        "Frozen": "frozen",
        "LowRank": "lora",
        "MLP": "transformer",
        "ResidualBlock": "unet",
        "SequenceEncoder": "embeddings",
        "SetNetwork": "sets",
        "SignalDecoder": "autoencoder",
        "SignalEncoder": "autoencoder",
        "TimeEmbedding": "embeddings",
        "TokenCache": "token_cache",
        "TokenTransformer": "token_transformer",
        "UNet": "unet",
        "VectorQuantizer": "quantizer",
        "add_adapters": "lora",
        "attention": "transformer",
        "doubling_convolutions": "convolutions",
        "folded": "patches",
        "halved_widths": "convolutions",
        "halving_convolutions": "convolutions",
        "initialize_convolutions": "convolutions",
        "initialize_transformer": "transformer",
        "merge_adapters": "lora",
        "unfolded": "patches",
        "with_label": "convolutions",
    },
)

__all__ = [
    "MLP",
    "Attention",
    "Bits",
    "Block",
    "CrossAttention",
    "CrossBlock",
    "Frozen",
    "LowRank",
    "ResidualBlock",
    "SequenceEncoder",
    "SetNetwork",
    "SignalDecoder",
    "SignalEncoder",
    "TimeEmbedding",
    "TokenCache",
    "TokenTransformer",
    "UNet",
    "VectorQuantizer",
    "add_adapters",
    "attention",
    "doubling_convolutions",
    "folded",
    "halved_widths",
    "halving_convolutions",
    "initialize_convolutions",
    "initialize_transformer",
    "merge_adapters",
    "unfolded",
    "with_label",
]
