"""Image-to-image translation with pairs: Isola et al. 2017 ("pix2pix").

The generator is a U-Net with skips, the judge sees patches of input and output. The noise, which
the paper has from dropout, is a channel of its own; as there, it changes little.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from aigc_core import (
    Batch,
    Condition,
    ConfigModel,
    Generator,
    Phase,
    RecipeContext,
    StepState,
    Trainer,
)
from aigc_core.errors import ConfigError
from aigc_core.losses import adversarial_loss
from aigc_core.networks import UNet, halving_convolutions
from aigc_image.translate_config import TranslationConfig, TranslatorConfig


class Translator(nn.Module):
    """Images ``(B, C, S, S)`` and noise ``(B, 1, S, S)`` to images ``(B, C', S, S)`` in [-1, 1]."""

    def __init__(self, config: TranslatorConfig, channels: int, out_channels: int) -> None:
        super().__init__()
        size = 4 * config.width
        self.style = nn.Parameter(torch.zeros(size))  # the same for all: what a U-Net modulates by
        self.unet = UNet(
            2,
            channels + 1,
            out_channels,
            widths=[config.width * multiplier for multiplier in config.multipliers],
            blocks=config.blocks,
            embedding_size=size,
        )

    def forward(self, images: Tensor, noise: Tensor) -> Tensor:
        vector = self.style.expand(len(images), -1)
        return torch.tanh(self.unet(torch.cat([images, noise], dim=1), vector))


class PatchJudge(nn.Module):
    """Images ``(B, C, S, S)`` to logits of patches ``(B, 1, P, P)``."""

    def __init__(self, config: TranslatorConfig, channels: int) -> None:
        super().__init__()
        widths = [config.width * 2 ** min(layer, 3) for layer in range(config.judge_layers)]
        layers = halving_convolutions(channels, widths, normalization="layer")
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.float()


class PairedTranslator(Generator):
    """Draws the image that belongs to another one."""

    def __init__(self, config: TranslatorConfig, channels: int, out_channels: int) -> None:
        super().__init__()
        self.translator = Translator(config, channels, out_channels)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """The image to translate."""
        return {"input": Condition("input", required=True)}

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor],
        controls: ConfigModel,
    ) -> Tensor:
        images: Tensor = self.translator(conditions["input"], noise_for(conditions["input"], rng))
        return images


def noise_for(images: Tensor, rng: torch.Generator) -> Tensor:
    """Draw ``(B, 1, S, S)`` noise for images ``(B, C, S, S)``."""
    shape = (len(images), 1, *images.shape[2:])
    return torch.randn(shape, generator=rng, device=rng.device)


class TranslationTrainer(Trainer):
    """An adversarial game on pairs, and the absolute difference."""

    def __init__(
        self, generator: PairedTranslator, judge: PatchJudge, config: TranslationConfig
    ) -> None:
        self._generator, self._judge, self._config = generator, judge, config
        self._loss = adversarial_loss(config.loss)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator, "discriminator": self._judge}

    def generator(self) -> PairedTranslator:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        config = self._config
        return [
            Phase("discriminator", ("discriminator",), self._judged, config.discriminator),
            Phase("generator", ("generator",), self._translated, config.generator),
        ]

    def validation(self) -> Callable[[Batch, StepState], Mapping[str, Tensor]]:
        """Measure the mean absolute difference on held-out pairs, in [0, 2]."""
        return self._measured

    def _fakes(self, batch: Batch, state: StepState) -> Tensor:
        if "fakes" not in state.scratch:
            noise = noise_for(batch["input"], state.rng)
            state.scratch["fakes"] = self._generator.translator(batch["input"], noise)
        fakes: Tensor = state.scratch["fakes"]
        return fakes

    def _judged(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        fakes = self._fakes(batch, state).detach()
        real = self._judge(torch.cat([batch["input"], batch["samples"]], dim=1))
        fake = self._judge(torch.cat([batch["input"], fakes], dim=1))
        state.log("logits/real", real.detach().mean())
        state.log("logits/fake", fake.detach().mean())
        return {"adversarial": self._loss.discriminator(real.flatten(), fake.flatten())}

    def _translated(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        fakes = self._fakes(batch, state)
        logits = self._judge(torch.cat([batch["input"], fakes], dim=1))
        difference = (fakes.float() - batch["samples"]).abs().mean()
        return {
            "adversarial": self._loss.generator(logits.flatten()),
            "l1": self._config.l1 * difference,
        }

    def _measured(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        fakes = self._generator.translator(batch["input"], noise_for(batch["input"], state.rng))
        return {"loss": (fakes.float() - batch["samples"]).abs().mean()}


def translated_shapes(
    recipe: str, context: RecipeContext
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of what is translated and of what is made, checked.

    Raises:
        ConfigError: there is no column ``input``, or the sides do not fit.
    """
    source = context.column("input", recipe)
    before, after = source.sample_shape, context.sample_shape
    whole = 2 ** max(len(context.model.multipliers) - 1, context.model.judge_layers)
    if len(before) != 3 or before[1:] != after[1:] or after[1] % whole:
        raise ConfigError(
            f"{recipe} with {len(context.model.multipliers)} model.multipliers and "
            f"model.judge_layers={context.model.judge_layers} translates images of one size, whose "
            f"side is divisible by {whole}, and these have the shapes {before} and {after}. Set "
            "dataset.options.size."
        )
    return before, after


def build(context: RecipeContext) -> TranslationTrainer:
    """Make the trainer for pairs of images, of any channels."""
    before, after = translated_shapes("image/translate", context)
    generator = PairedTranslator(context.model, before[0], after[0])
    judge = PatchJudge(context.model, before[0] + after[0])
    return TranslationTrainer(generator, judge, context.trainer)
