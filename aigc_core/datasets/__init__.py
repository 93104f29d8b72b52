"""Tools for writing datasets: a locked cache, listings, atomic files, downloads, archives."""

from typing import TYPE_CHECKING

from aigc_core._lazy import lazy_exports
from aigc_core.files import atomic_file

if TYPE_CHECKING:
    from aigc_core.datasets.archives import extract_archive
    from aigc_core.datasets.arrays import PackedArray, lazy_rows, read_arrays, write_arrays
    from aigc_core.datasets.cache import locked_cache
    from aigc_core.datasets.contents import content_digests
    from aigc_core.datasets.downloads import download
    from aigc_core.datasets.folder_dataset import DecodedFile, FolderDataset, UnreadableError
    from aigc_core.datasets.listing import (
        DataFile,
        FileListing,
        folder_labels,
        label_notes,
        list_files,
    )
    from aigc_core.datasets.words import check_split, list_some

__getattr__ = lazy_exports(
    __name__,
    {
        "DataFile": "listing",
        "DecodedFile": "folder_dataset",
        "FileListing": "listing",
        "FolderDataset": "folder_dataset",
        "PackedArray": "arrays",
        "UnreadableError": "folder_dataset",
        "check_split": "words",
        "content_digests": "contents",
        "download": "downloads",
        "extract_archive": "archives",
        "folder_labels": "listing",
        "label_notes": "listing",
        "lazy_rows": "arrays",
        "list_files": "listing",
        "locked_cache": "cache",
        "read_arrays": "arrays",
        "list_some": "words",
        "write_arrays": "arrays",
    },
)

__all__ = [
    "DataFile",
    "DecodedFile",
    "FileListing",
    "FolderDataset",
    "PackedArray",
    "UnreadableError",
    "atomic_file",
    "check_split",
    "content_digests",
    "download",
    "extract_archive",
    "folder_labels",
    "label_notes",
    "lazy_rows",
    "list_files",
    "list_some",
    "locked_cache",
    "read_arrays",
    "write_arrays",
]
