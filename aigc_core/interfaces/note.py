"""What a file says of how it was made, in its format's own metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Note:
    """What is written into a file's metadata. Both texts are JSON of ASCII characters, one line."""

    comment: str
    """How the file was made; where a format has a comment, it stands there."""
    label: str | None = None
    """The field ``AIGC`` of GB 45438-2025, if it is wanted; it has a place of its own."""


@runtime_checkable
class NoteFormat(Protocol):
    """Where one file format keeps a note. It changes nothing that a decoder shows."""

    def write(self, data: bytes, note: Note) -> bytes:
        """Return a file's bytes with a note in them.

        Raises:
            ValueError: they are no such file, or one that has no place for it.
        """

    def read(self, data: bytes) -> Note | None:
        """Return the note in a file's bytes, or None if there is none.

        Raises:
            ValueError: they are no such file. The bytes may come from anybody.
        """
