"""The header of a safetensors file, checked as untrusted before any of its tensors is read.

A file is a length of 8 bytes, a JSON header of that length, and the tensors' bytes in a row
(https://github.com/huggingface/safetensors#format). Free of torch.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypeGuard

from aigc_core.errors import shown
from aigc_core.runs.inside import open_file

MAX_HEADER_BYTES = 16 << 20
_DTYPE_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "I16": 2, "U16": 2, "F16": 2,
    "BF16": 2, "I32": 4, "U32": 4, "F32": 4, "F64": 8, "I64": 8, "U64": 8, "C64": 8,
}  # fmt: skip


class TensorInfo(NamedTuple):
    """What a header says about one tensor."""

    dtype: str
    """The name safetensors gives it, such as ``F32``."""
    shape: tuple[int, ...]
    bytes: int


Header = Mapping[str, TensorInfo]


def read_header(path: Path) -> Header:
    """Return what a file says about its tensors, checked against its size.

    Raises:
        ValueError: it is damaged or hostile; the message is to go in brackets.
        FileNotFoundError: it is missing.
        RunError: it is a link, not a regular file, or cannot be read.
    """
    with os.fdopen(open_file(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(8)
        if len(first) < 8:
            raise ValueError(f"{path.name} has no header")
        (length,) = struct.unpack("<Q", first)
        if length > min(MAX_HEADER_BYTES, size - 8):
            raise ValueError(f"{path.name} has a header of {length:,} bytes")
        text = file.read(length)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"the header of {path.name} is not JSON") from None
    if not isinstance(data, dict):
        raise ValueError(f"the header of {path.name} is no object")
    data.pop("__metadata__", None)
    header, end = {}, 0
    spans = []
    for name, entry in data.items():
        info, start = _info(name, entry, path)
        header[name] = info
        spans.append((start, start + info.bytes))
    for start, stop in sorted(spans):
        if start != end:
            raise ValueError(f"the tensors of {path.name} overlap, or leave gaps")
        end = stop
    if end != size - 8 - length:
        raise ValueError(f"{path.name} has {size:,} bytes, and its header means others")
    return header


def _info(name: str, entry: object, path: Path) -> tuple[TensorInfo, int]:
    where = f"'{shown(name)}' in {path.name}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where} is not described")
    dtype, shape, span = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or dtype not in _DTYPE_BYTES:
        raise ValueError(f"{where} has the type {shown(dtype)}")
    if not _are_sizes(shape) or len(shape) > 16:
        raise ValueError(f"{where} has no valid shape")
    if not _are_sizes(span) or len(span) != 2:
        raise ValueError(f"{where} has no valid place")
    count = math.prod(shape) * _DTYPE_BYTES[dtype]
    if span[1] - span[0] != count:
        raise ValueError(f"{where} has {span[1] - span[0]} bytes, and its shape means {count}")
    return TensorInfo(dtype, tuple(shape), count), span[0]


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 2**62 for item in value
    )


def total_bytes(header: Header) -> int:
    """Return how much memory the tensors take."""
    return sum(info.bytes for info in header.values())
