"""One flow of several columns: any of them from any others, or all of them together.

Each column has a time of its own, as in Bao et al. 2023, "One Transformer Fits All Distributions in
Multi-Modal Diffusion at Scale" (UniDiffuser): at 1 it is given, at 0 it is noise and says nothing.
So one network knows the columns' joint distribution, every marginal and every conditional one. It
is trained at those combinations of times alone at which it is asked when samples are drawn.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from aigc_core import (
    Batch,
    Condition,
    ConfigModel,
    Generator,
    Modality,
    Phase,
    RecipeContext,
    Representation,
    StepState,
    Trainer,
)
from aigc_core.errors import ConfigError
from aigc_core.networks import (
    Bits,
    Block,
    SetNetwork,
    TimeEmbedding,
    UNet,
    folded,
    initialize_transformer,
    unfolded,
)
from aigc_core.solvers import solve
from aigc_joint.config import JointControls, JointNetworkConfig, JointTrainingConfig


class AsItIs(Representation):
    """Samples in the model's form, with channels first; a vector gets a side of 1."""

    def __init__(self, shape: Sequence[int], bounds: tuple[float, float] | None = None) -> None:
        """Take a sample's shape, and between what its values are."""
        super().__init__()
        self.bounds = bounds
        self.sample_shape = tuple(shape)
        self.shape = (*shape, 1) if len(shape) == 1 else tuple(shape)

    def forward(self, samples: Tensor) -> Tensor:
        return samples.float().view(-1, *self.shape)

    def restore(self, represented: Tensor) -> Tensor:
        samples = represented.reshape(-1, *self.sample_shape)
        return samples if self.bounds is None else samples.clamp(*self.bounds)


def representation_of(modality: Modality) -> Representation:
    """Return the form that a column's values have in the flow.

    Raises:
        ConfigError: they have more than three sides.
    """
    shape = modality.sample_shape
    found = modality.representation()
    if found is None and modality.vocabulary_size is not None:
        found = Bits(modality.vocabulary_size, shape)
    found = found or AsItIs(shape, modality.sample_range)
    if len(found.shape) > 4:
        raise ConfigError(
            f"joint/flow takes values of at most three sides, and some have the shape {shape}."
        )
    return found


