"""Second stages: which tokens and latents they see, and that what they draw comes back decoded."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from aigc_core import (
    AutoregressiveConfig,
    AutoregressiveTrainer,
    ConfigError,
    LatentFlow,
    QuantizedAutoencoder,
    RecipeContext,
    SampleSpec,
    StepState,
    TokenPrior,
)
from aigc_core.interfaces.config import ChoiceControls
from aigc_core.networks import VectorQuantizer
from aigc_core.networks.config import LatentFlowConfig, TransformerConfig
from aigc_core.trainers import parent_autoencoder

K, GRID = 5, (2, 3)
SMALL = TransformerConfig(layers=2, heads=2, width=16, dropout=0.0)


class Levels(QuantizedAutoencoder):
    """Samples ``(B, 1, 2, 3)`` whose levels are codes: 0, 10, 20, 30 and 40."""

    def __init__(self) -> None:
        quantizer = VectorQuantizer(K, 1)
        quantizer.codebook.copy_(torch.arange(K)[:, None] * 10.0)
        quantizer.usage.copy_(torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0]))
        super().__init__(nn.Identity(), quantizer, nn.Identity(), GRID)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def prior(classes: int = 0) -> TokenPrior:
    torch.manual_seed(0)
    network = TokenPrior(SMALL, Levels(), classes)
    with torch.no_grad():  # so that what it expects differs from place to place
        for parameter in network.parameters():
            parameter.mul_(8 if parameter.dim() == 2 else 1)
    return network.eval()


def samples(count: int) -> Tensor:
    return torch.randint(0, K, (count, 1, *GRID), generator=rng(1)) * 10.0


def state() -> StepState:
    return StepState(0, 0, 1, rng(), {}, lambda name, value: None)


def test_tokens_are_the_grid_row_by_row_and_back() -> None:
    given = samples(4)
    tokens = prior().to_tokens(given + 2)  # not exactly the codes
    assert torch.equal(tokens, (given / 10).long().flatten(1))
    assert torch.equal(prior().from_tokens(tokens), given)


@pytest.mark.parametrize("classes", [0, 3])
def test_the_loss_is_of_every_token_of_the_grid_the_first_too(classes) -> None:
    network, given = prior(classes), samples(6)
    labels = torch.arange(6) % 3
    trainer = AutoregressiveTrainer(network, AutoregressiveConfig())
    (phase,) = trainer.phases()
    loss = phase.loss({"samples": given, "labels": labels}, state())["cross_entropy"].item()
    tokens = (given / 10).long().flatten(1)
    total = 0.0
    for row in range(6):
        seen = [K]  # the start token
        for token in tokens[row].tolist():
            condition = labels[row : row + 1] if classes else None
            logits = network(torch.tensor([seen]), condition)[0, -1]
            total -= logits.log_softmax(0)[token].item()
            seen.append(token)
    assert loss == pytest.approx(total / tokens.numel(), rel=1e-5)


@pytest.mark.parametrize("classes", [0, 3])
def test_drawing_with_the_cache_is_drawing_from_the_network(classes) -> None:
    network = prior(classes)
    given = {"label": torch.tensor([2, 0])} if classes else {}
    found = network.sample(2, rng=rng(3), conditions=given, controls=ChoiceControls(top_k=1))
    tokens = torch.full((2, 1), K)
    for _ in range(math.prod(GRID)):
        best = network(tokens, given.get("label"))[:, -1].argmax(1, keepdim=True)
        tokens = torch.cat([tokens, best], dim=1)
    assert torch.equal(found, network.from_tokens(tokens[:, 1:]))
    assert len(tokens[:, 1:].unique()) > 1  # else any order of places would do


def test_a_prior_can_be_asked_for_a_class_and_how_to_choose_but_not_for_a_length() -> None:
    assert set(prior(3).conditions) == {"label"}
    assert set(prior().conditions) == set()
    assert set(TokenPrior.controls.model_fields) == {"temperature", "top_k", "top_p"}


def test_the_parent_is_neither_trained_nor_saved() -> None:
    network = prior()
    assert not any("autoencoder" in name for name in network.state_dict())
    assert not any("autoencoder" in name for name, _ in network.named_parameters())


def test_a_flow_sees_latents_of_mean_0_and_variance_1_and_draws_codes() -> None:
    network = LatentFlow(LatentFlowConfig(width=8, multipliers=(1,), blocks=1), Levels())
    often = [0.0] * 4 + [10.0] * 3 + [20.0] * 2 + [30.0]  # as its codes are used
    given = torch.tensor(often).repeat(6).view(10, 1, *GRID)
    seen = network.represent(given)
    torch.testing.assert_close(seen.mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(seen.square().mean(), torch.tensor(1.0))
    torch.testing.assert_close(network.restore(seen + 0.1), given)  # the nearest codes


def test_a_parent_of_other_samples_or_without_a_codebook_is_refused() -> None:
    slow, fast = (
        SampleSpec(shape=(1, 8), dtype="int16", units={"sample_rate_hz": rate})
        for rate in (8000, 16000)
    )
    parent = SimpleNamespace(
        generator=Levels(), recipe="audio/vqvae", modality=SimpleNamespace(spec=slow)
    )
    context = RecipeContext(None, None, (1, 8), slow, 0, parents={"autoencoder": parent})
    assert parent_autoencoder(context) is parent.generator
    other = RecipeContext(None, None, (1, 8), fast, 0, parents={"autoencoder": parent})
    with pytest.raises(ConfigError, match=r"units=.*8000.*and this run's data has units=.*16000"):
        parent_autoencoder(other)
    parent.generator = nn.Identity()
    with pytest.raises(ConfigError, match="is of audio/vqvae, which has no codebook"):
        parent_autoencoder(context)
