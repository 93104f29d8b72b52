"""What a program may give an engine, and what it is answered instead of an AttributeError."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset
from toys import ToyDiscriminator, ToyGenerator, toy_data, toy_trainer

from aigc_core import (
    Engine,
    EngineConfig,
    EngineObserver,
    OptimizerConfig,
    Phase,
    StopTraining,
    Trainer,
)
from aigc_core.engine import as_arrays
from aigc_core.errors import AigcError, ConfigError, DataError, TrainingError

CONFIG = EngineConfig(steps=4, batch_size=8, device="cpu", precision="fp32", log_every=1)


class Pairs(Dataset):
    """A sample and its label, as torchvision's datasets give them."""

    def __init__(self, samples: torch.Tensor, form: str = "pair") -> None:
        self.samples, self.form = samples, form

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> object:
        sample = self.samples[index]
        if self.form == "mapping":
            return {"samples": sample, "labels": index % 3}
        return (sample, index % 3) if self.form == "pair" else sample.numpy()


class Endless(IterableDataset):
    def __iter__(self):
        yield torch.zeros(1)


def weights_after(data: object) -> torch.Tensor:
    engine = Engine(toy_trainer(), data, CONFIG)
    engine.fit()
    return torch.cat([value.flatten().double() for value in engine.state().weights.values()])


@pytest.mark.parametrize(
    "make",
    [
        lambda x: {"samples": x},
        lambda x: {"samples": x.numpy()},
        lambda x: x,
        lambda x: x.numpy(),
        lambda x: TensorDataset(x),
        lambda x: TensorDataset(x, torch.arange(len(x))),
        lambda x: Pairs(x, "pair"),
        lambda x: Pairs(x, "mapping"),
        lambda x: Pairs(x, "sample"),
    ],
)
def test_data_of_every_kind_trains_to_the_same_weights(make) -> None:
    data = toy_data(40)
    assert torch.equal(weights_after(make(data)), weights_after({"samples": data}))


def test_labels_of_a_dataset_are_kept() -> None:
    arrays = as_arrays(Pairs(toy_data(5)))
    assert arrays["labels"].tolist() == [0, 1, 2, 0, 1]
    assert arrays["labels"].dtype == torch.int64


class Uneven(Pairs):
    def __getitem__(self, index: int) -> object:
        return self.samples[index][:, : 8 - index % 2]


class Words(Pairs):
    def __getitem__(self, index: int) -> object:
        return "a word"


class Failing(Pairs):
    def __getitem__(self, index: int) -> object:
        raise OSError("no such file")


@pytest.mark.parametrize(
    ("make", "reported"),
    [
        (lambda x: DataLoader(TensorDataset(x)), "Give it the loader's dataset"),
        (lambda x: Endless(), "an IterableDataset has no numbers"),
        (lambda x: [1, 2], "cannot take a list as its data"),
        (lambda x: {"samples": [1, 2]}, "'samples' should be a tensor or a NumPy array"),
        (lambda x: {"samples": np.array(["a"])}, "which torch lacks"),
        (lambda x: Uneven(x), "Item 1 of the dataset Uneven: 'samples' is of the shape"),
        (lambda x: Words(x), "'samples' is a str, not a tensor"),
        (lambda x: Failing(x), "Item 0 of the dataset Failing: OSError: no such file"),
        (lambda x: Pairs(x[:0]), "The dataset Pairs is empty"),
    ],
)
def test_data_that_cannot_be_taken_is_a_sentence(make, reported: str) -> None:
    with pytest.raises(DataError, match=reported):
        Engine(toy_trainer(), make(toy_data(4)), CONFIG)


class Plain(Trainer):
    """A trainer as a beginner writes it."""

    def __init__(self, bare: bool, generator: nn.Module) -> None:
        self.network, self.bare, self.drawn = ToyDiscriminator(), bare, generator

    def networks(self):
        return {"net": self.network, "generator": self.drawn}

    def generator(self):
        return self.drawn

    def phases(self):
        return [Phase("only", ("net",), self.loss, OptimizerConfig())]

    def loss(self, batch, state):
        loss = self.network(batch["samples"]).square().mean()
        return loss if self.bare else {"squares": loss}


def test_a_loss_may_be_a_bare_tensor() -> None:
    found = []
    for bare in (True, False):
        torch.manual_seed(0)
        engine = Engine(Plain(bare, ToyGenerator()), toy_data(), CONFIG)
        engine.fit()
        found.append(engine.state().weights["net.layers.0.weight"])
    assert torch.equal(*found)


