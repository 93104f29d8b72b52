"""Trains some models in this process, alone or as one of several: what test_distributed.py runs.

    python tests/together.py FOLDER PARTS [CASE …]

With PARTS=2 and one process, batches are split by ``accumulate``; with two processes, by them.
"""

import hashlib
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from toys import toy_data, toy_trainer

from aigc_core import AdversarialConfig, Engine, EngineConfig
from aigc_core.api import Blueprint
from aigc_core.config import Layer, resolve_config
from aigc_core.config.layers import nest
from aigc_core.engine.distributed import Processes, joined
from aigc_core.plugins import get_host

STEPS = 20
ALIKE = {
    "engine.steps": STEPS,
    "engine.epochs": None,
    "engine.batch_size": 8,
    "engine.device": "cpu",
    "engine.precision": "fp32",
    "engine.ema": 0.9,
    "engine.validation_samples": 0,
}
DCGAN = {"dataset.name": "digits", "model.width": 4}
SGD = {f"trainer.{name}.name": "sgd" for name in ("generator", "discriminator")}
SGD |= {f"trainer.{name}.lr": 0.01 for name in ("generator", "discriminator")}
R1 = {"trainer.r1_penalty": 1.0, "trainer.r1_every": 4}
CASES: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "dcgan": ("image/dcgan", None, {**DCGAN, **R1, "model.discriminator_normalization": "none"}),
    "batch-norm": ("image/dcgan", None, DCGAN),
    "shared-norm": ("image/dcgan", None, {**DCGAN, **SGD, "engine.shared_batch_norm": True}),
    "wgan-gp": ("image/dcgan", "wgan-gp", DCGAN),
    "vae": ("image/vae", "tiny", {}),
    "flow": ("image/flow", "tiny", {}),
    "vqvae": ("image/vqvae", "tiny", {}),
    "gpt": ("text/gpt", "tiny", {"model.dropout": 0.1}),
    "masked": ("text/masked", "tiny", {}),
    "joint": ("joint/flow", "tiny", {}),
}
EARLY = {"wgan-gp": 8, "shared-norm": 3}
"""Cases that are also saved after so many steps, before rounding grows."""
WITHOUT_BATCH_NORM = {"dcgan", "wgan-gp"}


def make(case: str, accumulate: int) -> Engine:
    if case == "not finite":
        data = toy_data()
        data[17] = torch.nan
        config = EngineConfig(
            steps=STEPS, batch_size=8, accumulate=accumulate, device="cpu", precision="fp32"
        )
        trainer = toy_trainer(AdversarialConfig(), normalize=False)
        return Engine(trainer, {"samples": data}, config)
    recipe, preset, changes = CASES[case]
    layer = Layer("test", nest({**ALIKE, **changes, "engine.accumulate": accumulate}))
    host = get_host()
    blueprint = Blueprint.of(
        host, resolve_config(host, recipe, preset=preset, layers=[layer]).config
    )
    store = blueprint.load()
    parts = blueprint.parts(store, training=True)
    if case in WITHOUT_BATCH_NORM:
        for network in parts.trainer.networks().values():
            without_batch_norm(network)
    return Engine(
        parts.trainer,
        store.arrays,
        blueprint.config.engine,
        transform=parts.transforms,
        streams=store.streams,
    )


def without_batch_norm(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())


def digest(engine: Engine) -> str:
    state, found = engine.state(), hashlib.sha256()
    for tensor in [*state.weights.values(), *state.tensors.values()]:
        found.update(tensor.contiguous().view(-1).numpy().tobytes())
    return found.hexdigest()


def copied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous().clone() for name, tensor in tensors.items()}


def train(case: str, accumulate: int, folder: Path, processes: Processes) -> None:
    engine = make(case, accumulate)
    steps = range(1, STEPS + 1) if case == "batch-norm" else [STEPS]
    digests = []
    name = f"{case}-{processes.rank}"
    if case in EARLY:
        engine.fit(until_step=EARLY[case])
        save_file(copied(engine.state().weights), folder / f"{name}-early.safetensors")
    for step in steps:
        engine.fit(until_step=step)
        digests.append(digest(engine))
    state = engine.state()
    save_file(copied({**state.weights, **state.tensors}), folder / f"{name}.safetensors")
    (folder / f"{name}.txt").write_text("\n".join(digests))


def main(folder: str, parts: str, *cases: str) -> None:
    torch.set_num_threads(1)
    with joined() as processes:
        for case in cases or [*CASES, "not finite"]:
            train(case, int(parts) // processes.size, Path(folder), processes)


if __name__ == "__main__":
    main(*sys.argv[1:])
