"""The user's own text: a file, or a folder of them."""

import functools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from aigc_core import DataError
from aigc_core.datasets import DataFile, folder_labels, list_files
from aigc_text.datasets._source import read_pieces
from aigc_text.datasets._text import TextDataset
from aigc_text.datasets._tokens import TextPart
from aigc_text.options import TextFilesOptions

SUFFIXES = (".txt", ".md")


class TextFiles(TextDataset):
    """The UTF-8 text of ``--data-root``, files in the order of their paths.

    Sub-folders, if there are several and every file is in one, are classes, unless the option
    ``classes`` is off.

    A file is taken for the same as before by its path, size and time of change, not its content.
    """

    name = "text-files"
    options: TextFilesOptions

    def identity(self) -> list[list[str | int]]:
        files = zip(self._paths, self._files, strict=True)
        return [[os.fspath(path), file.bytes, file.mtime_ns] for path, file in files]

    def pieces(self) -> Iterator[str]:
        return read_pieces(self._paths)

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
            pieces = functools.partial(read_pieces, [self._paths[index] for index in mine])
            parts.append(TextPart(name, pieces, sum(self._files[index].bytes for index in mine)))
        return parts

    @functools.cached_property
    def _files(self) -> list[DataFile]:
        root = self._root
        files = list_files(root, SUFFIXES)
        if not files:
            raise DataError(
                f"There is no text in {root} or its sub-folders. Files count as text by their "
                f"suffix: {' '.join(SUFFIXES)}. Give another folder, or one file of any name, "
                "with --data-root."
            )
        if not any(file.bytes for file in files):
            empty = f"{root} is empty" if root.is_file() else f"All text files in {root} are empty"
            raise DataError(f"{empty}. Give other text with --data-root.")
        return files

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
