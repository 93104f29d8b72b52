"""PNG: the comment and an XMP packet are ``iTXt`` chunks before the pixels.

PNG, third edition, 11.3.3; XMP specification, part 3, 1.1.5.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from aigc_core.interfaces.note import Note, NoteFormat
from aigc_core.notes import xmp

_MAGIC = b"\x89PNG\r\n\x1a\n"
_COMMENT, _XMP = b"Comment", b"XML:com.adobe.xmp"
_PLAIN = b"\0\0\0\0\0"  # ends the keyword; no compression, language or translated keyword


class _Png:
    def write(self, data: bytes, note: Note) -> bytes:
        place = next((at for at, kind, _ in _chunks(data) if kind == b"IDAT"), None)
        if place is None:
            raise ValueError("it has no pixels")
        texts = {_COMMENT: note.comment.encode(), _XMP: xmp.packet(note)}
        added = b"".join(_chunk(b"iTXt", key + _PLAIN + text) for key, text in texts.items())
        return data[:place] + added + data[place:]

    def read(self, data: bytes) -> Note | None:
        texts: dict[bytes, bytes] = {}
        for _, kind, content in _chunks(data):
            if kind == b"iTXt":
                key, plain, text = content.partition(_PLAIN)
                if plain:
                    texts.setdefault(key, text)
        if _COMMENT not in texts:
            return None
        return Note(texts[_COMMENT].decode("utf-8", "replace"), xmp.label_in(texts.get(_XMP, b"")))


PNG: Final[NoteFormat] = _Png()
"""PNG, with an XMP packet."""


def _chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def _chunks(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield where each chunk begins, its type and content."""
    if not data.startswith(_MAGIC):
        raise ValueError("it is no PNG")
    at = len(_MAGIC)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if at + 12 + length > len(data):
            return
        yield at, kind, data[at + 8 : at + 8 + length]
        at += 12 + length
