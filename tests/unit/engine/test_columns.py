"""Data of several columns: each in its own form, paired by rows or with an order of its own."""

import pytest
import torch
from torch import Tensor, nn

from aigc_core import (
    Column,
    Condition,
    ConfigError,
    DataError,
    Engine,
    EngineConfig,
    Generator,
    OptimizerConfig,
    Phase,
    RecipeContext,
    SampleSpec,
    SampleStore,
    Trainer,
)
from aigc_core.engine.data import ResidentData

CPU = torch.device("cpu")
ONE = SampleSpec(shape=(1,), dtype="float32")


class Copier(Generator):
    """Gives back its condition."""

    sample_chunk = 4

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    @property
    def conditions(self):
        return {"source": Condition("source", required=True)}

    def sample(self, count, *, rng, conditions, controls):
        self.seen.append(conditions["source"])
        return conditions["source"] * self.scale


class Watcher(Trainer):
    def __init__(self) -> None:
        self.network = Copier()
        self.batches: list[dict[str, Tensor]] = []

    def networks(self):
        return {"generator": self.network}

    def generator(self):
        return self.network

    def phases(self):
        return [Phase("watch", ("generator",), self._loss, OptimizerConfig())]

    def _loss(self, batch, state):
        self.batches.append(dict(batch))
        return self.network.scale.square()

    def validation(self):
        return lambda batch, state: {"loss": batch["source"].mean()}


def engine(arrays: dict[str, Tensor], streams=None, **settings) -> tuple[Engine, Watcher]:
    trainer = Watcher()
    config = EngineConfig(steps=6, batch_size=5, device="cpu", ema=None, **settings)
    transform = {"samples": lambda x: x * 10, "source": lambda x: x + 0.5}
    return Engine(trainer, arrays, config, transform=transform, streams=streams), trainer


def test_each_column_is_mapped_by_its_own_function_and_rows_stay_together() -> None:
    numbers = torch.arange(20.0)[:, None]
    running, trainer = engine({"samples": numbers, "source": numbers * 2, "labels": numbers[:, 0]})
    running.fit()
    for batch in trainer.batches:
        torch.testing.assert_close(batch["samples"], batch["labels"][:, None] * 10)
        torch.testing.assert_close(batch["source"], batch["labels"][:, None] * 2 + 0.5)
    seen = torch.cat([batch["labels"] for batch in trainer.batches[:4]])
    assert seen.sort().values.tolist() == list(range(20))


def test_a_column_that_is_not_paired_has_its_own_length_and_order() -> None:
    samples, source = torch.arange(10.0)[:, None], torch.arange(15.0)[:, None]
    running, trainer = engine({"samples": samples, "source": source}, {"source": "other"})
    running.fit()
    first = torch.cat([batch["samples"][:, 0] / 10 for batch in trainer.batches])
    other = torch.cat([batch["source"][:, 0] - 0.5 for batch in trainer.batches])
    assert first[:10].sort().values.tolist() == list(range(10))
    assert other[:15].sort().values.tolist() == list(range(15))
    assert first[:10].tolist() != other[:10].tolist()


def test_the_order_of_samples_is_the_same_with_further_columns_as_without() -> None:
    numbers = torch.arange(20.0)[:, None]
    both = [engine({"samples": numbers, "source": numbers}), engine({"samples": numbers})]
    for running, trainer in both[:1]:
        running.fit()
        found = torch.cat([batch["samples"] for batch in trainer.batches])
    running, trainer = both[1]
    trainer.phases = lambda: [Phase("w", ("generator",), trainer._loss, OptimizerConfig())]
    running.fit()
    assert torch.equal(found, torch.cat([batch["samples"] for batch in trainer.batches]))


def test_what_is_drawn_while_training_is_given_rows_of_the_held_out_data() -> None:
    numbers = torch.arange(20.0)[:, None]
    held_out = {"samples": numbers + 100, "source": numbers + 100}
    trainer = Watcher()
    config = EngineConfig(steps=2, batch_size=5, device="cpu", ema=None)
    running = Engine(trainer, {"samples": numbers, "source": numbers}, config, validation=held_out)
    drawn = running.sample(6, seed=0)
    assert drawn.shape == (6, 1)
    assert drawn.min() >= 100
    assert torch.equal(drawn, running.sample(6, seed=0))
    assert not torch.equal(drawn, running.sample(6, seed=1))


@pytest.mark.parametrize(
    ("arrays", "streams"),
    [
        ({"samples": torch.zeros(4, 1), "source": torch.zeros(3, 1)}, None),
        ({"samples": torch.zeros(4, 1), "source": torch.zeros(0, 1)}, {"source": "other"}),
        ({"source": torch.zeros(4, 1)}, None),
    ],
)
def test_lengths_that_do_not_fit_are_refused(arrays, streams) -> None:
    with pytest.raises(DataError, match="equal first dimensions of at least 1"):
        ResidentData(arrays, CPU, streams=streams)


def store(**arrays: Tensor) -> SampleStore:
    columns = {
        "source": Column(modality="image", spec=ONE),
        "other": Column(modality="image", spec=ONE, stream="other"),
    }
    return SampleStore(
        {"samples": torch.zeros(4, 1), **arrays},
        ONE,
        columns={name: columns[name] for name in arrays if name in columns},
    )


def test_a_store_names_what_every_array_is() -> None:
    found = store(source=torch.zeros(4, 1), other=torch.zeros(7, 1))
    assert found.streams == {"other": "other"}
    assert len(found) == 4


@pytest.mark.parametrize(
    ("arrays", "reported"),
    [
        ({"mask": torch.zeros(4, 1)}, "a column for every array"),
        ({"source": torch.zeros(5, 1)}, "arrays of one stream need one length"),
        ({"source": torch.zeros(4, 2)}, r"source have the shape \(2,\)"),
    ],
)
def test_a_store_that_contradicts_itself_is_refused(arrays, reported: str) -> None:
    with pytest.raises(ValueError, match=reported):
        store(**arrays)


def test_a_recipe_that_needs_a_column_says_why_and_what_there_is() -> None:
    context = RecipeContext(None, None, (1,), ONE, 3)
    with pytest.raises(ConfigError) as raised:
        context.column("text", "model.condition=text")
    assert str(raised.value) == (
        "model.condition=text needs a column 'text', and this dataset has: samples, labels."
    )
