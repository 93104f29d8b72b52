"""The building blocks: shapes, where they begin, and what may see what."""

import math

import pytest
import torch
from torch import nn

from aigc_core.networks import (
    Attention,
    Bits,
    Block,
    CrossAttention,
    CrossBlock,
    ResidualBlock,
    SequenceEncoder,
    SetNetwork,
    TimeEmbedding,
    UNet,
    doubling_convolutions,
    folded,
    halved_widths,
    halving_convolutions,
    initialize_transformer,
    unfolded,
    with_label,
)
from aigc_core.networks.unet import ChannelNorm, SpatialAttention


def unet(dims: int, **options) -> UNet:
    torch.manual_seed(0)
    made = UNet(
        dims,
        3,
        2,
        widths=(8, 16),
        blocks=1,
        attention=(False, True),
        embedding_size=8,
        heads=2,
        **options,
    )
    for name, parameter in made.named_parameters():
        if name.endswith("conv_out.weight") or name.endswith("out.weight"):
            nn.init.normal_(parameter, std=0.1)  # they begin at zero, and would hide the rest
    return made.eval()


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_u_net_keeps_the_places_of_signals_of_one_to_three_dimensions(dims: int) -> None:
    network = unet(dims)
    x, vector = torch.randn(2, 3, *[8] * dims), torch.randn(2, 8)
    out = network(x, vector)
    assert out.shape == (2, 2, *[8] * dims)
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_u_net_knows_where_a_place_is(dims: int) -> None:
    """Of a signal that is the same everywhere, what comes out is not, however far from its edges.

    Padding tells the rest: ten convolutions of one level carry it ten places inwards.
    """
    torch.manual_seed(0)
    network = UNet(dims, 1, 1, widths=(4,), blocks=1, embedding_size=4)
    nn.init.normal_(network.conv_out.weight)
    out = network(torch.ones(1, 1, *[32] * dims), torch.ones(1, 4))
    middle = out[(0, 0, *[slice(15, 17)] * dims)]
    for side in range(dims):
        first, second = middle.unbind(side)
        assert (first - second).abs().max() > 1e-4


def test_a_u_net_starts_at_zero() -> None:
    network = UNet(2, 1, 1, widths=(8, 8), embedding_size=4)
    assert network(torch.randn(1, 1, 4, 4), torch.randn(1, 4)).abs().max() == 0


def test_samples_of_a_batch_do_not_see_each_other() -> None:
    network = unet(2, context_size=4)
    x, vector, context = torch.randn(3, 3, 8, 8), torch.randn(3, 8), torch.randn(3, 5, 4)
    together = network(x, vector, context)
    for row in range(3):
        alone = network(x[row : row + 1], vector[row : row + 1], context[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_the_vector_and_the_context_change_the_signal() -> None:
    network = unet(2, context_size=4)
    x, vector, context = torch.randn(1, 3, 8, 8), torch.randn(1, 8), torch.randn(1, 5, 4)
    first = network(x, vector, context)
    assert (first - network(x, vector + 1, context)).abs().max() > 1e-3
    assert (first - network(x, vector, context + 1)).abs().max() > 1e-4


def test_a_block_of_as_many_channels_begins_as_the_identity() -> None:
    block = ResidualBlock(2, 8, 8, 4)
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x, torch.randn(2, 4)), x)


