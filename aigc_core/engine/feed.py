"""Batches in the pure order; what is on disk is read while earlier steps compute."""

from __future__ import annotations

from collections.abc import Mapping

from aigc_core.engine.data import Fetch, ResidentData
from aigc_core.engine.order import ShuffledOrder
from aigc_core.interfaces import Batch

STEPS_AHEAD = 4
_BYTES_AHEAD = 1 << 28


class Feed:
    """Gives the batch at a position of the order.

    Since the order is known for all time, whoever asks for the batch at a position will ask in the
    next step for the one that is a step further. That one and a few more are begun to be read; so
    each process reads ahead its own part, whatever that is. Nothing but time depends on it.
    """

    def __init__(
        self, data: ResidentData, orders: Mapping[str, ShuffledOrder], samples_per_step: int
    ) -> None:
        """Take the data, the order of each of its streams, and how far a step moves in them."""
        self._data, self._orders, self._stride = data, dict(orders), samples_per_step
        self._coming: dict[tuple[int, int], Fetch] = {}
        step_bytes = max(1, data.batch_bytes(samples_per_step))
        self._steps = max(1, min(STEPS_AHEAD, _BYTES_AHEAD // step_bytes))

    def batch(self, position: int, size: int) -> Batch:
        """Return the batch of ``size`` samples from ``position``, counted from the run's start."""
        if not self._data.on_disk:
            return self._data.finish(self._begin(position, size))
        # Nobody asks again for what is behind, or was begun before training continued elsewhere.
        near = range(position - self._stride + 1, position + (self._steps + 1) * self._stride)
        self._coming = {key: fetch for key, fetch in self._coming.items() if key[0] in near}
        fetch = self._coming.pop((position, size), None) or self._begin(position, size)
        for step in range(1, self._steps + 1):
            ahead = (position + step * self._stride, size)
            if ahead not in self._coming:
                self._coming[ahead] = self._begin(*ahead)
        return self._data.finish(fetch)

    def _begin(self, position: int, size: int) -> Fetch:
        return self._data.begin({n: o.indices(position, size) for n, o in self._orders.items()})
