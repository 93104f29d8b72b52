"""The user's own text: a file, or a folder of them."""

import functools
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from aigc_core import DataError
from aigc_text.datasets._source import SUFFIXES, TextFile, list_texts, read_pieces
from aigc_text.datasets._text import TextDataset
from aigc_text.datasets._tokens import TextPart


class TextFiles(TextDataset):
    """The UTF-8 text of ``--data-root``, files in the order of their paths.

    Sub-folders, if there are several and every file is in one, are classes.

    A file is taken for the same as before by its path, size and time of change, not its content.
    """

    name = "text-files"

    def identity(self) -> list[list[str | int]]:
        return [[os.fspath(f.path), f.bytes, f.mtime_ns] for f in self._files]

    def pieces(self) -> Iterator[str]:
        return read_pieces(self._files)

    def text_bytes(self) -> int:
        return sum(file.bytes for file in self._files)

    def parts(self) -> Sequence[TextPart]:
        tops = [file.path.relative_to(self._root).parts[:-1][:1] for file in self._files]
        if len(set(tops)) < 2 or () in tops:
            return super().parts()
        in_classes = sorted(zip(tops, self._files, strict=True))
        by_class = groupby(in_classes, key=lambda pair: pair[0])
        parts = []
        for (name,), pairs in by_class:
            files = [file for _, file in pairs]
            pieces = functools.partial(read_pieces, files)
            parts.append(TextPart(name, pieces, sum(file.bytes for file in files)))
        return parts

    @functools.cached_property
    def _files(self) -> list[TextFile]:
        root = self._root
        files = list_texts(root)
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

    @property
    def _root(self) -> Path:
        if self.folders.root is None:
            raise DataError(
                f"The dataset '{self.name}' needs your text: give a file or a folder with "
                "--data-root (or AIGC_DATA_DIR)."
            )
        return self.folders.root
