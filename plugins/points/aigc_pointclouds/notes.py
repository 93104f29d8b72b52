"""Notes in PLY and GLB files. TC260's guides of 2025 name no place for ``AIGC`` in either."""

import json
import struct
from typing import Any, Final

from aigc_core.notes import Note, NoteFormat

_LABEL = "AIGC "
_MAX_HEADER_BYTES = 1 << 20
_JSON = 0x4E4F534A


class _Ply:
    """Lines of comments after the second line of the header."""

    def write(self, data: bytes, note: Note) -> bytes:
        lines = _header(data).split(b"\n")
        texts = [note.comment] + ([_LABEL + note.label] if note.label else [])
        added = b"".join(b"comment " + text.encode("ascii") + b"\n" for text in texts)
        place = len(lines[0]) + len(lines[1]) + 2
        return data[:place] + added + data[place:]

    def read(self, data: bytes) -> Note | None:
        comment = label = None
        for line in _header(data).decode("ascii", "replace").splitlines():
            text = line.removeprefix("comment ")
            if text.startswith("{") and comment is None:
                comment = text
            elif text.startswith(f"{_LABEL}{{"):
                label = text.removeprefix(_LABEL)
        return None if comment is None else Note(comment, label)


class _Glb:
    """``asset.extras`` (glTF 2.0, 5.10.2)."""

    def write(self, data: bytes, note: Note) -> bytes:
        content, rest = _glb_parts(data)
        extras = {"comment": note.comment} | ({"AIGC": note.label} if note.label else {})
        content["asset"]["extras"] = {**(content["asset"].get("extras") or {}), **extras}
        text = json.dumps(content, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        body = struct.pack("<II", len(text), _JSON) + text + rest
        return data[:8] + struct.pack("<I", 12 + len(body)) + body

    def read(self, data: bytes) -> Note | None:
        extras = _glb_parts(data)[0]["asset"].get("extras")
        if not isinstance(extras, dict) or not isinstance(extras.get("comment"), str):
            return None
        label = extras.get("AIGC")
        return Note(extras["comment"], label if isinstance(label, str) else None)


PLY: Final[NoteFormat] = _Ply()
GLB: Final[NoteFormat] = _Glb()


def _header(data: bytes) -> bytes:
    end = data.find(b"end_header\n", 0, _MAX_HEADER_BYTES)
    if not data.startswith(b"ply\n") or end < 0:
        raise ValueError("it is no PLY")
    return data[:end]


def _glb_parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the JSON of a GLB, which has an asset, and the chunks after it."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise ValueError("it is no GLB")
    length, kind = struct.unpack_from("<II", data, 12)
    try:
        content = json.loads(data[20 : 20 + length])
        known = kind == _JSON and isinstance(content["asset"], dict)
    except (ValueError, KeyError, TypeError, RecursionError):
        known = False
    if not known:
        raise ValueError("it is no GLB")
    return content, data[20 + length :]
