"""Building blocks of networks that recipes of several modalities use."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports

if TYPE_CHECKING:
    from aigc_core.networks.bits import Bits
    from aigc_core.networks.convolutions import (
        doubling_convolutions,
        halved_widths,
        halving_convolutions,
        with_label,
    )
    from aigc_core.networks.embeddings import SequenceEncoder, TimeEmbedding
    from aigc_core.networks.frozen import Frozen
    from aigc_core.networks.lora import LowRank, add_adapters, merge_adapters
    from aigc_core.networks.sets import SetNetwork
    from aigc_core.networks.transformer import (
        MLP,
        Attention,
        Block,
        CrossAttention,
        CrossBlock,
        attention,
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
        "TimeEmbedding": "embeddings",
        "UNet": "unet",
        "add_adapters": "lora",
        "attention": "transformer",
        "doubling_convolutions": "convolutions",
        "halved_widths": "convolutions",
        "halving_convolutions": "convolutions",
        "merge_adapters": "lora",
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
    "TimeEmbedding",
    "UNet",
    "add_adapters",
    "attention",
    "doubling_convolutions",
    "halved_widths",
    "halving_convolutions",
    "merge_adapters",
    "with_label",
]
