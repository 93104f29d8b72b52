"""Training speed of image/dcgan: the article's loop, a careful plain loop, and the engine.

All three train the same networks on MNIST with batches of 64. The careful loop is what someone who
knows PyTorch well would write for this model: data in a tensor, bf16 autocast and channels_last,
fused Adam, the fakes drawn once a step, the discriminator frozen while the generator learns, an
EMA by torch's own AveragedModel, losses kept on the device. The variants take turns, so that a
slowdown of the machine affects all of them.

    AIGC_DATA_DIR=… python benchmarks/train_throughput.py --rounds 7 --steps 30
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
from article_loop import article_loop, networks
from digit_judge import mnist
from torch.nn.functional import softplus
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from aigc_core import AdversarialConfig, AdversarialTrainer, Engine, EngineConfig, SampleSpec
from aigc_core.config import cache_folder
from aigc_core.engine import choose_device, choose_precision, describe_device
from aigc_image.modality import ImageModality

BATCH = 64


def careful_loop(images: torch.Tensor, device: torch.device, bf16: bool) -> Iterator[None]:
    """Train forever, yielding after every step. ``images``: uint8 (N, 1, 28, 28) on the device."""
    # Like the engine, use channels_last where it is fast: on a CPU only with bf16.
    layout = torch.channels_last if bf16 or device.type == "cuda" else torch.contiguous_format
    g, d = (net.to(memory_format=layout) for net in networks(str(device)))
    ema = AveragedModel(g, multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=True)
    g_adam = torch.optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    d_adam = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=True)
    d_parameters = list(d.parameters())
    sums = torch.zeros(2, device=device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    while True:
        order = torch.randperm(len(images), device=device)
        for chosen in order[: len(images) // BATCH * BATCH].view(-1, BATCH):
            real = torch.nn.functional.pad(images[chosen] * (2 / 255) - 1, (2, 2, 2, 2), value=-1)
            real = real.contiguous(memory_format=layout)
            with autocast:
                fakes = g(torch.randn(BATCH, 100, device=device))
                d_loss = softplus(-d(real).float()).mean()
                d_loss = d_loss + softplus(d(fakes.detach()).float()).mean()
            d_loss.backward()
            d_adam.step()
            d_adam.zero_grad(set_to_none=True)
            for parameter in d_parameters:
                parameter.requires_grad_(False)
            with autocast:
                g_loss = softplus(-d(fakes).float()).mean()
            g_loss.backward()
            g_adam.step()
            g_adam.zero_grad(set_to_none=True)
            for parameter in d_parameters:
                parameter.requires_grad_(True)
            ema.update_parameters(g)
            sums += torch.stack([d_loss.detach(), g_loss.detach()])
            yield


def engine_steps(images: torch.Tensor, device: torch.device) -> Callable[[int], None]:
    """Return a function that runs the engine for a number of steps, with the recipe's defaults."""
    modality = ImageModality(SampleSpec(shape=(1, 28, 28), dtype="uint8"))
    config = EngineConfig(steps=10**9, batch_size=BATCH, ema=0.999, device=str(device))
    trainer = AdversarialTrainer(*networks(), AdversarialConfig())
    engine = Engine(trainer, {"samples": images}, config, transform=modality.to_model)

    def run(steps: int) -> None:
        engine.fit(until_step=engine.step + steps)

    return run


def consume(loop: Iterator[object], device: torch.device) -> Callable[[int], None]:
    """Return a function that runs a loop for a number of steps."""

    def run(steps: int) -> None:
        for _ in islice(loop, steps):
            pass
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def main() -> None:
    """Time the variants in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    precision = choose_precision("auto", device)
    images = mnist("train").arrays["samples"].to(device)
    scratch = tempfile.TemporaryDirectory()
    root = Path(scratch.name)  # the layout that torchvision looks for
    (root / "MNIST").mkdir()
    (root / "MNIST" / "raw").symlink_to(cache_folder() / "mnist")
    variants = {
        "article": consume(article_loop(root, *networks(str(device)), str(device)), device),
        "careful": consume(careful_loop(images, device, precision == "bf16"), device),
        "engine": engine_steps(images, device),
    }
    for run in variants.values():
        run(5)  # warm up
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(arguments.rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run(arguments.steps)
            seconds[name].append((time.perf_counter() - start) / arguments.steps)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print(f"{describe_device(device)}, {precision}, torch {torch.__version__}")
    for name, median in medians.items():
        low, high = min(seconds[name]), max(seconds[name])
        print(
            f"{name:8} {median * 1e3:7.1f} ms a step ({low * 1e3:.1f}–{high * 1e3:.1f}), "
            f"{BATCH / median:,.0f} images/s"
        )
    ratios = {
        name: statistics.median(
            a / b for a, b in zip(seconds[name], seconds["engine"], strict=True)
        )
        for name in ("article", "careful")
    }
    print(json.dumps({"article/engine": ratios["article"], "careful/engine": ratios["careful"]}))


if __name__ == "__main__":
    main()
