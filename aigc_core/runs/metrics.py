"""``metrics.jsonl``: one JSON object per log interval."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from aigc_core.errors import RunError, StorageError, reason
from aigc_core.files import write_text_atomically
from aigc_core.runs.record import MetricsRecord

_BLOCK = 1 << 20


class MetricsFile:
    """Appends, reads, and cuts back to a checkpoint's step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, step: int, metrics: Mapping[str, float]) -> None:
        """Write one line; a number that is not finite becomes null, since JSON has none."""
        finite = {k: v if math.isfinite(v) else None for k, v in metrics.items()}
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **finite}) + "\n")
        except OSError as error:
            raise StorageError(f"Could not write {self.path}: {reason(error)}.") from error

    def read(self) -> Iterator[dict[str, float | None]]:
        """Yield the lines as dictionaries; a last line cut off by a crash is left out."""
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"Cannot read {self.path}: {reason(error)}.") from None
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and isinstance(record.get("step"), int):
                yield record

    def record(self, count: int | None = None) -> MetricsRecord | None:
        """Return the size and digest of the file, or of its first ``count`` bytes; None without.

        Raises:
            RunError: it cannot be read.
        """
        digest, size = hashlib.blake2b(digest_size=16), 0
        try:
            with self.path.open("rb") as file:
                while block := file.read(min(_BLOCK, _BLOCK if count is None else count - size)):
                    digest.update(block)
                    size += len(block)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"Cannot read {self.path}: {reason(error)}.") from None
        return MetricsRecord(bytes=size, digest=digest.hexdigest())

    def cut_after(self, step: int) -> None:
        """Drop what was logged after ``step``: a resumed run logs it again."""
        kept = [record for record in self.read() if (record["step"] or 0) <= step]
        if self.path.exists():
            write_text_atomically(self.path, "".join(json.dumps(r) + "\n" for r in kept))
