"""Text out of files, in pieces: what it is read from, and what is wrong with it."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aigc_core import DataError

SUFFIXES = (".txt", ".md")
_PIECE_BYTES = 1 << 20


class TextFile(NamedTuple):
    """A file, and what changes when its content does."""

    path: Path
    bytes: int
    mtime_ns: int


def list_texts(root: Path) -> list[TextFile]:
    """Return a file, or the files with a text's suffix below a folder, sorted by path.

    Hidden files and folders are left out; linked folders are followed, each real folder once.

    Raises:
        DataError: a folder cannot be read.
    """
    try:
        if root.is_file():
            return [_described(root)]
        found = []
        seen: set[str] = set()
        for folder, subfolders, names in os.walk(root, onerror=_raise, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:  # a link to a folder above would never end
                subfolders.clear()
                continue
            seen.add(real)
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in names:
                path = Path(folder, name)
                if name.lower().endswith(SUFFIXES) and name[0] != "." and path.is_file():
                    found.append(_described(path))
        return sorted(found)
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read: {error.strerror or error}."
        ) from error


def read_pieces(files: list[TextFile]) -> Iterator[str]:
    """Yield the files' text in pieces of about a mebibyte; an end of line keeps files apart.

    Raises:
        DataError: a file cannot be read or is not UTF-8; names it and the byte.
    """
    last = "\n"
    for file in files:
        apart = "" if last == "\n" else "\n"
        for piece in _pieces(file.path):
            yield apart + piece
            apart, last = "", piece[-1]


def _pieces(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position, first = 0, True
    try:
        with path.open("rb") as file:
            while True:
                block = file.read(_PIECE_BYTES)
                if (zero := block.find(0)) >= 0:
                    raise DataError(
                        f"{path} is not text: byte {position + zero:,} is 0. Files must be UTF-8; "
                        "convert UTF-16, and take binary files away."
                    )
                waiting = len(decoder.getstate()[0])
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    place = position - waiting + error.start
                    raise DataError(
                        f"{path} is not UTF-8: byte {place:,} is 0x{error.object[error.start]:02x} "
                        f"({error.reason}). Convert it, for example with: iconv -t UTF-8"
                    ) from error
                position += len(block)
                if first and text:  # a byte order mark is not text
                    text, first = text.removeprefix("\ufeff"), False
                if text:
                    yield text
                if not block:
                    return
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _described(path: Path) -> TextFile:
    facts = path.stat()
    return TextFile(path, facts.st_size, facts.st_mtime_ns)


def _raise(error: OSError) -> None:
    raise error
