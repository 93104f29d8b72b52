"""What a trainer measures on held-out data: the same samples and randomness every time."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from aigc_core.engine.data import ResidentData
from aigc_core.engine.sampling import evaluation_mode
from aigc_core.engine.seeds import derive_seed, isolated_rng
from aigc_core.interfaces import StepState, Trainer


class Validation:
    """Measures a trainer's networks on held-out samples, in float32 and evaluation mode."""

    def __init__(
        self,
        trainer: Trainer,
        data: ResidentData,
        device: torch.device,
        *,
        seed: int,
        batch_size: int,
        samples: int,
    ) -> None:
        """Choose at most ``samples`` samples, evenly spread, to be seen in batches."""
        self._measure = trainer.validation()
        self._networks: list[nn.Module] = list(trainer.networks().values())
        self._data = data
        self._device = device
        self._seed = derive_seed(seed, "validation")
        self._batch_size = batch_size
        count = min(samples, len(data))
        self._indices = (torch.arange(count) * len(data) // count).to(data.index_device)

    def run(self, step: int) -> dict[str, float]:
        """Return the means over all samples, by name; training is not disturbed."""
        if self._measure is None:
            return {}
        rng = torch.Generator(self._device).manual_seed(self._seed)
        sums: dict[str, Tensor] = {}
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(isolated_rng(self._device, self._seed))
            for network in self._networks:
                stack.enter_context(evaluation_mode(network))
            for indices in torch.split(self._indices, self._batch_size):
                state = StepState(step, 0, 1, rng, {}, lambda name, value: None)
                terms: Mapping[str, Tensor] = self._measure(self._data.take(indices), state)
                for name, term in terms.items():
                    total = term.double() * len(indices)
                    sums[name] = sums[name] + total if name in sums else total
        means = torch.stack(list(sums.values())) / len(self._indices)
        return dict(zip(sums, means.tolist(), strict=True))
