"""What a program may pass to an engine, with a clear error for anything else."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from aigc_core.config import EngineConfig
from aigc_core.errors import ConfigError, DataError
from aigc_core.interfaces import Generator, Trainer
from aigc_core.storage.items import read_items


def check_trainer(trainer: object, config: object) -> None:
    """Check the types of a trainer and its settings.

    Raises:
        ConfigError: one is of another type; says what to pass instead.
    """
    if not isinstance(trainer, Trainer):
        raise ConfigError(
            f"Engine needs a Trainer, and was given {described(trainer)}. A network alone "
            "does not say how it is trained: use AdversarialTrainer, VariationalTrainer or "
            "AutoregressiveTrainer, or derive from aigc_core.Trainer."
        )
    if not isinstance(config, EngineConfig):
        raise ConfigError(
            f"Engine needs an EngineConfig, and was given {described(config)}. Make one with: "
            "EngineConfig(steps=1000, batch_size=64)"
        )


def generator_of(trainer: Trainer) -> Generator:
    """Return a trainer's generator.

    Raises:
        ConfigError: it is not a ``Generator``.
    """
    generator: object = trainer.generator()
    if not isinstance(generator, Generator):
        raise ConfigError(
            f"{type(trainer).__name__}.generator() gave {described(generator)}, which is not an "
            "aigc_core.Generator. Derive the network from aigc_core.Generator and give it a method "
            "sample(), or from LatentGenerator or AutoregressiveGenerator, which have one."
        )
    return generator


def described(value: object) -> str:
    """Return what a value is, as part of a sentence: ``a Linear``, ``the class Linear``."""
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    article = "an" if name[:1].lower() in "aeiou" else "a"
    return f"the class {name}" if isinstance(value, type) else f"{article} {name}"


def as_arrays(data: object) -> dict[str, Tensor]:
    """Turn the data passed to an engine into named tensors.

    Args:
        data: tensors or NumPy arrays by name; one of them, which is then ``samples``; or a
            map-style ``torch.utils.data.Dataset`` whose items, all of one shape, fit in memory
            together, or else go through ``aigc_core.pack``. An item is a sample, a pair of a sample
            and its label, or a mapping.

    Raises:
        DataError: it is something else; says what to pass instead.
    """
    if isinstance(data, Tensor | np.ndarray):
        return {"samples": _as_tensor("samples", data)}
    if isinstance(data, Mapping):
        return {str(name): _as_tensor(str(name), array) for name, array in data.items()}
    if isinstance(data, DataLoader):
        raise DataError(
            "The engine shuffles and batches by itself. Give it the loader's dataset: "
            "Engine(trainer, loader.dataset, config)"
        )
    if isinstance(data, IterableDataset):
        raise DataError(
            "The engine needs data whose samples it can find by number, to shuffle it and to "
            "resume exactly, and an IterableDataset has no numbers. Read it into one array first: "
            'Engine(trainer, {"samples": torch.stack(list(dataset))}, config)'
        )
    if isinstance(data, TensorDataset) and len(data.tensors) <= 2:
        return dict(zip(("samples", "labels"), data.tensors, strict=False))
    if isinstance(data, Dataset):
        return read_items(data)
    raise DataError(
        f"The engine cannot take a {type(data).__name__} as its data. Give it a tensor or NumPy "
        "array of samples (N, ...), a mapping such as {'samples': samples, 'labels': labels}, or a "
        "map-style torch.utils.data.Dataset."
    )


def _as_tensor(name: str, array: object) -> Tensor:
    if isinstance(array, np.ndarray):
        try:
            return torch.from_numpy(np.ascontiguousarray(array))
        except TypeError:
            raise DataError(f"The array '{name}' is of {array.dtype}, which torch lacks.") from None
    if not isinstance(array, Tensor):
        raise DataError(
            f"'{name}' should be a tensor or a NumPy array, and is a {type(array).__name__}."
        )
    return array
