"""The user's own text: a file, or a folder of them."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from aigc_core import DataError
from aigc_core.datasets import (
    FileListing,
    content_digests,
    folder_labels,
    label_notes,
    list_files,
)
from aigc_text.datasets import _fields
from aigc_text.datasets._source import read_pieces
from aigc_text.datasets._text import TextDataset
from aigc_text.datasets._tokens import TextPart
from aigc_text.options import TextFilesOptions

SUFFIXES = (".txt", ".text", ".md", ".rst", ".tex")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
HINTS = {
    **dict.fromkeys(_fields.SUFFIXES, "name the field with dataset.options.field"),
    **dict.fromkeys(_PACKED, "unpack it"),
    **dict.fromkeys((".pdf", ".docx", ".odt", ".epub", ".html"), "convert to plain text"),
}


class TextFiles(TextDataset):
    """The text of the files in ``--data-root``, in the order of their paths.

    If there are several sub-folders and every file is in one, they are classes, unless the option
    ``classes`` is off.

    Files are known by content and path in the folder: a moved or copied folder is not re-encoded.
    """

    name = "text-files"
    options: TextFilesOptions

    def identity(self) -> list[Any]:
        files = zip(self._files, self._digests, strict=True)
        return [self.options.field, [[file.path, digest] for file, digest in files]]

    def pieces(self) -> Iterator[str]:
        return self._read(range(len(self._files)))

    def notes(self) -> list[str]:
        labels = folder_labels([file.path for file in self._files])[1]
        classes = labels if len(labels) > 1 and self.options.classes else []
        return [*self._files.notes(HINTS), *label_notes(classes)]

    def _read(self, indices: Iterable[int]) -> Iterator[str]:
        last = "\n"
        for index in indices:
            apart = "" if last == "\n" else "\n"
            for piece in self._pieces_of(self._paths[index]):
                yield apart + piece
                apart, last = "", piece[-1]

    def _pieces_of(self, path: Path) -> Iterator[str]:
        field = self.options.field
        if field is not None and path.suffix.lower() in _fields.SUFFIXES:
            return _fields.read_field(path, field)
        return read_pieces([path])

    def text_bytes(self) -> int:
        return sum(file.bytes for file in self._files)

    def parts(self) -> Sequence[TextPart]:
        labels, names = folder_labels([file.path for file in self._files])
        if len(names) < 2 or not self.options.classes:
            return super().parts()
        members: list[list[int]] = [[] for _ in names]
        for index, label in enumerate(labels):
            members[label].append(index)
        parts = []
        for name, mine in zip(names, members, strict=True):
            pieces = functools.partial(self._read, mine)
            parts.append(TextPart(name, pieces, sum(self._files[index].bytes for index in mine)))
        return parts

    @functools.cached_property
    def _files(self) -> FileListing:
        root = self._root
        suffixes = SUFFIXES if self.options.field is None else (*SUFFIXES, *_fields.SUFFIXES)
        files = list_files(root, suffixes)
        if root.is_file() and self.options.field is None and root.suffix.lower() in HINTS:
            raise DataError(f"{root} is no plain text: {HINTS[root.suffix.lower()]}.")
        if not files:
            there = " ".join(files.notes(HINTS))
            raise DataError(
                f"There is no text in {root} or its sub-folders. "
                + (f"{there} " if there else "")
                + f"Files count as text by their suffix: {' '.join(suffixes)}. Give another "
                "folder, or one file of any name, with --data-root."
            )
        if not any(file.bytes for file in files):
            empty = f"{root} is empty" if root.is_file() else f"All text files in {root} are empty"
            raise DataError(f"{empty}. Give other text with --data-root.")
        return files

    @functools.cached_property
    def _digests(self) -> list[str]:
        folder = self._root.parent if self._root.is_file() else self._root
        return content_digests(folder, self._files, self.folders.cache)

    @functools.cached_property
    def _paths(self) -> list[Path]:
        folder = self._root.parent if self._root.is_file() else self._root
        return [folder / file.path for file in self._files]

    @property
    def _root(self) -> Path:
        if self.folders.root is None:
            raise DataError(
                f"The dataset '{self.name}' needs your text: give a file or a folder with "
                "--data-root (or AIGC_DATA_DIR)."
            )
        return self.folders.root
