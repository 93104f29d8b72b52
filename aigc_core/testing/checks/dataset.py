"""Promises of datasets: samples as the spec says, the same every time, or a clear error."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from aigc_core.errors import DataError
from aigc_core.interfaces import SampleStore
from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.process.isolation import no_network
from aigc_core.testing.results import CheckFailed, describe
from aigc_core.testing.stores import digests_of
from aigc_core.testing.subjects import DatasetSubject

CHECKS = Checks()
PATIENCE_S = 30.0
"""Seconds within which ``prepare`` without a network should give up."""
UNKNOWN = "no_such_setting"


@CHECKS.dataset(lambda spec: spec.options is not None)
def options_config(dataset: DatasetSubject) -> None:
    """The options have defaults, survive a round trip through JSON, and refuse unknown keys.

    Runs keep them in ``config.yaml``, and a misspelt key that is ignored costs someone a day.
    """
    schema = dataset.schema
    assert schema is not None
    try:
        options = schema.model_validate({})
    except ValidationError as error:
        field = error.errors()[0]["loc"][0]
        raise CheckFailed(
            f"{schema.__name__} has no default for '{field}', so the dataset cannot be named "
            "without giving it. Every option needs a default."
        ) from error
    again = schema.model_validate(options.model_dump(mode="json"))
    fail_unless(
        again == options,
        f"{schema.__name__} does not survive being written as JSON and read back: "
        f"{options!r} became {again!r}.",
    )
    try:
        schema.model_validate({UNKNOWN: 1})
    except ValidationError:
        return
    raise CheckFailed(
        f"{schema.__name__} accepts the unknown key '{UNKNOWN}'. Derive it from "
        "aigc_core.ConfigModel and leave 'extra' as it is."
    )


@CHECKS.dataset(lambda spec: spec.embedded)
def loads(dataset: DatasetSubject) -> None:
    """Each split loads what its spec says, and the same every time, in another process too.

    Labels index ``label_names``; a run can only be resumed with the data that it started with.
    """
    ours: dict[str, dict[str, str]] = {}
    cache = dataset.plugin.folder / "cache"
    for split in dataset.spec.splits:
        stores = []
        for _ in range(2):
            made = dataset.make(cache)
            made.prepare()
            made.prepare()
            stores.append(made.load(split))
            _check_store(stores[-1], f"The split '{split}'")
        first, second = stores
        same = (
            first.arrays.keys() == second.arrays.keys()
            and all(torch.equal(first.arrays[n], second.arrays[n]) for n in first.arrays)
            and (first.spec, first.label_names) == (second.spec, second.label_names)
        )
        fail_unless(same, f"The split '{split}' differs from one load to the next.")
        ours[split] = digests_of(first)
    theirs = dataset.plugin.answer(dataset.label)["digests"]
    for split, digests in ours.items():
        for name in digests:
            fail_unless(
                digests[name] == theirs[split].get(name),
                f"The split '{split}' differs in another process: '{name}' is not the same. Look "
                "for an order that is not kept, such as that of a set or of a folder's files.",
            )


def _check_store(store: object, what: str) -> None:
    if not isinstance(store, SampleStore):
        raise CheckFailed(f"{what} gave a {type(store).__name__}, not a SampleStore.")
    for name, array in store.arrays.items():
        if not isinstance(array, Tensor) or array.device.type != "cpu":
            raise CheckFailed(f"{what}: '{name}' is not a tensor on the CPU.")
    samples = store.arrays["samples"]
    specs = {"samples": store.spec, **{name: c.spec for name, c in store.columns.items()}}
    for name, spec in specs.items():
        array, dtype = store.arrays[name], getattr(torch, spec.dtype)
        fail_unless(
            array.dtype == dtype,
            f"{what}: its {name} are {array.dtype}, and their SampleSpec says {spec.dtype}.",
        )
        fail_unless(torch.isfinite(array).all(), f"{what}: its {name} are not all finite.")
    labels, count = store.arrays.get("labels"), len(store.label_names)
    if labels is None:
        fail_unless(not count, f"{what} has label_names and no array 'labels'.")
        return
    fail_unless(
        labels.dtype == torch.int64 and labels.shape == (len(samples),),
        f"{what}: its labels are {labels.dtype} of the shape {tuple(labels.shape)}; they should be "
        f"torch.int64 of the shape {(len(samples),)}.",
    )
    if not len(labels):  # a held-out split may be empty
        return
    low, high = int(labels.min()), int(labels.max())
    fail_unless(
        low >= 0 and high < count,
        f"{what}: its labels go from {low} to {high}, and there are {count} label_names.",
    )


@CHECKS.dataset(lambda spec: spec.embedded)
def fits_modality(dataset: DatasetSubject) -> None:
    """The modality that the spec names accepts the dataset's samples.

    It may be another plugin's modality; a dataset that it refuses cannot be trained on.
    """
    host, name = dataset.plugin.host, dataset.spec.modality
    cls = host.resolve(host.modality(name).code, host.owner("modality", name))
    try:
        shape = cls(dataset.store.spec).sample_shape
    except DataError as error:
        raise CheckFailed(f"The modality '{name}' refuses its samples: {error}") from error
    fail_unless(
        isinstance(shape, tuple) and all(isinstance(n, int) and n > 0 for n in shape),
        f"For its samples the modality '{name}' has the sample_shape {shape!r}; it should be a "
        "tuple of positive whole numbers.",
    )


@CHECKS.dataset(lambda spec: spec.embedded)
def writes_only_in_cache(dataset: DatasetSubject) -> None:
    """Preparing and loading write only to the cache folder.

    It is the one place that users know about, move and clear.
    """
    check_written(dataset.plugin.answer(dataset.label), "Preparing and loading it")


def check_written(answer: dict[str, Any], what: str) -> None:
    """Raise ``CheckFailed`` if the separate process wrote where it should not."""
    found: list[str] = answer["written"]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    fail_unless(not found, f"{what} wrote {'; '.join(found[:3])}{more}.")


@CHECKS.dataset(lambda spec: not spec.embedded)
def says_ways_out(dataset: DatasetSubject) -> None:
    """With an empty cache, no user data and no network, ``prepare`` says what to do.

    A new user on a train is in that situation, and a traceback or a hang tells them nothing.
    """
    cache = dataset.plugin.folder / "empty-caches" / dataset.spec.name
    _ = dataset.options, dataset.plugin.host.resolve(dataset.spec.code, dataset.plugin.name)
    outcome: list[BaseException | None] = []
    thread = threading.Thread(target=_prepare, args=(dataset, cache, outcome), daemon=True)
    with no_network():
        thread.start()
        thread.join(PATIENCE_S)
    fail_unless(
        outcome,
        f"prepare() without a network was still at work after {PATIENCE_S:.0f} seconds. It should "
        "give up soon, with a DataError that names the ways out.",
    )
    error = outcome[0]
    if error is None:
        raise CheckFailed(
            "prepare() needed neither a network nor files. Declare the dataset with embedded=True, "
            "or let prepare() find out what is missing."
        )
    fail_unless(
        isinstance(error, DataError),
        f"prepare() without a network raised {describe(error)} It should raise a DataError that "
        "names the ways out.",
    )
    text = str(error)
    fail_unless(
        len(text.split()) > 3 and text.rstrip().endswith((".", "?", "!")) and "\n" not in text,
        f"prepare() without a network says {text!r}. It should be a sentence that names the ways "
        "out, such as a folder to put files in.",
    )


def _prepare(dataset: DatasetSubject, cache: Path, outcome: list[BaseException | None]) -> None:
    try:
        dataset.make(cache).prepare()
    except BaseException as error:  # reported by the thread that waits
        outcome.append(error)
    else:
        outcome.append(None)
