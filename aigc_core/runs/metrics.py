"""``metrics.jsonl``: one JSON object per log interval."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from aigc_core.errors import RunError, reason
from aigc_core.files import write_text_atomically
from aigc_core.runs.inside import append_text, open_file
from aigc_core.runs.record import MetricsRecord

_MAX_LINE_BYTES = 1 << 20
_LAST_BYTES = 1 << 16

Metrics = dict[str, float | None]


class MetricsFile:
    """Appends, reads, and truncates to a checkpoint's step.

    A resumed training logs again what it had logged after its checkpoint. The old lines are cut
    once the next checkpoint is safe; until then, the later of two lines for a step counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write one line; a number that is not finite becomes null, since JSON has none.

        Raises:
            StorageError: it could not be written.
        """
        finite = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        append_text(self.path, json.dumps({"step": step, **finite}) + "\n")

    def __iter__(self) -> Iterator[Metrics]:
        """Yield the lines; see ``read``."""
        return self.read()

    def read(self) -> Iterator[Metrics]:
        """Yield the lines as dictionaries, in order of steps; damaged lines are left out.

        Raises:
            RunError: it is a link, not a regular file, or cannot be read.
        """
        for line in self._lines().values():
            yield json.loads(line)

    def last(self) -> Metrics | None:
        """Return the last line, reading only the file's end; None if there is none.

        Raises:
            RunError: as for ``read``.
        """
        try:
            handle = open_file(self.path)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
            lines = file.read(_LAST_BYTES).splitlines()
        return next((m for m in map(_parsed, reversed(lines)) if m is not None), None)

    def record(self, step: int) -> MetricsRecord | None:
        """Return the size and digest of what was logged up to a step; None if nothing was.

        Raises:
            RunError: as for ``read``.
        """
        text = self._until(step)
        if not text:
            return None
        digest = hashlib.blake2b(text, digest_size=16).hexdigest()
        return MetricsRecord(bytes=len(text), digest=digest)

    def cut_after(self, step: int) -> None:
        """Drop what was logged after ``step``, and damaged lines.

        Raises:
            RunError: as for ``read``.
            StorageError: it could not be written; the file is unchanged.
        """
        with contextlib.suppress(FileNotFoundError):
            os.close(open_file(self.path))
            write_text_atomically(self.path, self._until(step).decode("utf-8", "replace"))

    def _until(self, step: int) -> bytes:
        return b"".join(line + b"\n" for at, line in self._lines().items() if at <= step)

    def _lines(self) -> dict[int, bytes]:
        """Return the last line of each step, in order of steps."""
        found: dict[int, bytes] = {}
        try:
            handle = open_file(self.path)
        except FileNotFoundError:
            return found
        try:
            with os.fdopen(handle, "rb") as file:
                while line := file.readline(_MAX_LINE_BYTES):
                    metrics = _parsed(line)
                    if metrics is not None:
                        found[int(metrics["step"] or 0)] = line.rstrip(b"\r\n")
        except OSError as error:
            raise RunError(f"Cannot read {self.path}: {reason(error)}.") from None
        return dict(sorted(found.items()))


def _parsed(line: bytes) -> Metrics | None:
    """Return a line's metrics, or None if it is damaged."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = found.get("step") if isinstance(found, dict) else None
    return found if isinstance(step, int) and not isinstance(step, bool) else None
