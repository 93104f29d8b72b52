"""The text of one field of .csv, .tsv and .jsonl files."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from aigc_core import DataError
from aigc_core.errors import did_you_mean, reason

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_MAX_CHARACTERS = 1 << 26


def read_field(path: Path, field: str) -> Iterator[str]:
    """Yield the text of a field, row by row, each followed by a newline.

    Rows where the field is missing or empty are skipped.

    Raises:
        DataError: the file cannot be read, a line of it is malformed (the message says which), or
            no row has the field.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _json if path.suffix.lower() in (".jsonl", ".ndjson") else _table
            yield from rows(file, path, field)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason}. Convert it first.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}.") from error


def _table(file: io.TextIOWrapper, path: Path, field: str) -> Iterator[str]:
    csv.field_size_limit(_MAX_CHARACTERS)
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    rows = csv.DictReader(file, delimiter=delimiter, strict=True)
    try:
        names = rows.fieldnames or []
        if field not in names:
            raise DataError(f"{path} has no column '{field}'.{did_you_mean(field, names)}")
        for row in rows:
            if row[field]:
                yield row[field] + "\n"
    except csv.Error as error:
        raise DataError(f"{path}, line {rows.line_num}, is not CSV: {error}.") from error


def _json(file: io.TextIOWrapper, path: Path, field: str) -> Iterator[str]:
    seen: set[str] = set()
    found = False
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{path}, line {number}, is not JSON.") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}, is no object with fields.")
        text = row.get(field)
        if text is not None and not isinstance(text, str):
            raise DataError(f"{path}, line {number}: '{field}' is no text.")
        found |= field in row
        seen.update(list(row)[:50])
        if text:
            yield text + "\n"
    if not found:
        raise DataError(f"{path} has no field '{field}'.{did_you_mean(field, seen)}")
