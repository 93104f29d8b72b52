"""Map-style torch datasets of a program's own: their items as arrays, in memory or in a pack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from aigc_core.errors import DataError, raised_at, reason
from aigc_core.storage.memory import data_budget, sized
from aigc_core.storage.packs import Pack, is_packed, open_pack
from aigc_core.storage.progress import Progress
from aigc_core.storage.writer import SHARD_BYTES, PackWriter

_ITEMS = 64  # that a worker hands over at once


def pack(dataset: Dataset[Any], path: str | Path, *, workers: int = 0) -> dict[str, Tensor]:
    """Write a torch dataset's items to disk once, and return them as data for an ``Engine``.

    An item is a sample, a pair of a sample and its label, or a mapping of names to tensors; all
    have one shape and type. They are read once, in order, so random augmentation would be frozen:
    leave it out. Progress is logged. A call that was killed continues with the next one, and one
    that finds a finished pack of as many items reads nothing but the first, to compare it::

        data = aigc_core.pack(MyImages("photos"), "photos.pack", workers=4)
        Engine(trainer, data, EngineConfig(steps=10_000)).fit()

    Args:
        dataset: has ``__len__`` and ``__getitem__``.
        path: the folder to write, made if missing.
        workers: processes that read items, as ``DataLoader`` has them; 0 reads in this one.

    Returns:
        ``samples`` ``(N, ...)``, ``labels`` and so on. Those for which there is no memory are
        ``PackedArray``, tensors on disk.

    Raises:
        DataError: the dataset has no length or no items, items differ in shape or type or cannot
            be read, the folder cannot be written, or holds the pack of another dataset.
    """
    name, folder = type(dataset).__name__, Path(path)
    count = item_count(dataset)
    first = item_parts(dataset, 0)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f".{folder.name}.lock")):
            if not is_packed(folder):
                _write(dataset, folder, first, workers)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {reason(error)}.") from error
    found = open_pack(folder, f"Remove that folder, and pack {name} again.")
    _check_same(found, first, name, count)
    return found.load(folder.name)


def load_pack(path: str | Path) -> dict[str, Tensor]:
    """Return the columns of a pack that ``pack`` or ``aigc datasets pack`` wrote, as ``pack`` does.

    Raises:
        DataError: it is missing, unfinished or damaged; says which file.
    """
    folder = Path(path)
    return open_pack(folder, "Pack it again.").load(folder.name)


def _write(dataset: Dataset[Any], folder: Path, first: Mapping[str, Tensor], workers: int) -> None:
    name, count = type(dataset).__name__, item_count(dataset)
    with PackWriter(folder) as writer:
        done = sum(writer.facts)
        with Progress(f"Packing {name}", "items", count) as progress:
            progress.skip(done)
            fresh = 0
            for index, parts in enumerate(_items(dataset, done, count, workers), done):
                try:
                    if parts.keys() != first.keys():
                        raise DataError(f"it has {sorted(parts)}, and item 0 {sorted(first)}.")
                    writer.append({key: part[None] for key, part in parts.items()})
                except DataError as error:
                    raise DataError(f"Item {index} of the dataset {name}: {error}") from error
                progress.add()
                fresh += 1
                if writer.size >= SHARD_BYTES:
                    writer.end_shard(fresh)
                    fresh = 0
            if fresh:
                writer.end_shard(fresh)
        writer.finish({key: writer.array(key) for key in writer.names}, {"dataset": name})


def _items(
    dataset: Dataset[Any], first: int, count: int, workers: int
) -> Iterator[dict[str, Tensor]]:
    if not workers:
        for index in range(first, count):
            yield item_parts(dataset, index)
        return
    rest = Subset(_Parts(dataset), range(first, count))
    loader = DataLoader(rest, batch_size=_ITEMS, num_workers=workers, collate_fn=list)
    for group in loader:
        for parts in group:
            if isinstance(parts, str):  # an exception would come as another one
                raise DataError(parts)
            yield parts


class _Parts(Dataset[Any]):
    """What ``item_parts`` gives, or its complaint."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return item_count(self._dataset)

    def __getitem__(self, index: int) -> dict[str, Tensor] | str:
        try:
            return item_parts(self._dataset, index)
        except DataError as error:
            return str(error)


def _check_same(found: Pack, first: Mapping[str, Tensor], name: str, count: int) -> None:
    columns = found.columns
    same = (
        set(columns) == set(first)
        and all(len(array) == count for array in columns.values())
        and all(
            columns[key].dtype == part.dtype
            and columns[key].shape[1:] == part.shape
            and torch.equal(
                columns[key][:1].view(-1).view(torch.uint8),
                part[None].contiguous().view(-1).view(torch.uint8),
            )
            for key, part in first.items()
        )
    )
    if not same:
        raise DataError(
            f"{found.folder} is the pack of another dataset: {name} has {count:,} items, or its "
            "first is another. Give another path, or remove that folder. If items are drawn at "
            "random, take that out of the dataset."
        )


def item_count(dataset: Dataset[Any]) -> int:
    """Return how many items a dataset has.

    Raises:
        DataError: it has none, or no length.
    """
    name = type(dataset).__name__
    if isinstance(dataset, IterableDataset):
        raise DataError(
            f"{name} is an IterableDataset, whose samples have no numbers: it could neither be "
            "shuffled nor resumed exactly. Give a dataset with __len__ and __getitem__."
        )
    try:
        count = len(dataset)  # type: ignore[arg-type]
    except TypeError:
        raise DataError(f"The dataset {name} has no length, which the engine needs.") from None
    if not count:
        raise DataError(f"The dataset {name} is empty.")
    return count


def read_items(dataset: Dataset[Any]) -> dict[str, Tensor]:
    """Read a whole dataset into memory.

    Raises:
        DataError: it is too large, or its items do not go together.
    """
    name, count = type(dataset).__name__, item_count(dataset)
    first = item_parts(dataset, 0)
    needed = count * sum(part.nbytes for part in first.values())
    budget = data_budget()
    if needed > budget:
        raise DataError(
            f"The dataset {name} would take {sized(needed)}, and data may take {sized(budget)} of "
            "the memory that is free. Pack it on disk, from where it is read batch by batch: "
            f'Engine(trainer, aigc_core.pack(dataset, "{name}.pack"), config)'
        )
    arrays = {
        key: torch.empty((count, *part.shape), dtype=part.dtype) for key, part in first.items()
    }
    for index in range(count):
        item = first if index == 0 else item_parts(dataset, index)
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


def item_parts(dataset: Dataset[Any], index: int) -> dict[str, Tensor]:
    """Return one item as named tensors: ``samples``, and ``labels`` of a pair.

    Raises:
        DataError: it cannot be read, or is something else.
    """
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
