"""Orders of more samples than could be kept are bijections all the same."""

import pytest
import torch

from aigc_core.engine import order
from aigc_core.engine.order import ShuffledOrder, permuted


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 17, 1000, 65_537])
def test_every_index_comes_once(count: int) -> None:
    found = permuted(torch.arange(count), count, seed=7)
    assert sorted(found.tolist()) == list(range(count))


def test_seeds_give_different_orders_that_look_random() -> None:
    count = 10**10
    positions = torch.arange(100_000)
    first, second = (permuted(positions, count, seed).double() for seed in (2**62, 1))
    assert (first == second).sum() < 2
    for found in (first, second):  # uniform: mean 1/2, deviation 1/√12, neighbours independent
        assert abs(found.mean() / count - 0.5) < 0.01
        assert abs(found.std() / count - 12**-0.5) < 0.01
        assert abs(torch.corrcoef(torch.stack([found[:-1], found[1:]]))[0, 1]) < 0.02


def test_an_order_that_is_not_kept_is_a_permutation_per_epoch_wherever_it_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(order, "MAX_KEPT", 10)
    monkeypatch.setattr(order, "_BLOCK", 8)
    shuffled = ShuffledOrder(21, 0, torch.device("cpu"))
    whole = shuffled.indices(0, 42)
    assert sorted(whole[:21].tolist()) == sorted(whole[21:].tolist()) == list(range(21))
    assert whole[:21].tolist() != whole[21:].tolist()
    again = ShuffledOrder(21, 0, torch.device("cpu"))
    pieces = [again.indices(start, 3) for start in range(39, -1, -3)][::-1]
    assert torch.cat(pieces).equal(whole)


def test_ten_billion_samples_need_no_memory() -> None:
    shuffled = ShuffledOrder(10**10, 0, torch.device("cpu"))
    assert shuffled.indices(9 * 10**10 + 5, 64).max() < 10**10
