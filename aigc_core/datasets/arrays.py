"""Arrays in the cache, with facts about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import Tensor

from aigc_core.files import atomic_file
from aigc_core.storage import PackedArray as PackedArray
from aigc_core.storage import lazy_rows as lazy_rows

_KEY = "aigc"
"""One key for all facts: the order of several keys would vary from write to write."""


def read_arrays(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the arrays and facts that ``write_arrays`` wrote; None if missing or damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()[_KEY])
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return None
    except OSError:  # a file system that cannot map files into memory: read the file
        return _read_whole(path)
    return (arrays, facts) if isinstance(facts, dict) else None


def _read_whole(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    try:
        data = path.read_bytes()
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = json.loads(header["__metadata__"][_KEY])
        arrays = load(data)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError):
        return None
    return (arrays, facts) if isinstance(facts, dict) else None


def write_arrays(path: Path, arrays: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write contiguous arrays and JSON facts to a safetensors file, atomically.

    Its folder is created if missing. The same arrays and facts give the same bytes.

    Raises:
        OSError: it could not be written; an existing file is unchanged.
    """
    with atomic_file(path) as scratch:
        try:
            save_file(dict(arrays), scratch, metadata={_KEY: json.dumps(dict(facts))})
        except SafetensorError as error:  # how it reports a full disk
            raise OSError(str(error)) from error
