"""What a run records about its own files, to detect edits and damage that nothing else would.

Checkpoints are verified by their manifests. ``config.yaml``, ``dataset.json`` and
``metrics.jsonl`` lie beside them and change as a run is extended, so each checkpoint records what
they were when it was written. Free of torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from aigc_core.errors import shown
from aigc_core.interfaces.config import ConfigModel

_MISSING = object()
_SHOWN = 8


class MetricsRecord(ConfigModel):
    """The beginning of ``metrics.jsonl``."""

    bytes: int = Field(ge=0)
    digest: str


class RunRecord(ConfigModel):
    """What the files beside a checkpoint were when it was written."""

    config: dict[str, Any]
    """The content of ``config.yaml``."""
    dataset: dict[str, str]
    """A digest of the value of each field of ``dataset.json``."""
    metrics: MetricsRecord | None = None


class Resumption(ConfigModel):
    """Records that a run was resumed with new settings, before ``config.yaml`` is changed.

    A process can be killed between deciding on new settings and writing ``config.yaml``. Whoever
    resumes next finds this record, and trains with the new settings.
    """

    step: int = Field(ge=0)
    """Step of the checkpoint from which the run was resumed."""
    config: dict[str, Any]
    """The new content of ``config.yaml``."""
    drops_ending: bool = False
    """Whether the checkpoint's ending no longer counts: whoever resumed wanted more."""


def record_of(config: Mapping[str, Any], dataset: Mapping[str, Any]) -> RunRecord:
    """Return what to record of the content of ``config.yaml`` and ``dataset.json``."""
    return RunRecord(
        config=_plain(config), dataset={name: _digest(value) for name, value in dataset.items()}
    )


def config_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a configuration's changes by dotted key: ``engine.steps was 10 and is 20``."""
    old, new = dict(_leaves(_plain(before))), dict(_leaves(_plain(now)))
    changes = []
    for key in [*old, *(key for key in new if key not in old)]:
        was, is_now = old.get(key, _MISSING), new.get(key, _MISSING)
        if _same(was, is_now):
            continue
        if was is _MISSING:
            changes.append(f"{key} is new: {shown(is_now)}")
        elif is_now is _MISSING:
            changes.append(f"{key} was {shown(was)} and is gone")
        else:
            changes.append(f"{key} was {shown(was)} and is {shown(is_now)}")
    return changes


def dataset_changes(before: Mapping[str, str], now: Mapping[str, Any]) -> list[str]:
    """Return which fields of ``dataset.json`` differ from a record."""
    found = {name: _digest(value) for name, value in now.items()}
    names = sorted(name for name in before if before[name] != found.get(name))
    return [f"'{name}' was changed" for name in names]


def listed(changes: list[str]) -> str:
    """Return changes as part of a sentence; if there are many, only the first few."""
    rest = len(changes) - _SHOWN
    return "; ".join(changes[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")


def _digest(value: Any) -> str:
    text = json.dumps(_plain(value), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    """Return data as it is after a round trip through JSON: tuples become lists."""
    return json.loads(json.dumps(value, default=str))


def _leaves(values: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(values, dict) or not values:
        return [(prefix, values)]
    return [
        leaf
        for key, value in values.items()
        for leaf in _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    ]


def _same(before: Any, now: Any) -> bool:
    if isinstance(before, bool) or isinstance(now, bool):
        return before is now
    return bool(before == now)
