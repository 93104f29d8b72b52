"""Small runs of several kinds, and a real server of them on this machine's own address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aigc_core import train
from aigc_core.api import Sampler, open_sampler
from aigc_core.serving import Limits, ModelPool
from aigc_serve.testing import Running, running

RECIPES = {
    "gan": "image/dcgan",  # has batch normalisation
    "vae": "image/vae",
    "translate": "image/translate",  # takes an image
    "sound": "audio/specgan",  # has classes, see OVERRIDES
    "clips": "video/gan",  # has classes
    "gpt": "text/gpt",
    "words": "text/gan",  # text, but not piece by piece
    "gaps": "text/masked",  # fills in gaps
    "digits": "joint/flow",  # several outputs, and text as a condition
}
OVERRIDES = {"sound": {"model.conditional": True}}


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained run for each name: of a few steps, since samples need not be good."""
    folder = tmp_path_factory.mktemp("runs")
    few = {"engine.steps": 2, "engine.sample_count": 4}
    return {
        name: train(
            recipe,
            preset="tiny",
            overrides=few | OVERRIDES.get(name, {}),
            device="cpu",
            out=folder / name,
        ).path
        for name, recipe in RECIPES.items()
    }


@pytest.fixture(scope="session")
def samplers(runs: dict[str, Path]) -> dict[str, Sampler]:
    """What ``aigc generate`` asks, by the same names."""
    return {name: open_sampler(path, device="cpu") for name, path in runs.items()}


@pytest.fixture(scope="session")
def served(runs: dict[str, Path]) -> Iterator[Running]:
    """All runs, served."""
    pool = ModelPool(Limits(max_queue=500, max_tokens=200_000))
    for name, path in runs.items():
        pool.add(name, path, device="cpu")
    with running(pool) as server:
        yield server


@pytest.fixture
def quiet(served: Running) -> Iterator[Running]:
    """The same; afterwards nothing may be left that is still worked on."""
    yield served
    served.wait_until(served.is_idle)