def test_channels_are_normalised_at_each_place() -> None:
    x = 5 + 3 * torch.randn(2, 64, 3, 3)
    normal = ChannelNorm(64)(x)
    torch.testing.assert_close(normal.mean(1), torch.zeros(2, 3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(normal.var(1, correction=0), torch.ones(2, 3, 3), rtol=0, atol=1e-3)


def test_every_place_attends_to_every_other_as_the_formula_says() -> None:
    torch.manual_seed(0)
    network = SpatialAttention(4, 1, None)
    nn.init.eye_(network.out.weight)
    x = torch.randn(1, 4, 3)
    rows = network.norm(x)[0].T  # (P, C)
    queries, keys, values = network.qkv(rows).chunk(3, dim=1)
    weights = (queries @ keys.T / 4**0.5).softmax(1)
    torch.testing.assert_close(network(x, None), x + (weights @ values).T[None])


@pytest.mark.parametrize("causal", [True, False])
def test_a_position_sees_later_ones_only_if_attention_is_not_causal(causal: bool) -> None:
    torch.manual_seed(0)
    network = Attention(8, 2, causal=causal)
    x = torch.randn(1, 5, 8)
    changed = x.clone()
    changed[0, 3] += 1
    moved = (network(x) - network(changed)).abs().amax(2)[0] > 1e-6
    assert moved.tolist() == [not causal] * 3 + [True, True]


def test_times_near_each_other_have_vectors_near_each_other_and_far_ones_do_not() -> None:
    torch.manual_seed(0)
    vectors = TimeEmbedding(32)(torch.tensor([0.3, 0.3005, 0.9]))
    assert vectors.shape == (3, 32)
    near, far = (vectors[0] - vectors[1]).norm(), (vectors[0] - vectors[2]).norm()
    assert 0 < near < far / 2


def test_a_sequence_s_vectors_depend_on_all_tokens_and_their_order() -> None:
    torch.manual_seed(0)
    network = SequenceEncoder(16, 6, 8, layers=1, heads=2)
    vectors = network(torch.tensor([[1, 2, 3, 0], [2, 1, 3, 0]]))
    assert vectors.shape == (2, 4, 8)
    assert (vectors[0] - vectors[1]).abs().amax(1).min() > 1e-4


def test_convolutions_halve_down_to_four_and_double_up_from_one() -> None:
    widths = halved_widths(8, 64)
    assert widths == [8, 16, 32, 64]
    halving = nn.Sequential(*halving_convolutions(3, widths))
    assert halving(torch.zeros(2, 3, 64, 32)).shape == (2, 64, 4, 2)
    doubling = doubling_convolutions(10, widths[::-1], 3)
    images = doubling(torch.randn(2, 10, 1, 1))
    assert images.shape == (2, 3, 64, 64)
    assert images.abs().max() < 1


def test_convolutions_of_three_dimensions_halve_and_double_too() -> None:
    widths = halved_widths(4, 16)
    halving = nn.Sequential(*halving_convolutions(1, widths, normalization="batch", dims=3))
    assert halving(torch.zeros(2, 1, 8, 16, 16)).shape == (2, 8, 2, 4, 4)
    doubling = doubling_convolutions(10, widths[::-1], 1, smallest=(2, 4, 4))
    assert doubling(torch.randn(2, 10, 1, 1, 1)).shape == (2, 1, 8, 16, 16)


@pytest.mark.parametrize(
    ("normalization", "bias", "kinds"),
    [
        ("none", True, "Conv2d+ LeakyReLU Conv2d+ LeakyReLU"),
        ("none", False, "Conv2d+ LeakyReLU Conv2d+ LeakyReLU"),
        ("batch", False, "Conv2d+ LeakyReLU Conv2d BatchNorm2d LeakyReLU"),
        ("layer", True, "Conv2d+ LeakyReLU Conv2d+ GroupNorm LeakyReLU"),
    ],
)
def test_the_layer_next_to_the_input_is_not_normalised(normalization, bias, kinds) -> None:
    layers = halving_convolutions(3, [4, 8], normalization=normalization, bias=bias)
    found = [
        type(layer).__name__
        + ("+" if isinstance(layer, nn.Conv2d) and layer.bias is not None else "")
        for layer in layers
    ]
    assert " ".join(found) == kinds


def test_a_label_is_appended_as_ones_and_zeros() -> None:
    features = torch.rand(2, 3)
    assert with_label(features, None, 4) is features
    labelled = with_label(features, torch.tensor([3, 0]), 4)
    assert torch.equal(labelled[:, :3], features)
    assert labelled[:, 3:].tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]


@pytest.mark.parametrize("sides", [(8,), (8, 4), (4, 8, 4)])
def test_patches_become_channels_and_patches_again(sides: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *sides)
    for patch in (1, 2, 4):
        packed = folded(x, patch)
        assert packed.shape == (2, 3 * patch ** len(sides), *(side // patch for side in sides))
        assert torch.equal(unfolded(packed, patch), x)
    if len(sides) == 2:
        assert torch.equal(folded(x, 2), nn.functional.pixel_unshuffle(x, 2))


def test_a_patch_may_have_sides_of_its_own() -> None:
    x = torch.randn(2, 3, 4, 8, 6)
    packed = folded(x, (1, 4, 2))
    assert packed.shape == (2, 24, 4, 2, 3)
    assert torch.equal(packed[1, 8:16, 3, 1, 2], x[1, 1, 3, 4:8, 4:6].flatten())
    assert torch.equal(unfolded(packed, (1, 4, 2)), x)


def test_gradients_in_bfloat16_do_not_read_memory_that_nothing_was_written_to() -> None:
    """Of weights of 3-D convolutions at a depth of 2, with oneDNN 3.10 (PyTorch 2.11).

    Without a way round it, most of these gradients are not finite where that memory held NaNs, on
    processors that compute in bfloat16; elsewhere this passes anyway.
    """
    torch.manual_seed(0)
    block = ResidualBlock(3, 64, 64, 8)
    nn.init.normal_(block.conv_out.weight, std=0.02)
    x, vector = torch.randn(8, 64, 2, 2, 2), torch.randn(8, 8)
    goal = torch.randn_like(x)

    def gradients(*, reduced: bool) -> list[torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            loss = (block(x, vector).float() - goal).square().mean()
        return list(torch.autograd.grad(loss, [block.conv_in.weight, block.conv_out.weight]))

    exact = gradients(reduced=False)
    for _ in range(10):
        freed = [torch.full((1000 * size,), torch.nan) for size in range(1, 400, 20)]
        del freed
        for found, expected in zip(gradients(reduced=True), exact, strict=True):
            assert (found - expected).norm() < 0.05 * expected.norm()


def test_tokens_are_bits_and_tokens_again() -> None:
    tokens = torch.tensor([[0, 1, 5, 9], [8, 3, 2, 7]])
    bits = Bits(10, (4,))
    found = bits(tokens)
    assert (found.shape, bits.shape) == ((2, 4, 4), (4, 4))
    assert set(found.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(bits.restore(found + 0.9 * torch.rand_like(found) - 0.45), tokens)
    assert int(bits.restore(torch.ones(1, 4, 4)).max()) == 9  # 15 is no token
    assert Bits(1, (3,)).shape == (1, 3)


def test_blocks_begin_small_and_what_they_add_smaller() -> None:
    torch.manual_seed(0)
    blocks = nn.Sequential(*(Block(64, 4) for _ in range(3)))
    initialize_transformer(blocks)
    for name, module in blocks.named_modules():
        if isinstance(module, nn.Linear):
            added = name.endswith(("attention_out", "mlp_out"))
            expected = 0.02 / math.sqrt(6) if added else 0.02
            assert float(module.weight.detach().std()) == pytest.approx(expected, rel=0.05), name


def test_cross_attention_is_the_formula_s_over_the_context() -> None:
    network = CrossAttention(6, 2)
    x, context = torch.randn(1, 3, 6), torch.randn(1, 5, 6)
    queries = network.queries(x).view(3, 2, 3)
    keys, values = network.keys_values(context).view(5, 2, 2, 3).unbind(1)
    heads = []
    for head in range(2):
        weights = (queries[:, head] @ keys[:, head].T / 3**0.5).softmax(-1)
        heads.append(weights @ values[:, head])
    expected = network.attention_out(torch.cat(heads, dim=1))
    torch.testing.assert_close(network(x, context)[0], expected)


def test_a_cross_block_keeps_to_rows_and_lets_each_see_the_whole_context() -> None:
    block = CrossBlock(8, 2)
    x, context = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    before = block(x, context)
    other = context.clone()
    other[0, 4] = torch.randn(8)
    after = block(x, other)
    assert not torch.isclose(after[0], before[0]).all(1).any()
    assert torch.equal(after[1], before[1])
    moved = x.clone()
    moved[0, 0] += 1
    torch.testing.assert_close(block(moved, context)[0, 1:], before[0, 1:])


def set_network(layers: int = 3) -> SetNetwork:
    torch.manual_seed(0)
    made = SetNetwork(3, 2, width=16, layers=layers, tokens=4, embedding_size=8)
    nn.init.normal_(made.member_out.weight)  # it begins at zero, and would hide the rest
    return made.eval()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_members_of_a_set_change_places_with_their_results_alone(layers: int) -> None:
    network = set_network(layers)
    x, vector = torch.randn(2, 30, 3), torch.randn(2, 8)
    out, order = network(x, vector), torch.randperm(30)
    assert out.shape == (2, 30, 2)
    torch.testing.assert_close(network(x[:, order], vector), out[:, order])
    out.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_every_member_sees_every_other_and_the_vector() -> None:
    network = set_network()
    x, vector = torch.randn(1, 30, 3), torch.randn(1, 8)
    before = network(x, vector)
    moved = x.clone()
    moved[0, 29] += 1
    assert not torch.isclose(network(moved, vector), before).all(2).any()
    assert not torch.isclose(network(x, vector + 1), before).all(2).any()


def test_a_set_may_have_any_number_of_members_and_twice_each_changes_nothing() -> None:
    network = set_network()
    x, vector = torch.randn(1, 7, 3), torch.randn(1, 8)
    assert network(x[:, :1], vector).shape == (1, 1, 2)
    twice = network(torch.cat([x, x], dim=1), vector)
    torch.testing.assert_close(twice[:, :7], network(x, vector))
