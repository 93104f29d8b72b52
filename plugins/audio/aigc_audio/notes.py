"""Notes in WAV and FLAC files.

The field ``AIGC`` stands where TC260-PG-202510A puts it: in a chunk of that name of a WAV, and in
a comment of that name of a FLAC.
"""

import struct
from collections.abc import Iterator
from typing import Final

from aigc_core.notes import Note, NoteFormat

_COMMENTS = 4  # the type of a FLAC's block of Vorbis comments


class _Wav:
    """RIFF: ``ICMT`` of ``LIST INFO`` is the comment (Multimedia Programming Interface, 1991)."""

    def write(self, data: bytes, note: Note) -> bytes:
        end = max(_chunks(data), default=(0, b"", 12, 12))[3]
        added = _chunk(b"LIST", b"INFO" + _chunk(b"ICMT", note.comment.encode() + b"\0"))
        if note.label is not None:
            added += _chunk(b"AIGC", note.label.encode())
        body = data[8:end] + bytes(end % 2) + added
        return data[:4] + struct.pack("<I", len(body)) + body

    def read(self, data: bytes) -> Note | None:
        comment = label = None
        for _, kind, start, end in _chunks(data):
            if kind == b"LIST" and data[start : start + 4] == b"INFO":
                for _, name, first, last in _chunks(data[:end], start + 4):
                    if name == b"ICMT" and comment is None:
                        comment = _text(data[first:last])
            elif kind == b"AIGC":
                label = _text(data[start:end])
        return None if comment is None else Note(comment, label)


class _Flac:
    """``COMMENT`` and ``AIGC`` among the Vorbis comments (RFC 9639, 8.6)."""

    def write(self, data: bytes, note: Note) -> bytes:
        blocks, audio = _flac_blocks(data)
        texts = {"COMMENT": note.comment} | ({"AIGC": note.label} if note.label else {})
        there = next((content for kind, content in blocks if kind == _COMMENTS), None)
        vendor, comments = _comments(there) if there is not None else (b"", [])
        comments += [f"{name}={text}".encode() for name, text in texts.items()]
        block = _sized(vendor) + struct.pack("<I", len(comments))
        block += b"".join(map(_sized, comments))
        if len(block) >= 1 << 24:
            raise ValueError("the note is too long")
        kept = [(kind, content) for kind, content in blocks if kind != _COMMENTS]
        kept.insert(1, (_COMMENTS, block))  # after what has to be first
        written = [
            bytes([kind | (0x80 if number == len(kept) - 1 else 0)])
            + len(content).to_bytes(3, "big")
            + content
            for number, (kind, content) in enumerate(kept)
        ]
        return b"fLaC" + b"".join(written) + audio

    def read(self, data: bytes) -> Note | None:
        found: dict[str, str] = {}
        for kind, content in _flac_blocks(data)[0]:
            for comment in _comments(content)[1] if kind == _COMMENTS else ():
                name, _, text = comment.decode("utf-8", "replace").partition("=")
                found.setdefault(name.upper(), text)
        return Note(found["COMMENT"], found.get("AIGC")) if "COMMENT" in found else None


WAV: Final[NoteFormat] = _Wav()
FLAC: Final[NoteFormat] = _Flac()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _chunks(data: bytes, at: int = 12) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield where each chunk begins, its name, and where its content begins and ends."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise ValueError("it is no WAV")
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        end = at + 8 + length
        if end > len(data):
            return
        yield at, kind, at + 8, end
        at = end + length % 2


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace")


def _flac_blocks(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the type and content of each block of metadata, and the sound after them."""
    if data[:4] != b"fLaC":
        raise ValueError("it is no FLAC")
    blocks, at, is_last = [], 4, False
    while not is_last:
        length = int.from_bytes(data[at + 1 : at + 4], "big")
        if at + 4 + length > len(data):
            raise ValueError("it is cut off")
        is_last = bool(data[at] & 0x80)
        blocks.append((data[at] & 0x7F, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return blocks, data[at:]


def _comments(block: bytes) -> tuple[bytes, list[bytes]]:
    """Return the vendor and the comments of a block."""
    try:
        (length,) = struct.unpack_from("<I", block)
        vendor, at, comments = block[4 : 4 + length], 8 + length, []
        for _ in range(struct.unpack_from("<I", block, 4 + length)[0]):
            (length,) = struct.unpack_from("<I", block, at)
            comments.append(block[at + 4 : at + 4 + length])
            at += 4 + length
    except struct.error:
        raise ValueError("its comments are damaged") from None
    return vendor, comments


def _sized(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text