class Plan(NamedTuple):
    """How a column's U-Net is built."""

    patch: int
    levels: int

    @classmethod
    def of(cls, sides: Sequence[int], grid: int, places: int) -> "Plan":
        """Choose patches for at most ``grid`` places and levels for ``places``, if that can be."""

        def after(factor: int) -> int:
            return math.prod(side // factor for side in sides)

        def divides(factor: int) -> bool:
            return all(side % factor == 0 for side in sides)

        patch = 1
        while after(patch) > grid and divides(2 * patch):
            patch *= 2
        levels = 1
        while after(patch * 2 ** (levels - 1)) > places and divides(patch * 2**levels):
            levels += 1
        return cls(patch, levels)


class ColumnNetwork(nn.Module, ABC):
    """A column's own network, in two halves, between which it is tokens for the transformer.

    What passes between the halves is normalised: values that have grown there would drown what the
    transformer adds, and be all that the transformer sees.
    """

    def connect(self, width: int, tokens: int, trunk: int) -> None:
        """Make the layers between tokens of this width and the transformer's."""
        self.norm = nn.LayerNorm(width)
        self.to_tokens = nn.Linear(width, trunk)
        self.to_summary = nn.Linear(width, trunk)
        self.from_tokens = nn.Linear(trunk, width)
        self.positions = nn.Parameter(torch.randn(tokens, trunk) * 0.02)

    def tokens(self, small: Tensor, vector: Tensor) -> Tensor:
        """Return what the transformer sees: ``(B, T, W)`` to ``(B, T, trunk)``."""
        found: Tensor = self.to_tokens(small) + self.positions + vector[:, None]
        return found

    def summary(self, small: Tensor, vector: Tensor) -> Tensor:
        """Return one vector of the column, for the others: ``(B, T, W)`` to ``(B, trunk)``."""
        found: Tensor = self.to_summary(small.mean(1)) + vector
        return found

    @abstractmethod
    def encode(self, x: Tensor, vector: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the first half's output, normalised, ``(B, T, W)``, and what ``decode`` needs."""

    @abstractmethod
    def decode(self, small: Tensor, kept: list[Tensor], vector: Tensor) -> Tensor:
        """Return the velocity, of the column's own shape; ``small`` is ``(B, T, W)``."""


class GridNetwork(ColumnNetwork):
    """A U-Net, whose smallest level becomes tokens."""

    def __init__(self, config: JointNetworkConfig, shape: Sequence[int]) -> None:
        super().__init__()
        channels, *sides = shape
        plan = Plan.of(sides, config.grid, config.places)
        self.patch = plan.patch
        widths = [config.width * min(2**level, 4) for level in range(plan.levels)]
        smallest = [side // (plan.patch * 2 ** (plan.levels - 1)) for side in sides]
        self.smallest = (widths[-1], *smallest)
        values = channels * plan.patch ** len(sides)
        self.unet = UNet(
            len(sides),
            values,
            values,
            widths=widths,
            blocks=config.blocks,
            embedding_size=config.trunk,
        )
        self.connect(widths[-1], math.prod(smallest), config.trunk)

    def encode(self, x: Tensor, vector: Tensor) -> tuple[Tensor, list[Tensor]]:
        small, kept = self.unet.encode(folded(x, self.patch), vector)
        return self.norm(small.flatten(2).transpose(1, 2)), kept  # (B, W, *S) -> (B, T, W)

    def decode(self, small: Tensor, kept: list[Tensor], vector: Tensor) -> Tensor:
        places = small.transpose(1, 2).reshape(-1, *self.smallest)  # (B, T, W) -> (B, W, *S)
        return unfolded(self.unet.decode(places, kept, vector), self.patch)


class MembersNetwork(ColumnNetwork):
    """A network for sets, whose tokens the transformer sees."""

    def __init__(self, config: JointNetworkConfig, shape: Sequence[int]) -> None:
        super().__init__()
        channels, members = shape
        width = 4 * math.ceil(config.width / 2)  # divisible by 4
        tokens = min(config.places, members)
        self.network = SetNetwork(
            channels,
            channels,
            width=width,
            layers=2 * config.blocks,
            tokens=tokens,
            embedding_size=config.trunk,
        )
        self.connect(width, tokens, config.trunk)

    def encode(self, x: Tensor, vector: Tensor) -> tuple[Tensor, list[Tensor]]:
        small, members = self.network.encode(x.transpose(1, 2), vector)  # (B, C, N) -> (B, N, C)
        return self.norm(small), [members]

    def decode(self, small: Tensor, kept: list[Tensor], vector: Tensor) -> Tensor:
        (members,) = kept
        return self.network.decode(small, members, vector).transpose(1, 2)


class JointFlow(Generator):
    """Several columns, each mixed with noise for a time of its own, to their velocities."""

    sample_chunk: ClassVar[int] = 16
    controls: ClassVar[type[ConfigModel]] = JointControls

    def __init__(
        self, config: JointNetworkConfig, representations: Mapping[str, Representation]
    ) -> None:
        super().__init__()
        self.outputs = tuple(representations)
        self.representations = nn.ModuleDict(dict(representations))
        networks: dict[str, nn.Module] = {}
        for name, found in representations.items():
            kind = GridNetwork if found.ordered else MembersNetwork
            networks[name] = kind(config, found.shape)
        self.columns = nn.ModuleDict(networks)
        self.times = nn.ModuleDict({name: TimeEmbedding(config.trunk) for name in representations})
        self.blocks = nn.Sequential(
            *(Block(config.trunk, 4, causal=False) for _ in range(config.layers))
        )
        self.norm = nn.LayerNorm(config.trunk)
        # What a column is about goes to the others directly, past the transformer: through it, a
        # column of few tokens had no influence yet after 900 steps.
        self.summary = nn.Sequential(
            nn.Linear(len(self.outputs) * config.trunk, config.trunk),
            nn.SiLU(),
            nn.Linear(config.trunk, config.trunk),
        )
        initialize_transformer(self.blocks)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """Every column; none is needed."""
        return {name: Condition(name, continued=False) for name in self.outputs}

    def shape_of(self, name: str) -> tuple[int, ...]:
        """Return the shape of one of a column's values, in the flow."""
        return cast(Representation, self.representations[name]).shape

    def represent(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map columns in the model's form to that of the flow."""
        return {n: self.representations[n](v) for n, v in batch.items() if n in self.outputs}

    def forward(
        self, mixed: Mapping[str, Tensor], times: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the velocity of each column.

        Args:
            mixed: all columns, ``(B, C, *S)`` each.
            times: of each, float32 ``(B,)`` in [0, 1].
        """
        columns = {name: cast(ColumnNetwork, self.columns[name]) for name in self.outputs}
        vectors = {name: self.times[name](times[name]) for name in self.outputs}
        halves = {n: column.encode(mixed[n], vectors[n]) for n, column in columns.items()}
        tokens = [column.tokens(halves[n][0], vectors[n]) for n, column in columns.items()]
        seen = self.norm(self.blocks(torch.cat(tokens, dim=1)))  # (B, all T, trunk)
        parts = torch.split(seen, [part.shape[1] for part in tokens], dim=1)
        summaries = [column.summary(halves[n][0], vectors[n]) for n, column in columns.items()]
        summary = self.summary(torch.cat(summaries, dim=1))  # (B, columns · trunk) -> (B, trunk)
        velocities = {}
        for (name, column), part in zip(columns.items(), parts, strict=True):
            small, kept = halves[name]
            small = small + column.from_tokens(part)
            velocities[name] = column.decode(small, kept, vectors[name] + summary)
        return velocities

    def sample(
        self,
        count: int,
        *,
        rng: torch.Generator,
        conditions: Mapping[str, Tensor],
        controls: ConfigModel,
    ) -> Mapping[str, Tensor]:
        """Draw the columns that are not given, all together, from noise."""
        controls = cast(JointControls, controls)
        given = self.represent(conditions)
        free = [name for name in self.outputs if name not in given]
        noise = {
            name: torch.randn((count, *self.shape_of(name)), generator=rng, device=rng.device)
            for name in self.outputs  # of those that are given, too: what hides them
        }
        sizes = [math.prod(self.shape_of(name)) for name in free]

        def packed(columns: Mapping[str, Tensor]) -> Tensor:
            return torch.cat([columns[name].flatten(1) for name in free], dim=1)

        def unpacked(x: Tensor) -> dict[str, Tensor]:
            parts = torch.split(x, sizes, dim=1)
            shapes = {name: (count, *self.shape_of(name)) for name in free}
            return {n: part.reshape(shapes[n]) for n, part in zip(free, parts, strict=True)}

        def velocity(x: Tensor, time: float) -> Tensor:
            now = unpacked(x)
            views = [[*free, *given]]  # of each pass: which columns are not hidden
            if controls.guidance != 1 and len(self.outputs) > 1:
                views += [[name] for name in free]
            passes = [self._seen(now, given, noise, time, view) for view in views]
            mixed = {n: torch.cat([columns[n] for columns, _ in passes]) for n in self.outputs}
            times = {n: torch.cat([moments[n] for _, moments in passes]) for n in self.outputs}
            found = {n: v.float().chunk(len(views)) for n, v in self(mixed, times).items()}
            seeing = packed({name: found[name][0] for name in free})
            if len(views) == 1:
                return seeing
            alone = packed({name: found[name][place] for place, name in enumerate(free, 1)})
            return alone + controls.guidance * (seeing - alone)

        drawn = dict(given)
        if free:
            moments = [step / controls.steps for step in range(controls.steps + 1)]
            drawn |= unpacked(solve(velocity, packed(noise), moments, controls.solver))
        return {
            name: conditions[name]
            if name in given
            else cast(Representation, self.representations[name]).restore(drawn[name])
            for name in self.outputs
        }

    def _seen(
        self,
        now: Mapping[str, Tensor],
        given: Mapping[str, Tensor],
        noise: Mapping[str, Tensor],
        time: float,
        view: Sequence[str],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return all columns and their times, those out of ``view`` hidden by noise."""
        columns, times = {}, {}
        for name in self.outputs:
            shown = name in view
            value = given.get(name, now.get(name, noise[name])) if shown else noise[name]
            moment = (1.0 if name in given else time) if shown else 0.0
            columns[name] = value
            times[name] = torch.full((len(value),), moment, device=value.device)
        return columns, times


class JointFlowTrainer(Trainer):
    """Minimises E |velocity - (data - noise)|² of each column that is neither given nor hidden."""

    def __init__(self, generator: JointFlow, config: JointTrainingConfig) -> None:
        self._generator, self._config = generator, config

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._generator}

    def generator(self) -> JointFlow:
        return self._generator

    def phases(self) -> Sequence[Phase]:
        config = self._config
        return [Phase("flow", ("generator",), self._loss, config.optimizer, privacy=config.privacy)]

    def validation(self) -> Callable[[Batch, StepState], Mapping[str, Tensor]]:
        """Measure the errors on held-out data, at the times of training."""
        return self._measured

    def _measured(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        errors = self._errors(batch, state)
        return {"loss": torch.stack(list(errors.values())).sum(), **errors}

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        return self._errors(batch, state)

    def _errors(self, batch: Batch, state: StepState) -> dict[str, Tensor]:
        generator = self._generator
        with torch.no_grad():
            data = generator.represent(batch)
        times, learned = self._times(len(batch["samples"]), state)
        noise = {name: state.randn(*value.shape) for name, value in data.items()}
        mixed = {}
        for name, value in data.items():
            moment = times[name].view(-1, *[1] * (value.dim() - 1))
            mixed[name] = moment * value + (1 - moment) * noise[name]
        velocities = generator(mixed, times)
        # By the expected share, not the batch's: so the means of its parts have the whole's mean
        errors = {}
        for name, value in data.items():
            each = (velocities[name].float() - (value - noise[name])).square().flatten(1).mean(1)
            errors[name] = (each * learned[name]).mean() / self._share
        return errors

    def _times(self, count: int, state: StepState) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Draw each column's times ``(B,)``, and where it is learned.

        As when samples are drawn: some columns are given and the others have one time, or a single
        column has it and the others are hidden.
        """
        config, names = self._config, self._generator.outputs
        common = (config.time_mean + state.randn(count)).sigmoid()
        alone = state.rand(count) < config.alone
        single = (state.rand(count) * len(names)).long()  # which one, where it is alone
        given = state.rand(len(names), count) < config.given
        given = given & ~given.all(0) & ~alone
        times, learned = {}, {}
        for number, name in enumerate(names):
            hidden = alone & (single != number)
            times[name] = torch.where(given[number], 1.0, torch.where(hidden, 0.0, common))
            learned[name] = ~(given[number] | hidden)
        return times, learned

    @property
    def _share(self) -> float:
        """The share of samples of which a column is learned."""
        config, count = self._config, len(self._generator.outputs)
        given = config.given - config.given**count
        return (1 - config.alone) * (1 - given) + config.alone / count


def build(context: RecipeContext) -> JointFlowTrainer:
    """Make the trainer for all columns of the data that have a modality."""
    assert context.modality is not None
    modalities = {"samples": context.modality, **context.columns}
    representations = {name: representation_of(found) for name, found in modalities.items()}
    if context.model.trunk % 4:
        raise ConfigError(f"model.trunk={context.model.trunk} is not divisible by 4.")
    return JointFlowTrainer(JointFlow(context.model, representations), context.trainer)
