"""Opening a file of a common kind, to see whether it is one."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree


def open_file(path: Path) -> str | None:
    """Return what is wrong with a file, as the end of a sentence, or None.

    Its suffix tells what it should be; of kinds that are not known here it is only asked that
    there is something in it.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return "is empty or not there"
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        return None
    try:
        reader(path)
    except Exception as error:  # whatever a parser of a damaged file raises
        return f"does not open as {path.suffix[1:]}: {type(error).__name__}: {error}"
    return None


def _picture(path: Path) -> None:
    try:
        from PIL import Image
    except ImportError:  # a plugin that writes pictures without Pillow is no worse for it
        return
    with Image.open(path) as picture:
        picture.load()


def _sound(path: Path) -> None:
    try:
        with wave.open(str(path)) as sound:
            if sound.getnframes() == 0:
                raise ValueError("it holds no sound")
    except wave.Error as error:
        if "unknown format" not in str(error):  # such as 32-bit float, which wave cannot read
            raise


def _markup(path: Path) -> None:
    ElementTree.parse(path)


def _text(path: Path) -> None:
    path.read_text(encoding="utf-8")


def _json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


_READERS: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"), _picture),
    ".wav": _sound,
    **dict.fromkeys((".svg", ".xml"), _markup),
    **dict.fromkeys((".txt", ".md", ".csv", ".html"), _text),
    ".json": _json,
}
