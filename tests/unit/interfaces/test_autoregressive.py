"""Drawing token by token, against references that a reader can check at a glance."""

import math

import pytest
import torch
from toys import ToySequence

from aigc_core import TokenControls
from aigc_core.interfaces import NoControls
from aigc_core.interfaces.autoregressive import drawn, filtered

SETTINGS = [
    {},
    {"temperature": 0.5},
    {"temperature": 3.0},
    {"top_k": 3},
    {"top_k": 100},
    {"top_p": 0.6},
    {"top_p": 0.01},
    {"repetition_penalty": 1.7},
    {"temperature": 0.7, "top_k": 5, "top_p": 0.8, "repetition_penalty": 1.3},
]


def reference(logits: list[float], seen: set[int], sampling: TokenControls) -> list[float]:
    """What ``filtered`` should give for one row, in plain Python."""
    values = list(logits)
    for token in seen:
        penalty = sampling.repetition_penalty
        values[token] = values[token] / penalty if values[token] > 0 else values[token] * penalty
    values = [value / sampling.temperature for value in values]
    order = sorted(range(len(values)), key=lambda token: -values[token])
    kept = order[: sampling.top_k] if sampling.top_k else order
    total = sum(math.exp(values[token]) for token in kept)
    nucleus, mass = [], 0.0
    for token in kept:
        if mass >= sampling.top_p:
            break
        nucleus.append(token)
        mass += math.exp(values[token]) / total
    return [value if token in nucleus else -math.inf for token, value in enumerate(values)]


@pytest.mark.parametrize("settings", SETTINGS)
def test_logits_are_filtered_as_by_hand(settings: dict) -> None:
    rng = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(20, 9, generator=rng)
    seen = torch.rand(20, 9, generator=rng) < 0.3
    sampling = TokenControls(**settings)
    found = filtered(logits, sampling, seen)
    for row in range(20):
        tokens = set(seen[row].nonzero().flatten().tolist())
        expected = torch.tensor(reference(logits[row].tolist(), tokens, sampling))
        torch.testing.assert_close(found[row], expected, rtol=1e-5, atol=1e-6)


def test_of_equal_logits_no_more_than_k_stay() -> None:
    assert filtered(torch.zeros(2, 6), TokenControls(top_k=1)).isfinite().sum(1).tolist() == [1, 1]


def test_the_coldest_sampling_has_no_nan() -> None:
    logits = torch.tensor([[90.0, -90.0, 89.0]])
    found = filtered(logits, TokenControls(temperature=0.001)).softmax(1)
    assert found.tolist() == [[1.0, 0.0, 0.0]]


def test_drawing_is_torch_s_multinomial_to_the_bit() -> None:
    probabilities = torch.randn(500, 11).softmax(1)
    ours = drawn(probabilities, torch.Generator().manual_seed(3))
    theirs = torch.multinomial(probabilities, 1, generator=torch.Generator().manual_seed(3))
    assert torch.equal(ours, theirs)


def test_what_has_no_probability_is_never_drawn() -> None:
    probabilities = torch.tensor([[0.5, 0.0, 0.5]]).expand(2000, 3)
    tokens = drawn(probabilities, torch.Generator().manual_seed(0))
    assert set(tokens.flatten().tolist()) == {0, 2}


def network() -> ToySequence:
    torch.manual_seed(0)
    return ToySequence().eval()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_samples_are_those_of_a_plain_loop() -> None:
    made = network()
    tokens = torch.full((3, 1), made.start_token)
    hand = rng()
    with torch.no_grad():
        for _ in range(made.sample_length):
            probabilities = made(tokens)[:, -1].softmax(1)
            tokens = torch.cat([tokens, torch.multinomial(probabilities, 1, generator=hand)], 1)
    assert torch.equal(made.sample(3, rng=rng()), tokens[:, 1:])


def test_a_seed_gives_the_same_tokens_and_another_one_others() -> None:
    made = network()
    assert torch.equal(made.sample(2, rng=rng(1)), made.sample(2, rng=rng(1)))
    assert not torch.equal(made.sample(2, rng=rng(1)), made.sample(2, rng=rng(2)))


def test_a_longer_sample_begins_with_the_shorter() -> None:
    made = network()
    short, long = (
        made.sample(2, rng=rng(), controls=TokenControls(tokens=length)) for length in (5, 30)
    )
    assert short.shape == (2, 5)
    assert torch.equal(long[:, :5], short)


def test_the_prompt_is_gone_on_from_and_not_repeated() -> None:
    made = network()
    seen: list[list[int]] = []
    made.register_forward_pre_hook(lambda module, args: seen.append(args[0][0].tolist()))
    sample = made.sample(
        1,
        rng=rng(),
        conditions={"prompt": torch.tensor([[5, 1, 6]])},
        controls=TokenControls(tokens=3),
    )
    drawn_tokens = sample[0].tolist()
    assert seen == [[5, 1, 6], [5, 1, 6, *drawn_tokens[:1]], [5, 1, 6, *drawn_tokens[:2]]]


def test_without_a_prompt_the_start_token_stands_first() -> None:
    made = network()
    made.start_token = 4
    prompted = made.sample(1, rng=rng(), conditions={"prompt": torch.tensor([[4]])})
    assert torch.equal(made.sample(1, rng=rng()), prompted)


def test_what_was_in_the_prompt_is_penalised_too() -> None:
    made = network()
    hard = TokenControls(repetition_penalty=100.0, temperature=0.05, tokens=2)
    prompt = torch.tensor([0, 1, 2, 3, 4])
    with torch.no_grad():
        made.logits.bias.fill_(5.0)
        made.logits.weight.mul_(0.1)
    found = made.sample(1, rng=rng(), conditions={"prompt": prompt[None]}, controls=hard)
    assert sorted(found[0].tolist()) == [5, 6]


def test_labels_reach_the_network() -> None:
    torch.manual_seed(0)
    made = ToySequence(classes=2).eval()
    with torch.no_grad():
        made.vectors.weight[-2:] *= 20
    labels = torch.tensor([0, 1])
    found = made.sample(
        2, rng=rng(), conditions={"label": labels}, controls=TokenControls(tokens=400)
    )
    counts = torch.stack([row.bincount(minlength=7) for row in found]).float() / 400
    assert (counts[0] - counts[1]).abs().sum() > 0.3


def test_controls_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="NoControls are no ChoiceControls"):
        network().sample(1, rng=rng(), controls=NoControls())


def test_gradients_are_as_before_while_the_caller_has_a_token() -> None:
    steps = network().stream(1, rng=rng())
    token = next(steps)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    weight = torch.zeros(7, 2, requires_grad=True)
    torch.nn.functional.embedding(token, weight).sum().backward()  # token is an ordinary tensor
    assert weight.grad is not None
