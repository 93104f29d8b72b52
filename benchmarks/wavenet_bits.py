"""Measures how well a run of audio/wavenet predicts held-out clips, and how fast it draws samples.

Bits per sample are compared with the entropy of the mu-law levels' own frequencies, the best that a
model without memory can reach. Neither counts the silence that was added at a clip's end. Times are
CPU times: with OMP_NUM_THREADS=1, other work on the machine does not count.

    AIGC_DATA_DIR=… python benchmarks/wavenet_bits.py RUN --samples 8000
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from aigc_core import AutoregressiveGenerator
from aigc_core.api import open_sampler


@torch.no_grad()
def bits(network, samples: Tensor) -> tuple[float, float, float]:
    """Return bits per sample of float32 ``(N, 1, L)``: real parts, all, and the levels' entropy."""
    tokens = pad(network.to_tokens(samples), (1, 0), value=network.start_token)  # (N, 1 + L)
    silent = samples[:, 0] == 0
    ends = samples.shape[2] - silent.flip(1).long().cumprod(1).sum(1)  # (N,): where sound ends
    real = torch.arange(samples.shape[2]) < ends[:, None]  # (N, L)
    nats = []
    for chunk in tokens.split(10):
        logits = network(chunk[:, :-1]).float()
        nats.append(cross_entropy(logits.transpose(1, 2), chunk[:, 1:], reduction="none"))
    nats = torch.cat(nats)
    counts = torch.bincount(tokens[:, 1:][real], minlength=network.vocabulary_size).double()
    shares = counts[counts > 0] / counts.sum()
    unigram = -(shares * shares.log2()).sum().item()
    return nats[real].mean().item() / math.log(2), nats.mean().item() / math.log(2), unigram


@torch.no_grad()
def without_cache(network, count: int, window: int | None) -> list[int]:
    """Draw levels; for each, run the last ``window`` levels (None: all) through the network."""
    rng = torch.Generator().manual_seed(0)
    tokens = torch.tensor([[network.start_token]])
    for _ in range(count):
        seen = tokens if window is None else tokens[:, -window:]
        logits = network(seen)[:, -1].float()
        token = torch.multinomial(logits.softmax(1), 1, generator=rng)
        tokens = torch.cat([tokens, token], dim=1)
    return tokens[0, 1:].tolist()


def main() -> None:
    """Print bits per sample and the times of drawing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--samples", type=int, default=8000)
    arguments = parser.parse_args()
    sampler = open_sampler(arguments.run, device="cpu")
    network = sampler.generator.eval()
    assert isinstance(network, AutoregressiveGenerator)
    held_out = sampler.blueprint.held_out(sampler.spec, sampler.facts.label_names)
    stored = held_out.store.arrays["samples"]
    real, whole, levels = bits(network, sampler.modality.to_model(stored))
    print(f"bits per sample: {real:.3f}; with the silence at the ends {whole:.3f}")
    print(f"entropy of the levels' frequencies: {levels:.3f} bits")
    texts, seconds = {}, {}
    steps = network.stream(1, rng=torch.Generator().manual_seed(0))
    begun = time.process_time()
    texts["cached"] = [int(next(steps)) for _ in range(arguments.samples)]
    seconds["cached"] = time.process_time() - begun
    for name, window in (("all before", None), ("what it depends on", network.receptive_field)):
        begun = time.process_time()
        texts[name] = without_cache(network, arguments.samples, window)
        seconds[name] = time.process_time() - begun
    for name, taken in seconds.items():
        same = sum(a == b for a, b in zip(texts[name], texts["cached"], strict=True))
        print(
            f"{name}: {taken:.1f} CPU s, {taken / seconds['cached']:.1f} x, "
            f"{same:,} of {arguments.samples:,} samples equal"
        )


if __name__ == "__main__":
    main()
