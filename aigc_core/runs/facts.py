"""What a run records of its data: it can be used without the data, but not resumed with other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from aigc_core.interfaces.config import ConfigModel
from aigc_core.interfaces.sample import Column, SampleSpec
from aigc_core.runs.record import listed

Digests = dict[str, str]
"""Digests of each array's type, shape and values, by the array's name; and, as ``label_names``,
one of the class names."""


class DatasetFacts(ConfigModel):
    """``dataset.json``."""

    spec: SampleSpec
    count: int = Field(ge=1)
    label_names: tuple[str, ...] = ()
    digest: str | None = None
    """Of the samples alone: the only digest in runs of version 0.1."""
    digests: Digests = {}
    """Of every array that is trained on; see ``aigc_core.storage.array_digest``."""
    columns: dict[str, Column] = {}
    """What arrays besides samples and labels are, by name."""
    held_out: dict[str, Digests] = {}
    """The same for the held-out data that validations measure on, by split."""

    def difference(self, now: DatasetFacts) -> str | None:
        """Return how other data differs, as part of a sentence; None if it does not.

        ``now`` must come from ``describe_data(store, like=self)``. Held-out data is compared for
        splits that both know.
        """
        pairs: list[tuple[str, Any, Any]] = [
            ("number of samples", self.count, now.count),
            ("list of class names", list(self.label_names), list(now.label_names)),
        ]
        for what, before, after in pairs:
            if before != after:
                return f"the {what} was {before} and is {after}"
        found = spec_difference(self.spec, now.spec)
        if found is not None:
            return found
        found = columns_difference(self.columns, now.columns)
        if found is not None:
            return found
        if self.digests:
            found = array_difference(self.digests, now.digests)
            if found is not None:
                return found
        elif self.digest != now.digest:
            return _OTHER["samples"]
        for split in sorted(set(self.held_out) & set(now.held_out)):
            found = array_difference(self.held_out[split], now.held_out[split])
            if found is not None:
                return f"in the held-out split '{split}', {found}"
        return None


def spec_difference(before: SampleSpec, now: SampleSpec) -> str | None:
    """Return how samples are another kind of thing, as part of a sentence; None if they are not.

    A unit that only ``now`` has does not count: an older version did not know it yet.
    """
    units = {name: now.units[name] for name in before.units if name in now.units}
    pairs: list[tuple[str, Any, Any]] = [
        ("shape of a sample", list(before.shape), list(now.shape)),
        ("type of a sample", before.dtype, now.dtype),
        ("set of units", before.units, units),
    ]
    for what, old, new in pairs:
        if old != new:
            return f"the {what} was {old} and is {new}"
    names = sorted({*before.assets, *now.assets})
    changed = [name for name in names if before.assets.get(name) != now.assets.get(name)]
    return f"samples are read in another way: {', '.join(changed)} changed" if changed else None


def other_meanings(before: DatasetFacts, now: DatasetFacts) -> list[str]:
    """Return, as parts of a sentence, what weights learned that does not hold for other data.

    Data may differ in size and content; but the same number must stand for the same thing: a
    token, a class, a second.
    """
    found = []
    names, others = list(before.label_names), list(now.label_names)
    if names and others and names != others:
        found.append(f"its classes are {listed(names)}, and here they are {listed(others)}")
    specs = [("samples", before.spec, now.spec)]
    specs += [
        (name, column.spec, now.columns[name].spec)
        for name, column in before.columns.items()
        if name in now.columns
    ]
    for name, old, new in specs:
        for unit, value in old.units.items():
            if new.units.get(unit, value) != value:
                found.append(f"the {unit} of its {name} is {value}, and here {new.units[unit]}")
        found += [
            f"its {name} have another {asset}"
            for asset, value in old.assets.items()
            if new.assets.get(asset, value) != value
        ]
    return found


def columns_difference(before: Mapping[str, Column], now: Mapping[str, Column]) -> str | None:
    """Return how further columns differ, as part of a sentence; None if they do not."""
    if set(before) != set(now):
        return f"the list of further columns was {sorted(before)} and is {sorted(now)}"
    for name, column in before.items():
        other = now[name]
        kinds = (column.modality, column.stream), (other.modality, other.stream)
        if kinds[0] != kinds[1] or spec_difference(column.spec, other.spec) is not None:
            return f"the column '{name}' holds samples of another kind"
    return None


_OTHER = {
    "samples": "the samples themselves are others, or in another order",
    "labels": "labels were changed: the same samples are in other classes",
    "label_names": "the names of the classes are others, or in another order",
}


def array_difference(before: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Return how two sets of array digests differ, as part of a sentence; None if they do not."""
    for name in sorted(set(before) ^ set(now)):
        return f"the array '{name}' {'is gone' if name in before else 'is new'}"
    changed = [name for name in before if before[name] != now[name]]
    if not changed:
        return None
    first = min(changed, key=lambda name: (name not in _OTHER, name != "samples", name))
    return _OTHER.get(first, f"the array '{first}' holds other values")
