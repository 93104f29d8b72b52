"""Flow matching: a network learns the velocity that carries noise to data.

Lipman et al. 2023, "Flow Matching for Generative Modeling"; Liu et al. 2023, "Flow Straight and
Fast". At time t in [0, 1] a sample x and noise ε are mixed to x_t = α(t) x + σ(t) ε, with only
noise at 0 and only data at 1. The velocity of that path is α'(t) x + σ'(t) ε. What the network
learns is its mean, given x_t, and following that mean from noise gives samples of the data.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from aigc_core.errors import ConfigError
from aigc_core.interfaces.config import ConfigModel
from aigc_core.interfaces.generator import Generator
from aigc_core.interfaces.trainer import Batch, Phase, StepState, Trainer
from aigc_core.solvers import solve
from aigc_core.trainers.config import FlowConfig, FlowControls


class Mixture(NamedTuple):
    """A path at some times: how much is data and how much noise, and how both change."""

    data: Tensor
    noise: Tensor
    data_change: Tensor
    noise_change: Tensor


def mixture(path: str, times: Tensor) -> Mixture:
    """Return α, σ, α' and σ' at ``times`` of any shape.

    ``linear``: t and 1 - t. ``cosine``: sin(πt/2) and cos(πt/2), whose squares add up to 1; it is
    the variance-preserving diffusion of Nichol & Dhariwal 2021 with their cosine schedule.
    """
    if path == "linear":
        one = torch.ones_like(times)
        return Mixture(times, 1 - times, one, -one)
    angles = times * (math.pi / 2)
    sine, cosine = angles.sin(), angles.cos()
    return Mixture(sine, cosine, cosine * (math.pi / 2), sine * (-math.pi / 2))


class FlowGenerator(Generator):
    """A network that says at a time where a mixture of noise and data moves to.

    Subclasses set ``noise_shape`` and implement ``forward``. One that has other optional conditions
    than a class also implements ``nothing``. One that works in another form than the model's, such
    as on spectrograms of waveforms, implements ``represent`` and ``restore``.
    """

    sample_chunk: ClassVar[int] = 64
    controls: ClassVar[type[ConfigModel]] = FlowControls
    noise_shape: tuple[int, ...]
    """Shape of one sample, as represented."""
    path: str = "linear"
    prediction: str = "velocity"

    @abstractmethod
    def forward(self, mixed: Tensor, times: Tensor, conditions: Mapping[str, Tensor]) -> Tensor:
        """Predict the velocity, or the data, as the trainer's ``prediction`` says.

        Args:
            mixed: ``(B, *noise_shape)``, noise and data.
            times: float32 ``(B,)`` in [0, 1].
            conditions: all of them, each ``(B, ...)``; what is not given is ``nothing``. Classes
                are int64 in [0, label_count], and the last stands for none.

        Returns:
            ``(B, *noise_shape)``.
        """

    def represent(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to the form of ``noise_shape``; here the same."""
        return samples

    def restore(self, represented: Tensor) -> Tensor:
        """Map what ``represent`` gives back to samples; here the same."""
        return represented

    def drawn_shape(self, controls: ConfigModel) -> tuple[int, ...]:
        """Return the shape of one sample to draw, as represented; here ``noise_shape``."""
        return self.noise_shape

    def nothing(self, name: str, count: int, device: torch.device) -> Tensor:
        """Return what a condition is where it is not given, ``(count, ...)``."""
        if name == "label":
            return torch.full((count,), self.label_count, device=device)
        raise NotImplementedError(f"{type(self).__name__}.nothing does not know '{name}'")

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor] | None = None,
        controls: ConfigModel | None = None,
    ) -> Tensor:
        """Follow the flow from noise; see ``FlowControls``.

        Raises:
            ConfigError: guidance, and nothing to be guided by.
        """
        controls = cast(FlowControls, FlowControls() if controls is None else controls)
        optional = [name for name, found in self.conditions.items() if not found.required]
        if controls.guidance != 1 and not optional:
            raise ConfigError(
                f"guidance={controls.guidance:g} needs a model with optional conditions, such as "
                "classes. Train one with them, if the recipe has a setting for that."
            )
        given = dict(conditions or {})
        nothing = {name: self.nothing(name, count, rng.device) for name in optional}
        given = {**nothing, **given}
        shape = (count, *self.drawn_shape(controls))
        noise = torch.randn(shape, generator=rng, device=rng.device)

        def velocity(x: Tensor, time: float) -> Tensor:
            times = torch.full((count,), time, device=x.device)
            if controls.guidance == 1:
                return self._velocity(x, times, self(x, times, given))
            twice = {
                name: torch.cat([nothing.get(name, value), value]) for name, value in given.items()
            }
            both = self(torch.cat([x, x]), torch.cat([times, times]), twice)
            without, with_them = both.chunk(2)
            guided = without + controls.guidance * (with_them - without)
            return self._velocity(x, times, guided)

        times = [step / controls.steps for step in range(controls.steps + 1)]
        return self.restore(solve(velocity, noise, times, controls.solver))

    def _velocity(self, x: Tensor, times: Tensor, predicted: Tensor) -> Tensor:
        """Return the velocity at x ``(B, *noise_shape)`` of what the network predicted."""
        predicted = predicted.float()
        if self.prediction == "velocity":
            return predicted
        parts = mixture(self.path, _like(times, x))
        noise = (x - parts.data * predicted) / parts.noise
        return parts.data_change * predicted + parts.noise_change * noise


