"""Settings of the recipes that translate images; free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel, OptimizerConfig

_ADAM = OptimizerConfig(lr=2e-4, betas=(0.5, 0.999))  # as both papers have it


class TranslatorConfig(ConfigModel):
    """A U-Net that makes an image of another, and a network that judges patches."""

    width: int = Field(default=32, ge=4, le=1024)
    """Channels of the U-Net's first level, and of the judge's first layer."""
    multipliers: tuple[int, ...] = Field(default=(1, 2, 4), min_length=1, max_length=6)
    """Channels of each level by those of the first; each level halves the image's side."""
    blocks: int = Field(default=1, ge=1, le=8)
    """Residual blocks of a level."""
    judge_layers: int = Field(default=2, ge=1, le=5)
    """Layers of the judge that halve the side: more judge larger patches."""


class TranslationConfig(ConfigModel):
    """Image-to-image translation with pairs (Isola et al. 2017)."""

    loss: Literal["non-saturating", "least-squares", "hinge"] = "non-saturating"
    """The adversarial loss, of each patch."""
    l1: float = Field(default=100.0, ge=0)
    """Weight of the mean absolute difference to the target."""
    generator: OptimizerConfig = _ADAM
    """The generator's optimiser."""
    discriminator: OptimizerConfig = _ADAM
    """The judge's optimiser."""


class CycleConfig(ConfigModel):
    """Translation between two unpaired sets (Zhu et al. 2017)."""

    loss: Literal["non-saturating", "least-squares", "hinge"] = "least-squares"
    """The adversarial loss, of each patch."""
    cycle: float = Field(default=10.0, ge=0)
    """Weight of the mean absolute difference after going there and back."""
    identity: float = Field(default=5.0, ge=0)
    """Weight of the mean absolute difference that a translator makes to what needs none."""
    history: int = Field(default=50, ge=0, le=10_000)
    """How many fakes of earlier steps are remembered for the judges, which see one in place of half
    of the new ones; at least a batch. 0 for none."""
    generator: OptimizerConfig = _ADAM
    """The optimiser of both translators."""
    discriminator: OptimizerConfig = _ADAM
    """The optimiser of both judges."""


class CycleControls(ConfigModel):
    """How images are translated."""

    direction: Literal["forward", "backward"] = "forward"
    """From the column ``input`` to what is learned to make, or the other way."""
