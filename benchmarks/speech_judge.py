"""Scores generated spoken digits with a classifier trained on real ones.

The classifier learns from the training clips of four speakers of the Free Spoken Digit Dataset; its
accuracy is measured on the two it never heard. The scores are the inception score and the Fréchet
distance to the 300 real held-out clips, for real clips, for noise, and for runs. Published scores
use other classifiers and are not comparable.

    AIGC_DATA_DIR=… python benchmarks/speech_judge.py RUN [RUN …] --count 1000
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from scores import score, settings
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, interpolate, pad
from torchaudio.transforms import MelSpectrogram

from aigc_audio.datasets.fsdd import Fsdd, recordings
from aigc_audio.options import FsddOptions
from aigc_core import DataFolders, Request, Sampler, open_sampler
from aigc_core.config import cache_folder, data_root

LENGTH = 8192
HELD_OUT = ("nicolas", "theo")
"""Speakers that the classifier never hears in training."""
EPOCHS, BATCH = 15, 64


class Classifier(nn.Module):
    """Log-mel spectrograms, four convolutions, global max pooling, ten logits."""

    def __init__(self) -> None:
        super().__init__()
        self.mel = MelSpectrogram(8000, n_fft=256, hop_length=80, n_mels=40, power=2.0)
        layers: list[nn.Module] = []
        before = 1
        for after in (24, 48, 96, 128):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
            if after < 128:
                layers.append(nn.MaxPool2d(2))
            before = after
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(128, 10)

    def levels(self, waveforms: Tensor) -> Tensor:
        """Map float32 ``(N, L)`` in [-1, 1] to log-mel spectrograms ``(N, 40, T)``."""
        return (self.mel(waveforms) + 1e-4).log()

    def features(self, levels: Tensor) -> Tensor:
        """Map log-mel spectrograms to float32 ``(N, 128)``."""
        return self.body(levels[:, None]).amax((2, 3))

    def varied(self, waveforms: Tensor) -> Tensor:
        """Return augmented spectrograms: shifted in time and pitch, louder, noisier, faster, …"""
        count, length = waveforms.shape
        places = torch.arange(length) - torch.randint(0, 2400, (count, 1))
        moved = torch.where(places >= 0, waveforms.gather(1, places.clamp(min=0)), 0.0)
        noise = torch.randn_like(moved) * torch.rand(count, 1).pow(3) * 0.02
        levels = self.levels(moved * torch.empty(count, 1).uniform_(0.3, 1.0) + noise)
        levels = levels.roll(int(torch.randint(-3, 4, ())), 1)
        frames = int(levels.shape[2] * torch.empty(()).uniform_(0.8, 1.25))
        levels = interpolate(levels, size=frames, mode="linear")
        bands = torch.arange(levels.shape[1])
        first = torch.randint(0, 36, (count, 1))
        hidden = (bands >= first) & (bands < first + torch.randint(0, 6, (count, 1)))
        return torch.where(hidden[:, :, None], levels.mean((1, 2), keepdim=True), levels)


def clips(split: str) -> tuple[Tensor, Tensor, list[str]]:
    """Return a split's waveforms ``(N, L)`` in [-1, 1], digits ``(N,)`` and speakers."""
    dataset = Fsdd(FsddOptions(samples=LENGTH), DataFolders(data_root(None), cache_folder()))
    dataset.prepare()
    arrays = dataset.load(split).arrays
    speakers = [name.split("_")[1] for name in recordings(split)]
    return arrays["samples"][:, 0].float() / 32768, arrays["labels"], speakers


def trained_classifier() -> tuple[Classifier, float]:
    """Return the classifier (cached) and its accuracy on speakers that it never heard."""
    waveforms, digits, speakers = clips("train")
    unheard = torch.tensor([speaker in HELD_OUT for speaker in speakers])
    classifier, path = Classifier(), cache_folder() / "benchmark-speech-classifier.safetensors"
    if path.exists():
        classifier.load_state_dict(safetensors.torch.load_file(path))
    else:
        _train(classifier, waveforms[~unheard], digits[~unheard])
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(classifier.state_dict(), path)
    classifier.eval()
    heard = look(classifier, waveforms[unheard])[1].argmax(1)
    return classifier, float((heard == digits[unheard].numpy()).mean())


