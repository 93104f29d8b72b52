"""``aigc cache list | clear``."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from aigc_core.cli.output import JsonOption, error_console, print_listing, say
from aigc_core.config import cache_folder
from aigc_core.errors import StorageError, UserError, did_you_mean, reason

_LOCK = re.compile(r"\.(.+)\.lock")
_HASHED = re.compile(r"[0-9a-f]{32}")
_DIGESTS = "digests"
_MAX_HEADER_BYTES = 1 << 20
_MAX_INDEX_BYTES = 1 << 26


def add_commands(app: typer.Typer, name: str) -> None:
    """Add this file's commands."""
    group = typer.Typer(help="See and clear prepared data.", no_args_is_help=True)
    group.command("list")(list_)
    group.command()(clear)
    app.add_typer(group, name="cache")


def list_(as_json: JsonOption = False) -> None:
    """List prepared data: from where, and how much room it takes."""
    folder = cache_folder()
    rows = [row for name in _datasets(folder) for row in _rows(folder / name)]
    if not rows and not as_json:
        say(error_console(), f"Nothing is prepared in {folder}.")
        return
    shown = rows if as_json else [{**row, "size": f"{row['bytes'] / 1e6:,.1f} MB"} for row in rows]
    columns = ["dataset", "entry", "size", "made", "from", "there"]
    print_listing(shown, columns, as_json)


def clear(
    datasets: Annotated[
        list[str] | None, typer.Argument(help="Of these datasets; otherwise of all.")
    ] = None,
    older_than: Annotated[
        float | None, typer.Option(metavar="DAYS", help="Only what was made before that.")
    ] = None,
) -> None:
    """Remove prepared data.

    It is prepared or downloaded again when needed. A dataset that another process is preparing is
    left alone.
    """
    from filelock import FileLock, Timeout

    folder = cache_folder()
    known = _datasets(folder)
    for name in datasets or ():
        if name not in known:
            raise UserError(f"Nothing of '{name}' is in {folder}.{did_you_mean(name, known)}")
    limit = None if older_than is None else time.time() - older_than * 86_400
    console, freed = error_console(), 0
    for name in datasets or known:
        try:
            with FileLock(folder / f".{name}.lock", timeout=0):
                freed += _remove_old(folder / name, limit)
        except Timeout:
            say(console, f"'{name}' is being prepared by another process; it was left.")
        except OSError as error:
            raise StorageError(f"{folder / name} cannot be cleared: {reason(error)}.") from error
    say(console, f"Freed {freed / 1e6:,.1f} MB in {folder}.")


def _datasets(folder: Path) -> list[str]:
    """Return the cache's dataset folders (they have a lock file) and ``digests``; no links."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [match[1] for match in map(_LOCK.fullmatch, names) if match]
    return sorted(
        n
        for n in [*found, _DIGESTS]
        if n in names and not (folder / n).is_symlink() and (folder / n).is_dir()
    )


def _rows(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each entry; files whose names begin with the same hash are one entry."""
    entries: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _HASHED.match(path.name)
        entries.setdefault(match[0] if match else path.name, []).append(path)
    for name, paths in entries.items():
        facts = [path.lstat() for top in paths for path in (top, *_below(top))]
        source = next((s for s in map(_source, paths) if s), None)
        yield {
            "dataset": folder.name,
            "entry": name,
            "bytes": sum(f.st_size for f in facts if stat.S_ISREG(f.st_mode)),
            "made": datetime.datetime.fromtimestamp(max(f.st_mtime for f in facts))
            .astimezone()
            .isoformat(timespec="seconds"),
            "from": source,
            "there": None if source is None else os.path.exists(source),
        }


def _below(folder: Path) -> Iterator[Path]:
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        yield path
        yield from _below(path)


def _source(path: Path) -> str | None:
    """Return the folder that a prepared file was made from, as the file itself records."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        if path.suffix == ".json":
            found = json.loads(path.read_bytes()[:_MAX_HEADER_BYTES])["folder"]
        elif path.suffix == ".pack" and not path.is_symlink():
            with (path / "index.json").open("rb") as file:
                found = json.loads(file.read(_MAX_INDEX_BYTES))["index"]["facts"]["source"]
        else:
            with path.open("rb") as file:
                length = min(int.from_bytes(file.read(8), "little"), _MAX_HEADER_BYTES)
                header = json.loads(file.read(length))
            found = json.loads(header["__metadata__"]["aigc"])["source"]
        return found if isinstance(found, str) else None
    return None


def _remove_old(folder: Path, limit: float | None) -> int:
    """Remove entries older than ``limit``, never a link's target; return the bytes freed."""
    freed = 0
    for path in sorted(folder.iterdir()):
        if limit is not None and path.lstat().st_mtime >= limit:
            continue
        for inner in (*sorted(_below(path), reverse=True), path):
            if inner.is_dir() and not inner.is_symlink():
                inner.rmdir()
            else:
                freed += inner.lstat().st_size
                inner.unlink()
    return freed
