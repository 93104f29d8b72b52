"""Scores generated digits with a classifier trained on real ones.

Inception networks know photographs, not 28-pixel digits, so the scores here use a small
convolutional classifier of MNIST itself. They compare settings of this project with one another,
not with published Fréchet Inception Distances.

    python benchmarks/digit_judge.py RUN [RUN …] --count 10000
    python benchmarks/digit_judge.py AUTOENCODER --count 2000 --reconstruct
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from scores import Scores, score, settings
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from aigc_core import DataFolders, Request, Sampler, SampleStore, open_sampler
from aigc_core.config import cache_folder, data_root
from aigc_image.datasets.mnist import Mnist
from aigc_image.options import MnistOptions

AGREEMENT_COUNT = 1000


class Classifier(nn.Module):
    """A network like LeNet: two convolutions, 128 features, ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, 10)

    def features(self, images: Tensor) -> Tensor:
        """Map uint8 ``(N, 1, 28, 28)`` to float32 ``(N, 128)``."""
        return self.body(images.float() / 255)


def mnist(split: str) -> SampleStore:
    """Load MNIST from AIGC_DATA_DIR or a download."""
    dataset = Mnist(MnistOptions(), DataFolders(data_root(None), cache_folder()))
    dataset.prepare()
    return dataset.load(split)


def trained_classifier() -> tuple[Classifier, float]:
    """Return the classifier and its accuracy on the test split; trained once, then cached."""
    classifier, path = Classifier(), cache_folder() / "benchmark-digit-classifier.safetensors"
    if path.exists():
        classifier.load_state_dict(safetensors.torch.load_file(path))
    else:
        store = mnist("train")
        images, labels = store.arrays["samples"], store.arrays["labels"]
        torch.manual_seed(0)
        epochs, batch = 3, 128
        optimizer = torch.optim.Adam(classifier.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 3e-3, total_steps=epochs * (len(images) // batch)
        )
        for _ in range(epochs):
            order = torch.randperm(len(images))
            for chosen in order[: len(images) // batch * batch].view(-1, batch):
                logits = classifier.head(classifier.features(images[chosen]))
                optimizer.zero_grad()
                cross_entropy(logits, labels[chosen]).backward()
                optimizer.step()
                schedule.step()
        safetensors.torch.save_file(classifier.state_dict(), path)
    classifier.eval()
    test = mnist("test")
    _, probabilities = _look(classifier, test.arrays["samples"])
    accuracy = (probabilities.argmax(1) == test.arrays["labels"].numpy()).mean()
    return classifier, float(accuracy)


@torch.no_grad()
def _look(classifier: Classifier, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    features = torch.cat([classifier.features(chunk) for chunk in images.split(500)])
    probabilities = classifier.head(features).double().softmax(1)
    return features.double().numpy(), probabilities.numpy()


def judge(classifier: Classifier, images: Tensor, real: Tensor) -> Scores:
    """Score uint8 ``(N, 1, 28, 28)`` images against real ones; N should be thousands."""
    return score(*_look(classifier, images), _look(classifier, real)[0])


def agreement(classifier: Classifier, images: Tensor) -> float:
    """Return the share of images classified as the digit asked for: 0 to 9 in turn."""
    _, probabilities = _look(classifier, images)
    return float((probabilities.argmax(1) == np.arange(len(images)) % 10).mean())


def reconstructions(
    classifier: Classifier, sampler: Sampler, count: int, real: Tensor
) -> dict[str, float]:
    """Score reconstructions of held-out digits, and compare each with the digit it is of.

    The error is the mean square of values in [-1, 1]; ``same`` the share whose class stays.
    """
    pairs = torch.cat(list(sampler.reconstruct(Request(count=count))))
    before, after = pairs[::2], pairs[1::2]
    error = (before.float() - after.float()).mul(2 / 255).square().mean()
    classes = [_look(classifier, images)[1].argmax(1) for images in (before, after)]
    same = (classes[0] == classes[1]).mean()
    scores = asdict(judge(classifier, after, real))
    return {"squared_error": float(error), "same": float(same), **scores}


def main() -> None:
    """Print the scores of runs, and of real images against one another for comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--reconstruct", action="store_true", help="score reconstructions instead")
    parser.add_argument("--set", action="append", default=[], metavar="CONTROL=VALUE,VALUE,…")
    arguments = parser.parse_args()
    classifier, accuracy = trained_classifier()
    real = mnist("test").arrays["samples"]
    train = mnist("train").arrays["samples"]  # drawn at random: writers follow one another
    chosen = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    print(f"classifier: {accuracy:.2%} of the test images")
    found = judge(classifier, train[chosen[: arguments.count]], real)
    print("real training images:", json.dumps(asdict(found)))
    for run in arguments.runs:
        sampler = open_sampler(run)
        if arguments.reconstruct:
            kept = reconstructions(classifier, sampler, arguments.count, real)
            print(f"{run}: {json.dumps(kept)}", flush=True)
            continue
        for controls in settings(arguments.set):
            images = sampler.samples(Request(count=arguments.count, controls=controls))
            which = f"{run} {json.dumps(controls)}" if controls else f"{run}"
            scores = asdict(judge(classifier, images, real))
            print(f"{which}: {json.dumps(scores)}", flush=True)
            if sampler.generator.label_count:
                agreed = agreement(classifier, images[:AGREEMENT_COUNT])
                print(f"{which}: {agreed:.1%} of {AGREEMENT_COUNT} are of the class asked for")


if __name__ == "__main__":
    main()
