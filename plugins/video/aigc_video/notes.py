"""Notes in MP4 files: metadata by key, in ``moov.udta.meta``.

The field ``AIGC`` stands where TC260-PG-20257A puts it: under that key, as players and FFmpeg
(with ``-movflags use_metadata_tags``) know such keys. QuickTime File Format, Metadata.
"""

import struct
from collections.abc import Iterator
from typing import Final

from aigc_core.notes import Note, NoteFormat

_UTF8 = 1


class _Mp4:
    def write(self, data: bytes, note: Note) -> bytes:
        boxes = list(_boxes(data, 0, len(data)))
        if not boxes or boxes[0][0] != b"ftyp":
            raise ValueError("it is no MP4")
        if boxes[-1][0] != b"moov":  # else what comes after it would move
            raise ValueError("its index is not at the end")
        _, start, content, end = boxes[-1]
        kept = [data[a:b] for kind, a, _, b in _boxes(data, content, end) if kind != b"udta"]
        texts = {"comment": note.comment} | ({"AIGC": note.label} if note.label else {})
        keys = b"".join(_box(b"mdta", key.encode()) for key in texts)
        values = b"".join(
            struct.pack(">II", len(value) + 8, number) + value  # a box named by a number
            for number, text in enumerate(texts.values(), 1)
            for value in [_box(b"data", struct.pack(">II", _UTF8, 0) + text.encode())]
        )
        meta = _box(
            b"meta",
            bytes(4)
            + _box(b"hdlr", bytes(8) + b"mdta" + bytes(13))
            + _box(b"keys", struct.pack(">II", 0, len(texts)) + keys)
            + _box(b"ilst", values),
        )
        return data[:start] + _box(b"moov", b"".join(kept) + _box(b"udta", meta))

    def read(self, data: bytes) -> Note | None:
        if data[4:8] != b"ftyp":
            raise ValueError("it is no MP4")
        meta = _inside(data, 0, len(data), [b"moov", b"udta", b"meta"])
        if meta is None:
            return None
        start, end = meta[0] + 4, meta[1]
        listed = _inside(data, start, end, [b"keys"]), _inside(data, start, end, [b"ilst"])
        if listed[0] is None or listed[1] is None:
            return None
        keys = [data[a + 8 : b] for _, a, _, b in _boxes(data, listed[0][0] + 8, listed[0][1])]
        found: dict[bytes, str] = {}
        for kind, _, content, last in _boxes(data, *listed[1]):
            number = int.from_bytes(kind, "big") - 1
            value = _inside(data, content, last, [b"data"])
            if 0 <= number < len(keys) and value is not None:
                found[keys[number]] = data[value[0] + 8 : value[1]].decode("utf-8", "replace")
        return Note(found[b"comment"], found.get(b"AIGC")) if b"comment" in found else None


MP4: Final[NoteFormat] = _Mp4()


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield each box's name, where it begins, where its content does, and where it ends."""
    while at + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, at)
        content = at + 8
        if length == 1 and at + 16 <= end:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            content = at + 16
        elif length == 0:
            length = end - at
        if length < content - at or at + length > end:
            raise ValueError("it is damaged")
        yield kind, at, content, at + length
        at += length


def _inside(data: bytes, start: int, end: int, path: list[bytes]) -> tuple[int, int] | None:
    """Return where the content of a box within boxes begins and ends, or None."""
    for name in path:
        box = next((b for b in _boxes(data, start, end) if b[0] == name), None)
        if box is None:
            return None
        start, end = box[2], box[3]
    return start, end
