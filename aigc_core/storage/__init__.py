"""Arrays on disk: packs of shards, reading rows of them, and how much memory data may take."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports

if TYPE_CHECKING:
    from aigc_core.storage.digests import array_digest, array_digests, without_overlap
    from aigc_core.storage.items import load_pack, pack
    from aigc_core.storage.memory import data_budget
    from aigc_core.storage.packed_array import PackedArray, lazy_rows
    from aigc_core.storage.packs import Pack, is_packed, kept, open_pack
    from aigc_core.storage.progress import Progress
    from aigc_core.storage.rows import RowReader, Segment
    from aigc_core.storage.writer import SHARD_BYTES, PackWriter

_WHERE = {
    "digests": ("array_digest", "array_digests", "without_overlap"),
    "items": ("load_pack", "pack"),
    "memory": ("data_budget",),
    "packs": ("Pack", "is_packed", "kept", "open_pack"),
    "packed_array": ("PackedArray", "lazy_rows"),
    "progress": ("Progress",),
    "rows": ("RowReader", "Segment"),
    "writer": ("SHARD_BYTES", "PackWriter"),
}
__getattr__ = lazy_exports(
    __name__, {name: module for module, names in _WHERE.items() for name in names}
)

__all__ = [
    "SHARD_BYTES",
    "Pack",
    "PackWriter",
    "PackedArray",
    "Progress",
    "RowReader",
    "Segment",
    "array_digest",
    "array_digests",
    "data_budget",
    "is_packed",
    "kept",
    "lazy_rows",
    "load_pack",
    "open_pack",
    "pack",
    "without_overlap",
]
