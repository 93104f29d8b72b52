"""Finds what code writes, by Python's audit events. For use in a separate process."""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS_AT = {  # audit event -> which of its arguments are paths that it changes
    "os.mkdir": (0,),
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "shutil.rmtree": (0,),
    "sqlite3.connect": (0,),
}
_DIR_FD_AT = {"os.mkdir": 2, "os.rename": 3, "os.remove": 1, "os.rmdir": 1}
"""Index of the ``dir_fd`` argument; a path relative to one is part of a removal already seen."""


class WriteAudit:
    """Records every file or folder that is created, changed or removed outside allowed folders.

    An audit hook cannot be removed, so a process should have only one of these, and should end
    soon. Writes by C libraries are not seen: the caller has to look for their files in the current
    folder.
    """

    def __init__(self) -> None:
        self._allowed: list[str] | None = None
        self._found: list[str] = []
        self._busy = False
        sys.addaudithook(self._hook)

    @contextlib.contextmanager
    def outside(self, *allowed: Path) -> Iterator[list[str]]:
        """Watch inside the block; the list gets a phrase for each write outside ``allowed``.

        This process's temporary folder, ``__pycache__`` and devices are allowed too.
        """
        self._found = []
        places = [*allowed, Path(tempfile.gettempdir())]
        self._allowed = [os.path.realpath(place) for place in places]
        try:
            yield self._found
        finally:
            self._allowed = None

    def _hook(self, event: str, arguments: Sequence[Any]) -> None:
        if self._allowed is None or self._busy or (event != "open" and event not in _PATHS_AT):
            return
        self._busy = True
        try:
            for path in _changed(event, arguments):
                self._note(event, path)
        finally:
            self._busy = False

    def _note(self, event: str, path: str) -> None:
        parent, name = os.path.split(os.path.abspath(path))
        real = os.path.join(os.path.realpath(parent), name)
        if event == "os.mkdir" and os.path.isdir(real):
            return  # Path.mkdir(exist_ok=True) tries this on existing folders too
        inside = any(Path(real).is_relative_to(place) for place in self._allowed or ())
        if inside or "__pycache__" in Path(real).parts or real.startswith("/dev/"):
            return
        phrase = f"{real} ({event}, from {_caller()})"
        if phrase not in self._found:
            self._found.append(phrase)


def _changed(event: str, arguments: Sequence[Any]) -> Iterator[str]:
    if event == "open":
        path, _, flags = arguments
        if not isinstance(path, int) and isinstance(flags, int) and flags & _WRITING:
            yield os.fsdecode(path)
        return
    handle = _DIR_FD_AT.get(event)
    if handle is not None and len(arguments) > handle and arguments[handle] not in (-1, None):
        return
    for index in _PATHS_AT[event]:
        if isinstance(arguments[index], str | bytes | os.PathLike):
            yield os.fsdecode(arguments[index])


def _caller() -> str:
    """Return the innermost line outside this file and the standard library."""
    library = sysconfig.get_path("stdlib")
    frame = sys._getframe(1)
    while frame.f_back is not None:
        filename = frame.f_code.co_filename
        ours = filename == __file__ or filename.startswith("<")
        standard = filename.startswith(library) and "site-packages" not in filename
        if not ours and not standard:
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
