"""Training speed of text/gpt, preset cpu: the engine, and a plain loop like nanoGPT's.

Both train the same networks on Tiny Shakespeare with batches of 12 windows. The plain loop reads
its tokens from a NumPy memory map, stacks random windows of it, computes in fp32, as nanoGPT does
on a CPU, clips the gradients, steps AdamW (fused only on CUDA), and reads the loss every 10 steps.
A second plain loop computes in the engine's precision. The variants take turns, so that a slowdown
of the machine affects all of them.

    AIGC_DATA_DIR=… python benchmarks/gpt_throughput.py --rounds 7 --steps 40
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from aigc_core import Engine
from aigc_core.api import Blueprint
from aigc_core.config import resolve_config
from aigc_core.engine import choose_device, choose_precision, describe_device
from aigc_core.engine.optimizers import learning_rate
from aigc_core.plugins import get_host

LOG_INTERVAL = 10


def plain_loop(
    path: Path, model: torch.nn.Module, config, device: torch.device, bf16: bool
) -> Callable[[int], None]:
    """Return a function that trains for a number of steps; ``path`` holds uint16 tokens."""
    length, batch = config.dataset.options.context, config.engine.batch_size
    optimizer = config.trainer.optimizer
    model = model.to(device).train()
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    others = [p for p in model.parameters() if p.dim() < 2]
    adam = torch.optim.AdamW(
        [
            {"params": matrices, "weight_decay": optimizer.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ],
        lr=optimizer.lr,
        betas=optimizer.betas,
        fused=device.type == "cuda",
    )
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
    done = 0

    def draw() -> tuple[Tensor, Tensor]:
        data = np.memmap(path, dtype=np.uint16, mode="r")
        starts = torch.randint(len(data) - length, (batch,))
        x = torch.stack([torch.from_numpy(data[i : i + length].astype(np.int64)) for i in starts])
        y = torch.stack(
            [torch.from_numpy(data[i + 1 : i + 1 + length].astype(np.int64)) for i in starts]
        )
        return x.to(device), y.to(device)

    def run(steps: int) -> None:
        nonlocal done
        x, y = draw()
        for _ in range(steps):
            for group in adam.param_groups:
                group["lr"] = learning_rate(optimizer, done, config.engine.steps)
            with autocast:
                logits = model(x)
                loss = cross_entropy(logits.view(-1, logits.size(-1)).float(), y.view(-1))
            x, y = draw()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), optimizer.clip_grad_norm)
            adam.step()
            adam.zero_grad(set_to_none=True)
            done += 1
            if done % LOG_INTERVAL == 0:
                loss.item()

    return run


def main() -> None:
    """Time the variants in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    device = choose_device(arguments.device)
    precision = choose_precision("auto", device)
    host = get_host()
    config = resolve_config(host, "text/gpt", preset="cpu").config
    blueprint = Blueprint.of(host, config)
    store = blueprint.load()

    def parts():
        return blueprint.parts(store.spec, 0)

    scratch = tempfile.TemporaryDirectory()
    path = Path(scratch.name, "train.bin")
    windows = store.arrays["samples"]
    tokens = torch.cat([windows[:, 0], windows[-1, 1:]])
    tokens.numpy().astype(np.uint16).tofile(path)

    ours = parts()
    engine = Engine(
        ours.trainer,
        store.arrays,
        config.engine.model_copy(update={"device": str(device)}),
        transform=ours.modality.to_model,
    )

    def engine_steps(steps: int) -> None:
        engine.fit(until_step=engine.step + steps)

    variants = {
        "plain": plain_loop(path, parts().trainer.generator(), config, device, False),
        f"plain {precision}": plain_loop(
            path, parts().trainer.generator(), config, device, precision == "bf16"
        ),
        "engine": engine_steps,
    }
    for run in variants.values():
        run(10)  # warm up
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(arguments.rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run(arguments.steps)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            seconds[name].append((time.perf_counter() - start) / arguments.steps)
    print(f"{describe_device(device)}, {precision}, torch {torch.__version__}")
    for name, values in seconds.items():
        median = statistics.median(values)
        spread = f"{min(values) * 1e3:.1f}–{max(values) * 1e3:.1f}"
        print(f"{name:10} {median * 1e3:6.1f} ms a step ({spread}), {1 / median:.1f} steps/s")
    ratios = {
        f"{name}/engine": statistics.median(
            a / b for a, b in zip(seconds[name], seconds["engine"], strict=True)
        )
        for name in variants
        if name != "engine"
    }
    print(json.dumps({name: round(ratio, 3) for name, ratio in ratios.items()}))


if __name__ == "__main__":
    main()
