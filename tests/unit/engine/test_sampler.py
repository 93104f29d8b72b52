"""The order of the data is a function of seed and position alone."""

import torch

from aigc_core.engine.order import ShuffledOrder

CPU = torch.device("cpu")


def test_every_sample_comes_once_in_each_epoch() -> None:
    order = ShuffledOrder(10, seed=1, device=CPU)
    visited = torch.cat([order.indices(start, 4) for start in range(0, 20, 4)])
    assert sorted(visited[:10].tolist()) == list(range(10))
    assert sorted(visited[10:].tolist()) == list(range(10))
    assert visited[:10].tolist() != visited[10:].tolist()


def test_any_position_can_be_asked_first() -> None:
    forward = ShuffledOrder(7, seed=3, device=CPU)
    walked = [forward.indices(start, 3).tolist() for start in range(0, 60, 3)]
    for number in (11, 2, 19, 0):
        fresh = ShuffledOrder(7, seed=3, device=CPU)
        assert fresh.indices(3 * number, 3).tolist() == walked[number]


def test_a_batch_may_be_larger_than_the_data() -> None:
    indices = ShuffledOrder(3, seed=0, device=CPU).indices(0, 8)
    assert sorted(indices[:3].tolist()) == sorted(indices[3:6].tolist()) == [0, 1, 2]
    assert len(indices) == 8


def test_another_seed_is_another_order() -> None:
    orders = [ShuffledOrder(50, seed, CPU).indices(0, 50).tolist() for seed in (0, 1)]
    assert orders[0] != orders[1]