def test_a_loss_that_is_neither_is_a_sentence() -> None:
    trainer = Plain(True, ToyGenerator())
    trainer.loss = lambda batch, state: 1.0
    with pytest.raises(ConfigError, match="loss of phase 'only' gave float"):
        Engine(trainer, toy_data(), CONFIG).fit()


def test_a_plain_module_as_the_generator_is_refused_before_it_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"Plain.generator\(\) gave a Linear, which is not an"):
        Engine(Plain(True, nn.Linear(2, 2)), toy_data(), CONFIG)


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        ((nn.Linear(2, 2), toy_data(), CONFIG), "needs a Trainer, and was given a Linear"),
        ((toy_trainer(), toy_data(), {"steps": 3}), "needs an EngineConfig, and was given a dict"),
    ],
)
def test_arguments_of_another_kind_are_refused(arguments, reported: str) -> None:
    with pytest.raises(ConfigError, match=reported):
        Engine(*arguments)


def test_an_observer_of_another_class_is_refused() -> None:
    with pytest.raises(ConfigError, match="EngineObserver, and an object does not"):
        Engine(toy_trainer(), toy_data(), CONFIG, observers=[object()])


@pytest.mark.parametrize(
    ("settings", "reported"),
    [
        (
            {"steps": -1},
            "EngineConfig is not valid: steps=-1: it should be greater than",
        ),
        ({"step": 3}, "EngineConfig has no setting 'step'. Did you mean 'steps'"),
        ({}, "EngineConfig is not valid: give steps or epochs"),
        ({"steps": 3, "device": "gpu"}, "device=gpu: it should be auto, cpu, mps"),
    ],
)
def test_bad_settings_are_a_sentence(settings: dict[str, object], reported: str) -> None:
    with pytest.raises(ConfigError, match=reported):
        EngineConfig(**settings)


class Stops(EngineObserver):
    def __init__(self, when: str) -> None:
        self.when, self.seen = when, []

    def metrics_logged(self, engine, metrics) -> None:
        self.seen.append(engine.step)
        if self.when == "logged" and engine.step == 2:
            raise StopTraining("the loss is low enough")

    def checkpoint_due(self, engine) -> None:
        self.seen.append(f"checkpoint {engine.step}")

    def samples_due(self, engine) -> None:
        if self.when == "samples":
            raise StopTraining("enough")


def test_an_observer_may_stop_a_training_with_a_checkpoint() -> None:
    stops = Stops("logged")
    result = Engine(toy_trainer(), toy_data(), CONFIG, observers=[stops]).fit()
    assert (result.step, result.ending.reason) == (2, "stopped")
    assert result.ending.message == "was stopped at step 2: the loss is low enough"
    assert stops.seen == [1, 2, "checkpoint 2"]


def test_stopping_after_the_log_takes_one_step_more() -> None:
    stops = Stops("samples")
    config = CONFIG.model_copy(update={"sample_every": 1})
    result = Engine(toy_trainer(), toy_data(), config, observers=[stops]).fit()
    assert (result.step, result.ending.reason) == (2, "stopped")
    assert stops.seen[-1] == "checkpoint 2"


class Raises(EngineObserver):
    def __init__(self, error: Exception, required: bool = False) -> None:
        self.error, self.required, self.calls = error, required, 0

    def metrics_logged(self, engine, metrics) -> None:
        self.calls += 1
        raise self.error


def test_an_observer_that_raises_is_switched_off(caplog) -> None:
    raises = Raises(ValueError("a bug"))
    assert Engine(toy_trainer(), toy_data(), CONFIG, observers=[raises]).fit().step == 4
    assert raises.calls == 1
    assert "The observer Raises failed and is switched off: ValueError: a bug" in caplog.text


@pytest.mark.parametrize("required", [False, True])
def test_a_required_observer_and_an_error_with_a_sentence_end_the_training(required: bool) -> None:
    error = OSError("gone") if required else TrainingError("A sentence.")
    with pytest.raises((OSError, AigcError)):
        Engine(toy_trainer(), toy_data(), CONFIG, observers=[Raises(error, required)]).fit()


def test_a_pause_leaves_the_rest_as_it_would_have_been() -> None:
    straight, paused = (Engine(toy_trainer(), toy_data(), CONFIG) for _ in range(2))
    straight.fit()
    assert paused.fit(until_step=1).ending is None
    assert paused.step == 1
    assert paused.fit().ending.reason == "steps"
    for name, value in straight.state().weights.items():
        assert torch.equal(value, paused.state().weights[name])
