"""The English text of Python's own help: real text that needs neither network nor files."""

import functools
import hashlib

from aigc_core import DataError
from aigc_text.datasets._text import TextDataset


class PyDocs(TextDataset):
    """All topics of Python's ``help``: about half a megabyte, different in each Python version."""

    name = "pydocs"

    def identity(self) -> str:
        return hashlib.sha256(self._text.encode()).hexdigest()

    def pieces(self) -> list[str]:
        return [self._text]

    def text_bytes(self) -> int:
        return len(self._text)

    @functools.cached_property
    def _text(self) -> str:
        try:
            from pydoc_data.topics import topics
        except ImportError as error:
            raise DataError(
                "This Python was installed without pydoc_data, the text of its help. Install it "
                "whole, or take another dataset: --dataset text-files --data-root FOLDER."
            ) from error
        return "\n\n".join(topics[name].strip("\n") for name in sorted(topics)) + "\n"