def _train(classifier: Classifier, waveforms: Tensor, digits: Tensor) -> None:
    torch.manual_seed(0)
    steps = EPOCHS * (len(waveforms) // BATCH)
    optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(waveforms))
        for chosen in order[: len(order) // BATCH * BATCH].view(-1, BATCH):
            features = classifier.features(classifier.varied(waveforms[chosen]))
            optimizer.zero_grad()
            cross_entropy(classifier.head(dropout(features, 0.3)), digits[chosen]).backward()
            optimizer.step()
            schedule.step()


@torch.no_grad()
def look(classifier: Classifier, waveforms: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return float64 features ``(N, 128)`` and probabilities ``(N, 10)`` of clips ``(N, L)``."""
    levels = [classifier.levels(chunk) for chunk in waveforms.split(200)]
    features = torch.cat([classifier.features(chunk) for chunk in levels])
    return features.double().numpy(), classifier.head(features).double().softmax(1).numpy()


def noise_like(waveforms: Tensor) -> Tensor:
    """Return noise with each clip's own power spectrum and random phases."""
    spectrum = torch.fft.rfft(waveforms)
    turned = torch.polar(spectrum.abs(), torch.rand(spectrum.shape) * 2 * torch.pi)
    return _loud(torch.fft.irfft(turned, n=waveforms.shape[1]))


def drawn(sampler: Sampler, request: Request) -> Tensor:
    """Return a run's clips as ``(N, LENGTH)``, as loud as the real ones."""
    waveforms = sampler.samples(request)[:, 0, :LENGTH].float() / 32768
    return _loud(pad(waveforms, (0, LENGTH - waveforms.shape[1])))


def _loud(waveforms: Tensor) -> Tensor:
    return waveforms * (0.9 / waveforms.abs().amax(1, keepdim=True).clamp(min=1e-3))


def main() -> None:
    """Print the scores of real clips, of noise, and of runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--set", action="append", default=[], metavar="CONTROL=VALUE,VALUE,…")
    arguments = parser.parse_args()
    classifier, accuracy = trained_classifier()
    print(f"classifier: {accuracy:.1%} of the clips of {' and '.join(HELD_OUT)}, never heard")
    test, digits, speakers = clips("test")
    train = clips("train")[0]
    reference, heard = look(classifier, test)
    right = (heard.argmax(1) == digits.numpy()).mean()
    print(f"real held-out clips, {right:.1%} right:", _scores(classifier, test, reference))
    heard = {speaker for speaker in speakers if speaker not in HELD_OUT}
    print(f"of them, clips of {', '.join(sorted(heard))} are by speakers it knows")
    print("real training clips:", _scores(classifier, train, reference))
    torch.manual_seed(0)
    noise = noise_like(train[torch.randperm(len(train))[: arguments.count]])
    print("noise with their spectra:", _scores(classifier, noise, reference))
    for run in arguments.runs:
        sampler = open_sampler(run)
        for controls in settings(arguments.set):
            waveforms = drawn(sampler, Request(count=arguments.count, controls=controls))
            which = f"{run} {json.dumps(controls)}" if controls else f"{run}"
            print(f"{which}:", _scores(classifier, waveforms, reference), flush=True)
            if sampler.generator.label_count:
                heard = look(classifier, waveforms)[1].argmax(1)
                agreed = (heard == np.arange(len(heard)) % 10).mean()
                print(f"{which}: {agreed:.1%} of {len(heard)} are of the digit asked for")


def _scores(classifier: Classifier, waveforms: Tensor, reference: np.ndarray) -> str:
    return json.dumps(asdict(score(*look(classifier, waveforms), reference)))


if __name__ == "__main__":
    main()
