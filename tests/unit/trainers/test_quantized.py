"""The vector-quantised autoencoder: its losses, its gradients, and steps that are skipped."""

import pytest
import torch
from torch import Tensor, nn

from aigc_core import (
    ConfigError,
    Engine,
    EngineConfig,
    QuantizedAutoencoder,
    QuantizedConfig,
    QuantizedTrainer,
    RecipeContext,
    SampleSpec,
    StepState,
)
from aigc_core.networks import VectorQuantizer
from aigc_core.networks.config import QuantizedAutoencoderConfig
from aigc_core.trainers.quantized import build

D = 2


def trainer(**settings) -> QuantizedTrainer:
    """Samples ``(B, 1, 4)`` and latents ``(B, 2, 2)``, by single convolutions."""
    torch.manual_seed(0)
    config = QuantizedConfig(**settings)
    encoder, decoder = nn.Conv1d(1, D, 2, stride=2), nn.ConvTranspose1d(D, 1, 2, stride=2)
    quantizer = VectorQuantizer(5, D, learning=config.codebook, decay=config.decay)
    return QuantizedTrainer(QuantizedAutoencoder(encoder, quantizer, decoder, (2,)), config)


def samples(count: int = 8, seed: int = 1) -> Tensor:
    return torch.randn(count, 1, 4, generator=torch.Generator().manual_seed(seed))


def state(logged: dict | None = None) -> StepState:
    log = (logged if logged is not None else {}).__setitem__
    return StepState(0, 0, 1, torch.Generator().manual_seed(0), {}, log)


def losses(made: QuantizedTrainer, data: Tensor, logged: dict | None = None) -> dict[str, Tensor]:
    (phase,) = made.phases()
    return dict(phase.loss({"samples": data}, state(logged)))


def test_the_losses_are_those_of_the_paper() -> None:
    made, data, logged = trainer(codebook="gradient", commitment=0.5), samples(), {}
    found = losses(made, data, logged)
    model = made.generator()
    latents = model.encoder(data)
    tokens = torch.cdist(latents.movedim(1, -1), model.quantizer.codebook).argmin(-1)  # (8, 2)
    codes = model.quantizer.codebook[tokens].movedim(-1, 1)
    distance = (latents - codes).square().mean()
    torch.testing.assert_close(found["commitment"], 0.5 * distance)
    torch.testing.assert_close(found["codebook"], distance)
    torch.testing.assert_close(
        found["reconstruction"], (model.decoder(codes) - data).square().mean()
    )
    shares = torch.bincount(tokens.flatten(), minlength=5) / 16
    entropy = -sum(s * s.log() for s in shares if s > 0)
    torch.testing.assert_close(logged["codebook/perplexity"], entropy.exp())
    torch.testing.assert_close(logged["codebook/used"], (shares > 0).float().mean())


def test_an_absolute_error_may_be_asked_for() -> None:
    made, data = trainer(reconstruction="absolute"), samples()
    expected = (made.reconstruct(data) - data).abs().mean()
    torch.testing.assert_close(losses(made, data)["reconstruction"], expected)


def test_the_reconstruction_s_gradient_passes_the_codebook_unchanged() -> None:
    """The encoder gets what it would get if the decoder saw latents where it sees codes."""
    made, data = trainer(), samples()
    model = made.generator()
    losses(made, data)["reconstruction"].backward()
    found = model.encoder.weight.grad.clone()
    model.zero_grad()
    latents = model.encoder(data)
    codes = model.quantizer.lookup(model.quantizer.nearest(latents)).requires_grad_()
    (at_codes,) = torch.autograd.grad((model.decoder(codes) - data).square().mean(), codes)
    latents.backward(at_codes)
    torch.testing.assert_close(found, model.encoder.weight.grad)


def test_each_term_reaches_what_it_is_for() -> None:
    made = trainer(codebook="gradient")
    model, found = made.generator(), losses(made, samples())
    reached = {
        name: {
            part
            for part, tensor in (
                ("encoder", model.encoder.weight),
                ("codes", model.quantizer.codebook),
                ("decoder", model.decoder.weight),
            )
            if torch.autograd.grad(loss, tensor, retain_graph=True, allow_unused=True)[0]
            is not None
        }
        for name, loss in found.items()
    }
    assert reached == {
        "reconstruction": {"encoder", "decoder"},
        "commitment": {"encoder"},
        "codebook": {"codes"},
    }


