"""Read text from files in pieces, and say exactly where a file is not text."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path

from aigc_core import DataError

_PIECE_BYTES = 1 << 20


def read_pieces(files: Iterable[Path]) -> Iterator[str]:
    """Yield the files' text in pieces of about a mebibyte; a newline separates files.

    Raises:
        DataError: a file cannot be read, or is neither UTF-8 nor UTF-16 with a byte order mark;
            the message names the file and the byte.
    """
    last = "\n"
    for file in files:
        apart = "" if last == "\n" else "\n"
        for piece in _pieces(file):
            yield apart + piece
            apart, last = "", piece[-1]


def _pieces(path: Path) -> Iterator[str]:
    position, first = 0, True
    try:
        with path.open("rb") as file:
            wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
            file.seek(0)
            decoder = codecs.getincrementaldecoder("utf-16" if wide else "utf-8")()
            while True:
                block = file.read(_PIECE_BYTES)
                if not wide and (zero := block.find(0)) >= 0:
                    raise DataError(
                        f"{path} is not text: byte {position + zero:,} is 0. Files must be UTF-8; "
                        "convert UTF-16, and take binary files away."
                    )
                waiting = len(decoder.getstate()[0]) if not wide else 0
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    place = position - waiting + error.start
                    raise DataError(
                        f"{path} is not {'UTF-16' if wide else 'UTF-8'}: byte {place:,} is "
                        f"0x{error.object[error.start]:02x} "
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
