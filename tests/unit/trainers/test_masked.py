"""Masked diffusion: what is hidden, what it costs, and how it is filled in."""

import math

import pytest
import torch
from torch import Tensor

from aigc_core import MaskedConfig, MaskedControls, MaskedGenerator, MaskedTrainer, StepState

V, T = 5, 12


class Known(MaskedGenerator):
    """Always says the same of each token, whatever it sees; remembers what it saw."""

    vocabulary_size, sample_length = V, T

    def __init__(self, probabilities: Tensor) -> None:
        super().__init__()
        self.log = torch.nn.Parameter(probabilities.log())
        self.seen: list[Tensor] = []

    def forward(self, tokens: Tensor, condition: Tensor | None = None) -> Tensor:
        self.seen.append(tokens.clone())
        return self.log.expand(*tokens.shape, V)


def state(seed: int = 0) -> StepState:
    rng = torch.Generator().manual_seed(seed)
    return StepState(0, 0, 1, rng, {}, lambda name, value: None)


def test_the_bound_of_independent_tokens_is_their_entropy() -> None:
    chances = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05])
    network = Known(chances)
    rng = torch.Generator().manual_seed(1)
    tokens = torch.multinomial(chances, 4000 * T, replacement=True, generator=rng).view(4000, T)
    trainer = MaskedTrainer(network, MaskedConfig())
    measured = trainer.validation()({"samples": tokens}, state())["loss"]
    entropy = -float((chances * chances.log()).sum())
    assert float(measured) == pytest.approx(entropy, rel=0.03)
    hidden = network.seen[0] == V
    assert torch.equal(network.seen[0][~hidden], tokens[~hidden])
    shares = hidden.double().mean(1)  # of each sample: its time
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares[:400].mean() < 0.1 < 0.9 < shares[-400:].mean()  # spread over the batch


def test_the_loss_reaches_what_predicts_and_no_token_that_is_seen() -> None:
    network = Known(torch.full((V,), 1 / V))
    trainer = MaskedTrainer(network, MaskedConfig())
    (phase,) = trainer.phases()
    terms = phase.loss({"samples": torch.zeros(8, T, dtype=torch.int64)}, state())
    assert float(sum(terms.values())) == pytest.approx(math.log(V), rel=0.5)
    sum(terms.values()).backward()
    assert network.log.grad[0] < 0 < network.log.grad[1]


@pytest.mark.parametrize("steps", [1, 4, 100])
def test_every_token_appears_once_and_stays(steps: int) -> None:
    network = Known(torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05]))
    rng = torch.Generator().manual_seed(0)
    found = network.sample(500, rng=rng, controls=MaskedControls(steps=steps))
    assert (found.shape, found.dtype) == ((500, T), torch.int64)
    assert len(network.seen) == steps
    assert (network.seen[0] == V).all()
    for before, after in zip(network.seen, [*network.seen[1:], found], strict=True):
        there = before != V
        assert torch.equal(after[there], before[there])
    shares = [float((seen == V).double().mean()) for seen in network.seen]
    expected = [1 - step / steps for step in range(steps)]
    assert shares == pytest.approx(expected, abs=0.03)
    often = torch.bincount(found.flatten(), minlength=V) / found.numel()
    torch.testing.assert_close(often, network.log.exp().detach(), atol=0.02, rtol=0)


def test_what_is_given_stays_and_gaps_are_filled() -> None:
    network = Known(torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]))
    given = torch.full((2, T), -1)
    given[0, 3], given[1, 5] = 4, 1
    found = network.sample(2, rng=torch.Generator().manual_seed(0), conditions={"text": given})
    expected = torch.full((2, T), 2)
    expected[0, 3], expected[1, 5] = 4, 1
    assert torch.equal(found, expected)


def test_controls_choose_among_tokens() -> None:
    network = Known(torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05]))
    for controls in ({"top_k": 1}, {"top_p": 0.3}, {"temperature": 0.01}):
        rng = torch.Generator().manual_seed(0)
        found = network.sample(4, rng=rng, controls=MaskedControls(**controls))
        assert not found.any()
