"""What the engine itself costs: CPU time of a step with nearly nothing to compute.

The bare loop draws rows in a shuffled order, computes the same loss and updates by fused Adam; the
engine also guards, logs, derives seeds and asks what is due. Both take turns, on one thread.

    python benchmarks/engine_overhead.py --rounds 7 --steps 1000
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from aigc_core import (
    Batch,
    Engine,
    EngineConfig,
    LatentGenerator,
    OptimizerConfig,
    Phase,
    StepState,
    Trainer,
)

BATCH, ROWS = 8, 1000


class Small(LatentGenerator):
    """A linear layer, and as many batch norms as are wanted, whose buffers are guarded."""

    latent_shape = (2,)

    def __init__(self, norms: int) -> None:
        super().__init__()
        norm_layers = (nn.BatchNorm1d(2) for _ in range(norms))
        self.layers = nn.Sequential(nn.Linear(2, 2), *norm_layers)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        found: Tensor = self.layers(latents)
        return found


def loss_of(network: nn.Module, samples: Tensor) -> Tensor:
    """Return a scalar that costs nearly nothing."""
    return (network(samples) - 1).square().mean()


class SmallTrainer(Trainer):
    """One phase."""

    def __init__(self, norms: int) -> None:
        self._network = Small(norms)

    def networks(self) -> Mapping[str, nn.Module]:
        return {"generator": self._network}

    def generator(self) -> Small:
        return self._network

    def phases(self) -> Sequence[Phase]:
        return [Phase("only", ("generator",), self._loss, OptimizerConfig(lr=1e-3))]

    def _loss(self, batch: Batch, state: StepState) -> Mapping[str, Tensor]:
        return {"error": loss_of(self._network, batch["samples"])}


def engine_steps(norms: int, samples: Tensor) -> Callable[[int], None]:
    """Return a function that runs the engine for a number of steps."""
    config = EngineConfig(steps=10**8, batch_size=BATCH, precision="fp32", log_every=1000)
    engine = Engine(SmallTrainer(norms), {"samples": samples}, config)

    def run(steps: int) -> None:
        engine.fit(until_step=engine.step + steps)

    return run


def bare_steps(norms: int, samples: Tensor) -> Callable[[int], None]:
    """Return a function that runs a plain loop for a number of steps."""
    network = Small(norms)
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)

    def run(steps: int) -> None:
        order, total = torch.randperm(ROWS), torch.zeros(())
        for step in range(steps):
            start = step * BATCH % (ROWS - BATCH)
            loss = loss_of(network, samples.index_select(0, order[start : start + BATCH]))
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            total += loss.detach()

    return run


def main() -> None:
    """Print the medians of both loops, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    samples = torch.randn(ROWS, 2)
    for norms in (0, 3):
        loops = {"engine": engine_steps(norms, samples), "bare": bare_steps(norms, samples)}
        times: dict[str, list[float]] = {name: [] for name in loops}
        for number in range(arguments.rounds + 1):
            for name, run in loops.items():
                started = time.process_time()
                run(arguments.steps)
                if number:  # the first round warms up
                    times[name].append((time.process_time() - started) / arguments.steps * 1e6)
        engine, bare = (statistics.median(found) for found in times.values())
        print(
            f"{norms} norms: engine {engine:.0f} µs a step, bare {bare:.0f}: {engine / bare:.2f} x"
        )


if __name__ == "__main__":
    main()
