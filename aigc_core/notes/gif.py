"""GIF: the comment is a comment extension, and XMP an application extension, at the end.

GIF89a, 24 and 26; XMP specification, part 3, 1.1.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from aigc_core.interfaces.note import Note, NoteFormat
from aigc_core.notes import xmp

_TRAILER, _EXTENSION, _PICTURE = 0x3B, 0x21, 0x2C
_COMMENT, _APPLICATION = 0xFE, 0xFF
_XMP = b"XMP DataXMP"
_END_OF_XMP = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
"""Leads whoever reads the packet as blocks of given lengths to the end of it."""


class _Gif:
    def write(self, data: bytes, note: Note) -> bytes:
        end = next((at for at, kind, _, _ in _blocks(data) if kind == _TRAILER), None)
        if end is None:
            raise ValueError("it has no end")
        text = note.comment.encode()
        pieces = [text[start : start + 255] for start in range(0, len(text), 255)]
        comment = b"".join(bytes([len(piece)]) + piece for piece in pieces)
        return b"".join(
            [
                b"GIF89a" + data[6:end],
                bytes([_EXTENSION, _COMMENT]) + comment + b"\0",
                bytes([_EXTENSION, _APPLICATION, len(_XMP)]) + _XMP,
                xmp.packet(note) + _END_OF_XMP,
                data[end:],
            ]
        )

    def read(self, data: bytes) -> Note | None:
        comment = label = None
        for _, kind, label_byte, content in _blocks(data):
            if kind == _EXTENSION and label_byte == _COMMENT and comment is None:
                comment = b"".join(_pieces(data, *content)).decode("utf-8", "replace")
            elif kind == _EXTENSION and label_byte == _APPLICATION:
                raw = data[slice(*content)]
                if raw[1:].startswith(_XMP):
                    label = xmp.label_in(raw)
        return None if comment is None else Note(comment, label)


GIF: Final[NoteFormat] = _Gif()
"""GIF, with an XMP packet."""


def _blocks(data: bytes) -> Iterator[tuple[int, int, int, tuple[int, int]]]:
    """Yield where each block begins, its kind, an extension's label, and where its pieces are.

    Raises:
        ValueError: it is no GIF, or is cut off.
    """
    if data[:6] not in (b"GIF87a", b"GIF89a"):
        raise ValueError("it is no GIF")
    try:
        at = 13 + _palette_bytes(data[10])
        while True:
            kind, start = data[at], at + 2
            if kind == _TRAILER:
                yield at, kind, 0, (at, at)
                return
            if kind == _PICTURE:
                start = at + 11 + _palette_bytes(data[at + 9])
            elif kind != _EXTENSION:
                raise ValueError("it is damaged")
            end = start
            while data[end]:
                end += 1 + data[end]
            yield at, kind, data[at + 1], (start, end)
            at = end + 1
    except IndexError:
        raise ValueError("it is cut off") from None


def _pieces(data: bytes, start: int, end: int) -> Iterator[bytes]:
    while start < end:
        yield data[start + 1 : start + 1 + data[start]]
        start += 1 + data[start]


def _palette_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0
