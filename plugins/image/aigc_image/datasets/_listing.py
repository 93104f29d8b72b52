"""The image files below a folder."""

import os
from pathlib import Path
from typing import NamedTuple

from aigc_core import DataError

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip


class ImageFile(NamedTuple):
    """A file, and what changes when its content does."""

    path: str
    """Relative to the folder that was listed, with ``/`` between its parts."""
    bytes: int
    mtime_ns: int


def list_images(root: Path) -> list[ImageFile]:
    """Return the files with an image's suffix below ``root``, sorted by path.

    Hidden files and folders are left out; linked folders are followed, each real folder once.

    Raises:
        DataError: a folder cannot be read.
    """
    found = []
    seen: set[str] = set()
    try:
        for folder, subfolders, names in os.walk(root, onerror=_raise, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # a link to a folder above would never end
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            for name in names:
                if name.startswith(".") or not name.lower().endswith(SUFFIXES):
                    continue
                path = Path(folder, name)
                if path.is_file():
                    facts = path.stat()
                    relative = path.relative_to(root).as_posix()
                    found.append(ImageFile(relative, facts.st_size, facts.st_mtime_ns))
    except OSError as error:
        raise DataError(
            f"The data folder {error.filename or root} cannot be read: {error.strerror}."
        ) from error
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error
