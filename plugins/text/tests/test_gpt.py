import math
from itertools import pairwise

import pytest
import torch

from aigc_core import AutoregressiveConfig, ConfigError, RecipeContext, SampleSpec, TokenControls
from aigc_text.gpt import GPT, build
from aigc_text.tokenizers import Characters
from aigc_text.transformer_config import GPTConfig

SMALL = GPTConfig(layers=2, heads=2, width=16, dropout=0.0)


def gpt(context: int = 8, config: GPTConfig = SMALL, scale: float = 10.0, classes: int = 0) -> GPT:
    """A small network; weights are scaled so that what it expects differs from token to token."""
    torch.manual_seed(0)
    network = GPT(config, 11, context, classes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(scale if parameter.dim() == 2 else 1)
    return network.eval()


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, 11, (batch, length), generator=rng())


def test_logits_are_of_every_token_and_depend_on_those_before_alone() -> None:
    network, given = gpt(), tokens(3, 8)
    logits = network(given)
    assert logits.shape == (3, 8, 11)
    changed = given.clone()
    changed[:, 5] = (changed[:, 5] + 1) % 11
    again = network(changed)
    torch.testing.assert_close(again[:, :5], logits[:, :5])
    assert (again[:, 5:] - logits[:, 5:]).abs().amax((0, 2)).min() > 1e-3


def test_tokens_know_their_place() -> None:
    same = torch.full((1, 8), 3)
    logits = gpt()(same)[0]
    assert (logits[1:] - logits[:-1]).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize("context", [1, 2, 5, 8])