def engine(made: QuantizedTrainer, data: Tensor, **changes) -> Engine:
    config = {"steps": 6, "batch_size": 8, "device": "cpu", "precision": "fp32"} | changes
    return Engine(made, {"samples": data}, EngineConfig(**config))


@pytest.mark.parametrize("codebook", ["average", "gradient"])
def test_a_skipped_step_does_not_change_the_codebook(codebook) -> None:
    made = trainer(codebook=codebook)
    ours = engine(made, samples(32))
    ours.fit(until_step=2)
    before = {name: value.clone() for name, value in ours.state().weights.items()}
    transform = ours.data._transforms
    transform["samples"] = lambda found: found * float("nan")
    ours.fit(until_step=3)
    for name, value in ours.state().weights.items():
        assert torch.equal(value, before[name]), name
    transform["samples"] = lambda found: found
    ours.fit(until_step=4)
    after = ours.state().weights["autoencoder.quantizer.codebook"]
    assert torch.isfinite(after).all()
    assert not torch.equal(after, before["autoencoder.quantizer.codebook"])


def test_accumulated_parts_count_as_one_batch() -> None:
    whole, parts = trainer(), trainer()
    engine(whole, samples(8)).fit(until_step=1)
    engine(parts, samples(8), accumulate=4).fit(until_step=1)
    torch.testing.assert_close(whole.generator().quantizer.usage, parts.generator().quantizer.usage)
    assert whole.generator().quantizer.usage.sum() == 16


def test_a_held_out_sample_does_not_move_the_codebook() -> None:
    made = trainer()
    engine(made, samples(32)).fit(until_step=2)
    quantizer = made.generator().quantizer
    before = quantizer.codebook.clone()
    with torch.no_grad():
        measured = made.validation()({"samples": samples(32, seed=5)}, state())
    quantizer.update()
    assert torch.equal(quantizer.codebook, before)
    assert 1 <= float(measured["perplexity"]) <= 5
    error = (made.reconstruct(samples(32, seed=5)) - samples(32, seed=5)).square().mean()
    torch.testing.assert_close(measured["loss"], error)


def test_samples_are_codes_as_frequent_as_in_the_data() -> None:
    made = trainer()
    model = made.generator()
    model.quantizer.usage.copy_(torch.tensor([6.0, 3.0, 1.0, 0.0, 0.0]))
    seen = []
    model.from_tokens = lambda tokens: seen.append(tokens) or tokens
    model.sample(2000, rng=torch.Generator().manual_seed(0))
    shares = torch.bincount(seen[0].flatten(), minlength=5) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.6, 0.3, 0.1, 0, 0]), atol=0.03, rtol=0)


def context(shape: tuple[int, ...], **model) -> RecipeContext:
    settings = QuantizedAutoencoderConfig(codes=4, code_size=2, width=4, **model)
    return RecipeContext(
        settings, QuantizedConfig(), shape, SampleSpec(shape=shape, dtype="float32"), 0
    )


@pytest.mark.parametrize("shape", [(2, 16), (1, 8, 16), (3, 4, 8, 8)])
def test_signals_of_one_to_three_sides_are_encoded_and_come_back(shape) -> None:
    made = build(context(shape)).generator()
    data = torch.randn(2, *shape)
    tokens = made.to_tokens(data)
    assert tokens.shape == (2, *(side // 4 for side in shape[1:]))
    assert made.from_tokens(tokens).shape == data.shape


@pytest.mark.parametrize("shape", [(1, 12, 18), (1, 2), (4,), (1, 4, 4, 4, 4)])
def test_sides_that_cannot_be_halved_are_refused(shape) -> None:
    with pytest.raises(ConfigError, match=r"model\.halvings=2 needs sides that are divisible by 4"):
        build(context(shape))
