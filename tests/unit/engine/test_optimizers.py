"""Optimisers by the name of their class in PyTorch."""

import pytest
import torch
from torch import nn

from aigc_core import ConfigError, OptimizerConfig, Phase
from aigc_core.engine.optimizers import build_optimizer, update

CPU = torch.device("cpu")


def built(shape: tuple[int, ...] = (3, 2), **settings: object) -> torch.optim.Optimizer:
    phase = Phase("p", ("net",), lambda batch, state: batch["samples"], OptimizerConfig(**settings))
    return build_optimizer(phase, [nn.Parameter(torch.ones(shape))], CPU)


@pytest.mark.parametrize("name", ["RMSprop", "rmsprop", "RMSPROP"])
def test_a_class_is_found_however_its_name_is_written(name: str) -> None:
    assert isinstance(built(name=name), torch.optim.RMSprop)


def test_options_and_set_fields_reach_the_class_and_others_keep_its_own_defaults() -> None:
    optimizer = built(name="NAdam", lr=0.01, betas=(0.8, 0.9), options={"momentum_decay": 0.1})
    assert optimizer.defaults["betas"] == (0.8, 0.9)
    assert optimizer.defaults["momentum_decay"] == 0.1
    assert built(name="RMSprop").defaults["eps"] == 1e-8
    assert built(name="Adadelta").defaults["eps"] == 1e-6


def test_decay_can_be_of_matrices_only() -> None:
    phase = Phase(
        "p",
        ("net",),
        lambda batch, state: batch["samples"],
        OptimizerConfig(name="RMSprop", weight_decay=0.1, decay_matrices_only=True),
    )
    matrix, vector = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    optimizer = build_optimizer(phase, [matrix, vector], CPU)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"name": "RMSpro"}, "Phase 'p': .* no usable optimiser 'RMSpro'.*Did you mean 'RMSprop'"),
        ({"name": "LBFGS"}, "no usable optimiser 'LBFGS'"),
        ({"name": "RMSprop", "betas": (0.5, 0.9)}, "RMSprop has no 'betas'"),
        ({"name": "NAdam", "options": {"momentum_decoy": 1}}, "Did you mean 'momentum_decay'"),
        ({"name": "adam", "options": {"amsgrad": True}}, "'adam' has no further options"),
        ({"name": "RMSprop", "options": {"alpha": -1}}, "RMSprop refuses its settings"),
        ({"name": "Muon", "shape": (3,)}, "Muon refuses its settings"),
    ],
)
def test_what_an_optimiser_does_not_take_is_a_sentence(
    settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        built(**settings)


@pytest.mark.parametrize("name", ["RMSprop", "Adafactor", "NAdam", "ASGD", "Rprop", "Muon"])
def test_a_skipped_update_changes_neither_weights_nor_state(name: str) -> None:
    optimizer = built(name=name)
    parameter = optimizer.param_groups[0]["params"][0]
    parameter.grad = torch.full_like(parameter, 0.5)
    update(optimizer, [parameter], torch.tensor(0.0))
    moved = parameter.detach().clone()
    assert not torch.equal(moved, torch.ones(3, 2))
    state = {k: v.clone() for k, v in optimizer.state[parameter].items() if torch.is_tensor(v)}

    parameter.grad = torch.full_like(parameter, float("nan"))
    update(optimizer, [parameter], torch.tensor(1.0))
    assert torch.equal(parameter, moved)
    for key, value in state.items():
        assert torch.equal(optimizer.state[parameter][key], value), key

    parameter.grad = torch.full_like(parameter, 0.25)
    update(optimizer, [parameter], torch.tensor(0.0))
    assert torch.isfinite(parameter).all()
    assert not torch.equal(parameter, moved)
