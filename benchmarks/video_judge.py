"""Whether generated clips of moving digits keep one digit, the one asked for, and move smoothly.

Frames are judged one by one by a classifier that was trained on single frames of the training split
of ``moving-digits`` and measured on the held-out one, whose pictures it never saw. Motion is
measured by the centre of brightness, in pixels, and by differences of frames, in [0, 1], beside
clips of the held-out split.

    aigc train video/flow --preset cpu --out run
    python benchmarks/video_judge.py run --count 200 --guidance 1 2
"""

from __future__ import annotations

import argparse
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from aigc_core import DataFolders, Request, SampleStore, open_sampler
from aigc_core.config import cache_folder, data_root
from aigc_video.datasets.moving_digits import MovingDigits
from aigc_video.options import MovingDigitsOptions

SURE = 0.9
"""Share of a clip's frames that must be of one class for it to keep that class."""


def moving_digits(split: str) -> SampleStore:
    """Load the clips of the dataset as it is without options."""
    dataset = MovingDigits(MovingDigitsOptions(), DataFolders(data_root(None), cache_folder()))
    dataset.prepare()
    return dataset.load(split)


class Classifier(nn.Sequential):
    """Frames ``(N, 1, 32, 32)`` in [0, 1] to ten logits, wherever the digit is."""

    def __init__(self) -> None:
        def block(before: int, after: int) -> list[nn.Module]:
            conv = nn.Conv2d(before, after, 3, padding=1)
            return [conv, nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]

        super().__init__(
            *block(1, 32), *block(32, 64), *block(64, 128), nn.Flatten(), nn.Linear(128 * 16, 10)
        )


def trained_classifier() -> tuple[Classifier, float]:
    """Return the classifier and its accuracy on held-out frames; trained once, then cached."""
    classifier = Classifier()
    path = cache_folder() / "benchmark-moving-digits-classifier.safetensors"
    if path.exists():
        classifier.load_state_dict(safetensors.torch.load_file(path))
    else:
        store = moving_digits("train")
        clips, labels = store.arrays["samples"], store.arrays["labels"]
        torch.manual_seed(0)
        steps, batch = 1000, 128
        optimizer = torch.optim.Adam(classifier.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        for _ in range(steps):
            rows = torch.randint(len(clips), (batch,))
            frames = clips[rows, torch.randint(clips.shape[1], (batch,))].float() / 255
            optimizer.zero_grad()
            cross_entropy(classifier(frames), labels[rows]).backward()
            optimizer.step()
            schedule.step()
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(classifier.state_dict(), path)
    classifier.eval()
    store = moving_digits("test")
    right = classes(classifier, store.arrays["samples"]) == store.arrays["labels"][:, None]
    return classifier, right.double().mean().item()


@torch.no_grad()
def classes(classifier: Classifier, clips: Tensor) -> Tensor:
    """Return the class of each frame of uint8 ``(N, T, 1, 32, 32)``: int64 ``(N, T)``."""
    found = [
        classifier(part.flatten(0, 1).float() / 255).argmax(1).view(len(part), -1)
        for part in clips.split(64)
    ]
    return torch.cat(found)


def kept(found: Tensor) -> tuple[Tensor, Tensor]:
    """Return the commonest class of each row of ``(N, T)``, and whether nearly all are of it."""
    commonest = found.mode(dim=1).values
    return commonest, (found == commonest[:, None]).double().mean(1) >= SURE


def motion(clips: Tensor) -> dict[str, float]:
    """Return means over uint8 clips ``(N, T, 1, H, W)``, of frames that are not black.

    ``step``: how far the centre of brightness moves in a frame, in pixels. ``jerk``: the length of
    its second difference, which is 0 but where a digit bounces. ``change``: the mean absolute
    difference of neighbouring frames. ``brightness``: how much a frame's sum differs from the
    clip's mean, as a share of that.
    """
    mass = clips[:, :, 0].double() / 255
    total = mass.sum((-2, -1)).clamp(min=1e-9)
    places = torch.arange(mass.shape[-1], dtype=torch.float64)
    centres = torch.stack([mass.sum(3) @ places / total, mass.sum(2) @ places / total], -1)
    whole = (total > 1).all(1)  # a black frame has no centre
    centres = centres[whole]
    mean = total.mean(1, keepdim=True)
    return {
        "step": centres.diff(dim=1).norm(dim=-1).mean().item(),
        "jerk": centres.diff(n=2, dim=1).norm(dim=-1).mean().item(),
        "change": mass.diff(dim=1).abs().mean().item(),
        "brightness": ((total - mean).abs() / mean).mean().item(),
    }


def report(what: str, classifier: Classifier, clips: Tensor, labels: Tensor) -> None:
    """Print a line on clips that should be of these classes."""
    commonest, keeps = kept(classes(classifier, clips))
    moved = ", ".join(f"{name} {value:.4f}" for name, value in motion(clips).items())
    right = keeps & (commonest == labels)
    print(
        f"{what}: keeps one class {keeps.double().mean():.1%}, the one asked for "
        f"{right.double().mean():.1%}; {moved}",
        flush=True,
    )


def main() -> None:
    """Print a line for real clips, and one for each way to draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 2.0])
    arguments = parser.parse_args()
    classifier, accuracy = trained_classifier()
    print(f"judge: {accuracy:.1%} of held-out frames")
    test, sampler, count = moving_digits("test"), open_sampler(arguments.run), arguments.count
    labels = test.arrays["labels"][:count]
    report("real clips", classifier, test.arrays["samples"][:count], labels)
    described = sampler.describe()
    ways = {"by class": {"label": labels}}
    if "first_frame" in described["conditions"]:
        frames = test.arrays["first_frame"][:count]
        ways["by class and first frame"] = {"label": labels, "first_frame": frames}
    is_flow = "guidance" in described["controls"]["properties"]
    for guidance in arguments.guidance if is_flow else [None]:
        for way, inputs in ways.items():
            what = way if guidance is None else f"{way}, guidance {guidance:g}"
            controls = {} if guidance is None else {"guidance": guidance}
            asked = Request(count=count, inputs=inputs, controls=controls)
            report(what, classifier, sampler.columns(asked)["samples"], labels)


if __name__ == "__main__":
    main()
