"""Building blocks of networks that recipes of several modalities use."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports

if TYPE_CHECKING:
    from aigc_core.networks.embeddings import SequenceEncoder, TimeEmbedding
    from aigc_core.networks.transformer import MLP, Attention, Block, attention
    from aigc_core.networks.unet import ResidualBlock, UNet

__getattr__ = lazy_exports(
    __name__,
    {
        "Attention": "transformer",
        "Block": "transformer",
        "MLP": "transformer",
        "ResidualBlock": "unet",
        "SequenceEncoder": "embeddings",
        "TimeEmbedding": "embeddings",
        "UNet": "unet",
        "attention": "transformer",
    },
)

__all__ = [
    "MLP",
    "Attention",
    "Block",
    "ResidualBlock",
    "SequenceEncoder",
    "TimeEmbedding",
    "UNet",
    "attention",
]
