"""A batch that is split, by ``accumulate`` or among processes, gets what the whole one would."""

import pytest
import torch
from torch import Tensor, nn
from toys import ToyGenerator

from aigc_core import Engine, EngineConfig, Generator, OptimizerConfig, Phase, StepState, Trainer
from aigc_core.engine.distributed import Processes, check_divides
from aigc_core.engine.guard import Guard
from aigc_core.errors import ConfigError
from aigc_core.networks.quantizer import VectorQuantizer


class Line(Generator):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def sample(self, count: int, *, rng: torch.Generator, conditions, controls) -> Tensor:
        return self.weight.expand(count)[:, None]


class Drawing(Trainer):
    """Remembers what its phases draw."""

    def __init__(self, *, by_itself: bool = False) -> None:
        self.line, self.latent, self.drawn = Line(), ToyGenerator(), []
        self.by_itself = by_itself

    def networks(self):
        return {"generator": self.line}

    def generator(self):
        return self.line

    def phases(self):
        sgd = OptimizerConfig(name="sgd", lr=0.1)
        return [Phase(name, ("generator",), self.loss, sgd, repeats=2) for name in ("a", "b")]

    def loss(self, batch, state: StepState) -> Tensor:
        count = len(batch["samples"])
        if self.by_itself:
            own = torch.rand(2, generator=state.rng)
            self.drawn.append({"own": own, "network's": torch.rand(2)})
            return (batch["samples"] * self.line.weight).mean()
        self.drawn.append(
            {
                "by row": state.randn(count, 2),
                "by column": state.rand(5, count).t(),
                "latents": state.latents(self.latent, count),
                "for all": state.rand(3),
            }
        )
        return (batch["samples"] * self.line.weight).mean()

    def after_step(self, state: StepState) -> None:
        self.last = torch.cat([torch.rand(1, generator=state.rng), torch.rand(1)])


def drawn_by(accumulate: int, *, by_itself: bool = False) -> tuple[list[dict[str, Tensor]], Tensor]:
    trainer = Drawing(by_itself=by_itself)
    config = EngineConfig(steps=2, batch_size=12, accumulate=accumulate, device="cpu")
    Engine(trainer, {"samples": torch.arange(12.0)[:, None]}, config).fit()
    return trainer.drawn, trainer.last


@pytest.mark.parametrize("parts", [2, 3, 12])
@pytest.mark.parametrize("name", ["by row", "latents", "by column"])
def test_the_parts_draws_are_the_rows_of_the_whole_batchs(name, parts) -> None:
    """In every phase, repeat and step, although draws without rows of a batch lie between them."""
    whole, split = drawn_by(1)[0], drawn_by(parts)[0]
    assert len(split) == parts * len(whole) == parts * 8
    for number, expected in enumerate(whole):
        found = [split[number * parts + part][name] for part in range(parts)]
        assert torch.equal(torch.cat(found), expected[name])


def test_what_has_no_rows_is_drawn_alike_for_all_parts() -> None:
    whole, split = drawn_by(1)[0], drawn_by(2)[0]
    for number, expected in enumerate(whole):
        for part in range(2):
            assert torch.equal(split[2 * number + part]["for all"], expected["for all"])


@pytest.mark.parametrize("name", ["own", "network's"])
def test_what_parts_draw_by_themselves_differs(name) -> None:
    found = [draws[name] for draws in drawn_by(3, by_itself=True)[0]]
    assert len({tuple(draw.tolist()) for draw in found}) == len(found) == 24


def test_after_a_step_randomness_does_not_depend_on_the_part_that_came_last() -> None:
    assert torch.equal(drawn_by(2)[1], drawn_by(3)[1])


def test_running_statistics_are_averaged_and_counts_added_up() -> None:
    """As if two processes had seen 1 and 3; other buffers are the first one's."""

    class Counter(nn.Module):
        summed = ("total",)

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", torch.tensor(10.0))
            self.register_buffer("last", torch.tensor(0))
            self.register_buffer("constant", torch.ones(3))

    shares = []
    for first, seen in ((True, 1.0), (False, 3.0)):
        network = nn.ModuleDict({"norm": nn.BatchNorm1d(1, momentum=1.0), "counter": Counter()})
        guard = Guard([network], torch.device("cpu"))
        guard.watching = True
        guard.remember_buffers()
        network["norm"](torch.tensor([[seen], [seen]]))
        network["counter"].total += seen
        network["counter"].last.fill_(int(seen))
        shares.append(guard.shares(first=first, processes=2))
    sums = [a + b for (_, a), (_, b) in zip(*shares, strict=True)]
    mean, variance, total, last = sums  # and not what did not change
    assert (mean.item(), variance.item(), total.item(), last.item()) == (2.0, 0.0, 14.0, 1)


def test_dead_codes_are_revived_by_vectors_of_all_parts() -> None:
    vectors = torch.randn(6, 2, 4)
    rng = torch.Generator()
    whole, split = VectorQuantizer(16, 2), VectorQuantizer(16, 2)
    split.load_state_dict(whole.state_dict())
    whole.observe(vectors, whole.nearest(vectors), rng.manual_seed(1))
    for part, some in enumerate(vectors.chunk(3)):
        split.observe(some, split.nearest(some), rng.manual_seed(1), part=part, all_parts=3)
    assert torch.equal(whole._candidates, split._candidates)
    assert torch.equal(whole._seen, split._seen)


def test_a_process_alone_does_everything_by_itself() -> None:
    alone, tensor = Processes(), torch.ones(2)
    alone.sum([tensor])
    with alone.in_turn():
        found = alone.from_first(lambda: {"a": 1})
    assert (alone.first, alone.size, found) == (True, 1, {"a": 1})
    assert alone.largest([3, 0]) == [3, 0]
    assert torch.equal(tensor, torch.ones(2))


@pytest.mark.parametrize(
    ("accumulate", "processes", "sizes"),
    [(1, 3, "9 or 12"), (2, 4, "8 or 16"), (1, 16, "16")],
)
def test_a_batch_that_cannot_be_shared_names_the_nearest_that_can(
    accumulate, processes, sizes
) -> None:
    config = EngineConfig(steps=1, batch_size=10, accumulate=accumulate)
    with pytest.raises(ConfigError, match=f"engine.batch_size={sizes}."):
        check_divides(config, processes)
