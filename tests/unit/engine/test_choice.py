"""What is measured on is drawn at random: real data comes sorted, or in turns of its classes."""

import pytest
import torch

from aigc_core import ConfigError, Modality, SampleSpec
from aigc_core.config import EngineConfig
from aigc_core.engine.data import ResidentData
from aigc_core.engine.validation import SampleComparison
from aigc_core.evaluation.sliced_wasserstein import SlicedWasserstein, sliced_wasserstein

CPU = torch.device("cpu")


class Plain(Modality):
    formats = ("txt",)

    def to_model(self, stored):
        return stored.float()

    to_stored = save = read = preview = None  # type: ignore[assignment]


Plain.__abstractmethods__ = frozenset()
MODALITY = Plain(SampleSpec(shape=(1,), dtype="float32"))


@pytest.mark.parametrize(
    "classes",
    [torch.arange(1000) // 100, torch.arange(1000) % 10, torch.arange(1000) // 10 % 2],
    ids=["sorted", "in turns of ten", "in turns of blocks"],
)
def test_the_samples_that_are_compared_have_the_classes_of_all(classes) -> None:
    config = EngineConfig(steps=1, validation_metric_samples=100)
    chosen = SampleComparison(
        lambda real, generated: {}, ResidentData({"samples": classes[:, None]}, CPU), CPU, config
    )
    found, whole = classes[chosen._rows].bincount(), classes.bincount()
    assert len(found) == len(whole)
    assert (found / 100 - whole / 1000).abs().max() < 0.15


@pytest.mark.parametrize("order", ["sorted", "in turns"])
def test_the_halves_of_real_samples_are_as_near_as_random_halves_are(order) -> None:
    rng = torch.Generator().manual_seed(0)
    values = torch.randn(400, 3, generator=rng) + 5 * (torch.arange(400) >= 200)[:, None]
    if order == "in turns":
        values = values.view(2, 200, 3).transpose(0, 1).reshape(400, 3)
    found = SlicedWasserstein().compare(values, values, MODALITY)
    assert found["distance"] == 0
    shuffled = values[torch.randperm(400, generator=rng)]
    expected = sliced_wasserstein(shuffled[:200], shuffled[200:])
    assert found["between_real_halves"] < 3 * expected + 0.5
    assert found["between_real_halves"] < sliced_wasserstein(values[:200], values[200:]) or (
        order == "in turns"
    )


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 4"):
        SlicedWasserstein().compare(torch.zeros(3, 1), torch.zeros(3, 1), MODALITY)
