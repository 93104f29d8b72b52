"""Whether clouds of solids are of the class asked for, and as a whole like real ones.

    aigc train point-cloud/flow --preset cpu --out run
    python benchmarks/points_judge.py run --count 400 --set guidance=1,2

A PointNet (Qi et al. 2017) that is trained on real clouds says which class a generated one is of.
Minimum matching distance, coverage and nearest-neighbour accuracy (see ``aigc_pointclouds.metric``)
compare it with the test split, and real clouds of the training split with that, too. The
classifier is trained anew in each call, on clouds of as many points as the run's.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from scores import settings
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from aigc_core import DataFolders, Request, SampleStore, open_sampler
from aigc_core.config import cache_folder
from aigc_pointclouds.datasets.solids import Solids
from aigc_pointclouds.metric import compared
from aigc_pointclouds.options import SolidsOptions


class PointNet(nn.Module):
    """Clouds ``(B, N, 3)`` to logits: layers for each point, then the maximum of all."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.each = nn.Sequential(
            nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 256)
        )
        self.whole = nn.Sequential(nn.ReLU(), nn.Linear(256, 128), nn.ReLU())
        self.head = nn.Linear(128, classes)

    def forward(self, clouds: Tensor) -> Tensor:
        logits: Tensor = self.head(self.whole(self.each(clouds).amax(1)))
        return logits


def trained(store: SampleStore, epochs: int = 15, batch: int = 32) -> PointNet:
    """Return a classifier of a split's clouds."""
    torch.manual_seed(0)
    network = PointNet(len(store.label_names))
    clouds, labels = store.arrays["samples"], store.arrays["labels"]
    optimizer = torch.optim.Adam(network.parameters())
    steps = len(clouds) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(clouds))[: steps * batch].view(-1, batch):
            optimizer.zero_grad()
            cross_entropy(network(clouds[chosen]), labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.no_grad()
def right(network: PointNet, clouds: Tensor, labels: Tensor) -> float:
    """Return the share of clouds that are taken for what they should be."""
    found = torch.cat([network(some).argmax(1) for some in clouds.split(100)])
    return float((found == labels).double().mean())


def rounded(values: dict[str, float]) -> str:
    """Return values in words."""
    return json.dumps({name: round(value, 5) for name, value in values.items()})


def main() -> None:
    """Print how a run's clouds are judged, and how real ones are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--set", action="append", default=[], metavar="CONTROL=VALUE,VALUE,…")
    arguments = parser.parse_args()
    sampler, count = open_sampler(arguments.run), arguments.count
    points = sampler.modality.spec.shape[0]
    solids = Solids(SolidsOptions(points=points), DataFolders(None, cache_folder()))
    train, test = solids.load("train"), solids.load("test")
    network = trained(train)
    real = test.arrays["samples"]
    accuracy = right(network, real, test.arrays["labels"])
    print(f"classifier: {accuracy:.2%} of {len(real)} test clouds of {points} points", flush=True)
    known = compared(real[:count], train.arrays["samples"][:count])
    print(f"training clouds: {rounded(known)}", flush=True)
    for controls in settings(arguments.set):
        clouds = sampler.samples(Request(count=count, controls=controls))
        which = json.dumps(controls) if controls else "generated"
        labels = torch.arange(count) % len(test.label_names)  # each class in turn
        print(f"{which}: {right(network, clouds, labels):.2%} of the class asked for", flush=True)
        per_class = {
            name: right(network, clouds[labels == label], labels[labels == label])
            for label, name in enumerate(test.label_names)
        }
        print(f"{which}: {rounded(per_class)}", flush=True)
        print(f"{which}: {rounded(compared(real[:count], clouds))}", flush=True)


if __name__ == "__main__":
    main()