class FlowTrainer(Trainer):
    """Minimises E |prediction - target|², the target being the velocity or the data."""

    def __init__(self, generator: FlowGenerator, config: FlowConfig) -> None:
        """Take the network, and let it draw along the path that it learns."""
        generator.path, generator.prediction = config.path, config.prediction
        self._generator = generator
        self._config = config

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator}

    def generator(self) -> FlowGenerator:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        config = self._config
        return [Phase("flow", ("generator",), self._loss, config.optimizer, privacy=config.privacy)]

    def validation(self) -> Callable[[Batch, StepState], Mapping[str, Tensor]]:
        return self._validate

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        return {"squared_error": self._squared_error(batch, state, hiding=True)}

    def _validate(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        return {"loss": self._squared_error(batch, state, hiding=False)}

    def dropout(self, condition: str) -> float:
        """Return the share of samples for which an optional condition, by its name, is hidden.

        It is drawn for each condition by itself, so that all subsets of them are learned.
        """
        return self._config.condition_dropout

    def _squared_error(self, batch: Batch, state: StepState, *, hiding: bool) -> Tensor:
        generator = self._generator
        with torch.no_grad():
            data = generator.represent(batch["samples"])
        count = len(data)
        if self._config.time == "uniform":
            times = state.rand(count)
        else:
            times = state.randn(count).sigmoid()
        noise = state.randn(*data.shape)
        parts = mixture(self._config.path, _like(times, data))
        mixed = parts.data * data + parts.noise * noise
        predicted = generator(mixed, times, self._conditions(batch, state, hiding)).float()
        if self._config.prediction == "data":
            target = data
        else:
            target = parts.data_change * data + parts.noise_change * noise
        error: Tensor = (predicted - target).square().mean()
        return error

    def _conditions(self, batch: Batch, state: StepState, hiding: bool) -> dict[str, Tensor]:
        """Return a batch's conditions; of those that are optional, some are hidden."""
        generator, count = self._generator, len(batch["samples"])
        found = {}
        for name, condition in generator.conditions.items():
            value = batch[condition.column]
            hidden = 0.0 if condition.required or not hiding else self.dropout(name)
            if hidden:
                keep = state.rand(count) >= hidden
                nothing = generator.nothing(name, count, value.device)
                value = torch.where(_like(keep, value), value, nothing)
            found[name] = value
        return found


def _like(values: Tensor, other: Tensor) -> Tensor:
    """Return ``(B,)`` values with as many dimensions as ``other``."""
    return values.view(-1, *[1] * (other.dim() - 1))
