"""Translation between two sets of images without pairs: Zhu et al. 2017 ("CycleGAN").

Two translators, two judges; an image that goes there and back should become what it was. Judges see
fakes of earlier steps, too, so that translators cannot go round in circles.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from aigc_core import (
    Batch,
    Condition,
    ConfigError,
    ConfigModel,
    Generator,
    Phase,
    RecipeContext,
    StepState,
    Trainer,
)
from aigc_core.losses import adversarial_loss
from aigc_image.translate import PatchJudge, Translator, noise_for, translated_shapes
from aigc_image.translate_config import CycleConfig, CycleControls, TranslatorConfig


class CycleTranslator(Generator):
    """Two translators: of the column ``input`` to ``samples``, and back."""

    controls: ClassVar[type[ConfigModel]] = CycleControls

    def __init__(self, config: TranslatorConfig, channels: int) -> None:
        super().__init__()
        self.forward_translator = Translator(config, channels, channels)
        self.backward_translator = Translator(config, channels, channels)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """The image to translate, in either direction."""
        return {"input": Condition("input", required=True)}

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor],
        controls: ConfigModel,
    ) -> Tensor:
        backward = cast(CycleControls, controls).direction == "backward"
        translator = self.backward_translator if backward else self.forward_translator
        images: Tensor = translator(conditions["input"], noise_for(conditions["input"], rng))
        return images


class History(nn.Module):
    """Fakes of earlier steps: Shrivastava et al. 2017, "Learning from Simulated and Unsupervised
    Images through Adversarial Training", section 2.3.
    """

    images: Tensor
    count: Tensor

    def __init__(self, size: int, shape: Sequence[int]) -> None:
        """Remember ``size`` images of a shape."""
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def exchange(self, fakes: Tensor, state: StepState) -> Tensor:
        """Return fakes ``(B, *shape)``, about half of them exchanged for remembered ones.

        B is at most the history's size; until that is full, fakes are only remembered.
        """
        fakes = fakes.to(self.images.dtype)
        size, count = len(self.images), len(fakes)
        full = self.count >= size
        in_turn = (self.count + torch.arange(count, device=fakes.device)) % size
        slots = torch.where(full, state.rand(size).argsort()[:count], in_turn)  # all different
        older = self.images[slots]
        exchanged = (full & (state.rand(count) < 0.5)).view(-1, 1, 1, 1)
        self.images.index_copy_(0, slots, torch.where(exchanged | ~full, fakes, older))
        self.count.add_(count)
        return torch.where(exchanged, older, fakes)


class CycleTrainer(Trainer):
    """Adversarial games in both directions, cycles, and identities."""

    def __init__(
        self,
        generator: CycleTranslator,
        judges: Mapping[str, PatchJudge],
        histories: Mapping[str, History],
        config: CycleConfig,
    ) -> None:
        """Take a judge of each column; without histories, they see the step's own fakes."""
        self._generator, self._judges, self._config = generator, dict(judges), config
        self._histories = nn.ModuleDict(dict(histories))
        self._loss = adversarial_loss(config.loss)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator, **self._judges}

    def generator(self) -> CycleTranslator:
        return self._generator

    def state(self) -> nn.Module:
        """Return the histories of fakes."""
        return self._histories

    def phases(self) -> Sequence[Phase]:
        config = self._config
        return [
            Phase("discriminators", tuple(self._judges), self._judged, config.discriminator),
            Phase("generators", ("generator",), self._translated, config.generator),
        ]

    def _fakes(self, batch: Batch, state: StepState) -> tuple[Tensor, Tensor]:
        """Translate the batch both ways, once for both phases."""
        if "fakes" not in state.scratch:
            there = self._go(batch["input"], state, backward=False)
            state.scratch["fakes"] = there, self._go(batch["samples"], state, backward=True)
        fakes: tuple[Tensor, Tensor] = state.scratch["fakes"]
        return fakes

    def _go(self, images: Tensor, state: StepState, *, backward: bool) -> Tensor:
        generator = self._generator
        translator = generator.backward_translator if backward else generator.forward_translator
        found: Tensor = translator(images, noise_for(images, state.rng))
        return found

    def _judged(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        there, back = self._fakes(batch, state)
        terms = {}
        made = {"samples": there, "input": back}
        for name, fake in made.items():
            judge = self._judges[f"judge_of_{name}"]
            shown = fake.detach()
            if name in self._histories:
                shown = cast(History, self._histories[name]).exchange(shown, state)
            logits = judge(batch[name]).flatten(), judge(shown).flatten()
            state.log(f"logits/{name}/real", logits[0].detach().mean())
            state.log(f"logits/{name}/fake", logits[1].detach().mean())
            terms[name] = 0.5 * self._loss.discriminator(*logits)
        return terms

    def _translated(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        config, (there, back) = self._config, self._fakes(batch, state)
        fooled = [
            self._loss.generator(self._judges["judge_of_samples"](there).flatten()),
            self._loss.generator(self._judges["judge_of_input"](back).flatten()),
        ]
        terms = {"adversarial": fooled[0] + fooled[1]}
        if config.cycle:
            around = self._go(there, state, backward=True), batch["input"]
            other_way = self._go(back, state, backward=False), batch["samples"]
            terms["cycle"] = config.cycle * (_difference(around) + _difference(other_way))
        if config.identity:
            kept = self._go(batch["samples"], state, backward=False), batch["samples"]
            kept_back = self._go(batch["input"], state, backward=True), batch["input"]
            terms["identity"] = config.identity * (_difference(kept) + _difference(kept_back))
        return terms


def _difference(pair: tuple[Tensor, Tensor]) -> Tensor:
    return (pair[0].float() - pair[1]).abs().mean()


def build(context: RecipeContext) -> CycleTrainer:
    """Make the trainer for two sets of images of one size and number of channels."""
    before, after = translated_shapes("image/cyclegan", context)
    if before[0] != after[0]:
        raise ConfigError(
            "image/cyclegan translates in both directions, so both sets of images need the same "
            f"number of channels, and they have {before[0]} (input) and {after[0]} (samples). Use "
            "a dataset in which they are alike, such as unpaired-folder."
        )
    generator = CycleTranslator(context.model, before[0])
    judges = {
        "judge_of_samples": PatchJudge(context.model, after[0]),
        "judge_of_input": PatchJudge(context.model, before[0]),
    }
    histories = {}
    if context.trainer.history:
        size = max(context.trainer.history, context.run.batch_size)
        histories = {"samples": History(size, after), "input": History(size, before)}
    return CycleTrainer(generator, judges, histories, context.trainer)