def test_the_window_is_full_or_has_moved_by_half(context: int) -> None:
    sizes = [gpt(context).window(total) for total in range(1, 4 * context + 2)]
    assert sizes[:context] == list(range(1, context + 1))
    assert max(sizes) == context
    assert all(size > context // 2 for size in sizes[context:])
    steps = [after - before for before, after in pairwise(sizes)]
    assert all(step == 1 or size == context for step, size in zip(steps, sizes, strict=False))


@pytest.mark.parametrize("context", [1, 2, 5, 8])
@pytest.mark.parametrize("prompt", [1, 3, 8, 9, 30])
def test_the_cache_changes_nothing_within_the_context_or_beyond(context: int, prompt: int) -> None:
    network, given = gpt(context), tokens(2, prompt + 40)
    cache = network.new_cache(2)
    found = [network.next_logits(given[:, :prompt], cache)]
    found += [network.next_logits(given[:, t : t + 1], cache) for t in range(prompt, prompt + 40)]
    for number, logits in enumerate(found):
        total = prompt + number
        window = given[:, total - network.window(total) : total]
        torch.testing.assert_close(logits, network(window)[:, -1], rtol=1e-4, atol=1e-4)


def test_several_tokens_at_once_are_as_one_by_one() -> None:
    network, given = gpt(), tokens(1, 30)
    whole, single = network.new_cache(1), network.new_cache(1)
    for start, end in [(0, 3), (3, 4), (4, 7), (7, 20), (20, 21), (21, 30)]:
        at_once = network.next_logits(given[:, start:end], whole)
        for t in range(start, end):
            one = network.next_logits(given[:, t : t + 1], single)
        torch.testing.assert_close(at_once, one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [6, 50])
def test_the_text_drawn_is_that_of_a_loop_without_the_cache(length: int) -> None:
    network, prompt = gpt(), torch.tensor([4, 2, 9])
    controls = TokenControls(temperature=0.8, tokens=length)
    drawn = network.sample(2, rng=rng(), conditions={"prompt": prompt[None]}, controls=controls)
    known, hand = prompt.expand(2, -1), rng()
    with torch.no_grad():
        for _ in range(length):
            logits = network(known[:, -network.window(known.shape[1]) :])[:, -1] / 0.8
            token = torch.multinomial(logits.softmax(1), 1, generator=hand)
            known = torch.cat([known, token], dim=1)
    assert torch.equal(drawn, known[:, 3:])


@pytest.mark.parametrize("prompt", [1, 9])
def test_the_cache_honours_labels_within_the_context_and_beyond(prompt: int) -> None:
    network, given, labels = gpt(classes=3), tokens(2, prompt + 20), torch.tensor([2, 0])
    cache = network.new_cache(2, labels)
    found = [network.next_logits(given[:, :prompt], cache)]
    found += [network.next_logits(given[:, t : t + 1], cache) for t in range(prompt, prompt + 20)]
    for number, logits in enumerate(found):
        total = prompt + number
        window = given[:, total - network.window(total) : total]
        torch.testing.assert_close(logits, network(window, labels)[:, -1], rtol=1e-4, atol=1e-4)
        assert (logits - network(window, labels.flip(0))[:, -1]).abs().amax(1).min() > 1e-3


def drawn_from(network: GPT, labels: list[int]) -> torch.Tensor:
    given = {"label": torch.tensor(labels)}
    return network.sample(2, rng=rng(), conditions=given, controls=TokenControls(tokens=30))


def test_samples_of_a_label_depend_on_that_label_alone() -> None:
    network = gpt(classes=3)
    both = drawn_from(network, [0, 1])
    other = drawn_from(network, [0, 2])
    assert torch.equal(both[0], other[0])
    assert not torch.equal(both[1], other[1])


def test_samples_are_as_long_as_those_trained_on() -> None:
    assert gpt(8).sample(2, rng=rng()).shape == (2, 9)


def test_the_cache_is_reserved_once() -> None:
    network = gpt()
    cache = network.new_cache(1)
    places = [layer.packed.data_ptr() for layer in cache.layers]
    for t in range(30):
        network.next_logits(torch.tensor([[t % 11]]), cache)
        assert cache.length <= network.context
    assert [layer.packed.data_ptr() for layer in cache.layers] == places


def test_embeddings_are_tied_unless_reported_otherwise() -> None:
    tied, free = gpt(), gpt(config=SMALL.model_copy(update={"tied_embeddings": False}))
    assert tied.logits.weight is tied.token_embedding.weight
    assert free.logits.weight is not free.token_embedding.weight
    count = {id(p): p.numel() for p in free.parameters()}
    assert sum(count.values()) - sum(p.numel() for p in tied.parameters()) == 11 * 16


def test_the_number_of_weights_is_that_of_the_formula() -> None:
    width, layers, context, vocabulary = 16, 2, 8, 11
    block = 12 * width**2 + 4 * width
    expected = (vocabulary + context) * width + layers * block + 2 * width
    assert sum(p.numel() for p in gpt().parameters()) == expected


def test_an_untrained_network_expects_every_token_about_equally() -> None:
    config = GPTConfig(layers=4, heads=4, width=128, dropout=0.0)
    network = gpt(config=config, scale=1.0)
    given = tokens(4, 8)
    others = (given + 3) % 11  # not the input: tied embeddings make that a little more probable
    nats = torch.nn.functional.cross_entropy(network(given).flatten(0, 1), others.flatten())
    assert abs(nats.item() - math.log(11)) < 0.3


def test_dropout_is_for_training_alone() -> None:
    network, given = gpt(config=SMALL.model_copy(update={"dropout": 0.5})), tokens(2, 8)
    assert torch.equal(network(given), network(given))
    network.train()
    assert not torch.equal(network(given), network(given))


def test_bf16_gives_about_the_same_and_gradients_everywhere() -> None:
    network, given = gpt(scale=3.0), tokens(2, 8)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(given)
    torch.testing.assert_close(logits.float(), network(given), rtol=0.1, atol=0.1)
    logits.float().logsumexp(2).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ConfigError, match="heads=3 does not divide width=16"):
        GPTConfig(width=16, heads=3)


def context_of(model: GPTConfig, label_count: int = 0) -> RecipeContext:
    tokenizer = Characters("\tab\n"[::-1] + "c")  # the end of a line is not the first
    tokenizer = Characters("".join(sorted(tokenizer.characters)))
    spec = SampleSpec(
        shape=(9,),
        dtype="int16",
        units={"vocabulary_size": tokenizer.vocabulary_size},
        assets={"tokenizer": tokenizer.to_json()},
    )
    return RecipeContext(model, AutoregressiveConfig(), (9,), spec, label_count)


def test_the_recipe_starts_after_the_end_of_a_line() -> None:
    generator = build(context_of(SMALL, 2)).generator()
    assert isinstance(generator, GPT)
    assert generator.context == 8
    assert generator.vocabulary_size == 5
    assert generator.start_token == 1
    assert generator.label_count == 0  # the data has labels, but nobody asked for them


def test_the_recipe_asks_for_labels_where_reported() -> None:
    conditional = SMALL.model_copy(update={"conditional": True})
    generator = build(context_of(conditional, 2)).generator()
    assert generator.label_count == 2
    with pytest.raises(ConfigError, match="data with labels"):
        build(context_of(conditional))
