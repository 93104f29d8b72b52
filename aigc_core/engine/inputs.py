"""What a program may pass to an engine, with a clear error for anything else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from aigc_core.config import EngineConfig
from aigc_core.errors import ConfigError, DataError, raised_at
from aigc_core.interfaces import Generator, Trainer


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
            together. An item is a sample, a pair of a sample and its label, or a mapping.

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
    if isinstance(data, Dataset):
        return _read_dataset(data)
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


def _read_dataset(dataset: Dataset[Any]) -> dict[str, Tensor]:
    """Read a whole map-style dataset into memory."""
    name = type(dataset).__name__
    if isinstance(dataset, TensorDataset) and len(dataset.tensors) <= 2:
        return dict(zip(("samples", "labels"), dataset.tensors, strict=False))
    try:
        count = len(dataset)  # type: ignore[arg-type]
    except TypeError:
        raise DataError(f"The dataset {name} has no length, which the engine needs.") from None
    if not count:
        raise DataError(f"The dataset {name} is empty.")
    first = _item(dataset, 0)
    needed = count * sum(part.numel() * part.element_size() for part in first.values())
    if needed > _host_memory() // 2:
        raise DataError(
            f"The dataset {name} would take {needed / 1e9:,.1f} GB, more than half of this "
            "machine's memory. Give the engine fewer or smaller samples, or keep them in their "
            "stored form (uint8, say) and convert them with transform=…"
        )
    arrays = {
        key: torch.empty((count, *part.shape), dtype=part.dtype) for key, part in first.items()
    }
    for index in range(count):
        item = first if index == 0 else _item(dataset, index)
        for key, array in arrays.items():
            part = item.get(key)
            if part is None or part.shape != array.shape[1:]:
                found = "missing" if part is None else f"of the shape {tuple(part.shape)}"
                raise DataError(
                    f"Item {index} of the dataset {name}: '{key}' is {found}, and that of item 0 "
                    f"has {tuple(array.shape[1:])}. Let its transform give all items one shape."
                )
            array[index] = part
    return arrays


def _item(dataset: Dataset[Any], index: int) -> dict[str, Tensor]:
    name = type(dataset).__name__
    try:
        item = dataset[index]
    except Exception as error:
        raise DataError(f"Item {index} of the dataset {name}: {raised_at(error)}.") from error
    if isinstance(item, tuple | list) and 1 <= len(item) <= 2:
        item = dict(zip(("samples", "labels"), item, strict=False))
    elif not isinstance(item, Mapping):
        item = {"samples": item}
    parts = {}
    for key, part in item.items():
        if not isinstance(part, Tensor | np.ndarray | np.generic | int | float):
            raise DataError(
                f"Item {index} of the dataset {name}: '{key}' is a {type(part).__name__}, not a "
                "tensor. Give the dataset a transform that makes one, such as torchvision's "
                "PILToTensor()."
            )
        parts[str(key)] = torch.as_tensor(part)
    return parts


def _host_memory() -> int:
    """Return how many bytes of memory this machine has; 16 GiB if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return 16 << 30
