"""Captions of the images in a folder: a table of names and texts, or a text beside each image.

``metadata.jsonl`` and ``metadata.csv`` with the fields ``file_name`` and ``text`` are the
convention of Hugging Face's ``imagefolder``; names are relative to the table. ``name.txt`` beside
``name.png`` is that of many training scripts.
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from aigc_core import Column, SampleSpec
from aigc_core.datasets import list_some
from aigc_core.datasets.listing import DataFile, list_files
from aigc_core.errors import DataError, reason

CAPTION_SUFFIXES = {".jsonl", ".csv", ".txt"}
TABLES = ("metadata.jsonl", "metadata.csv")
_MULTIPLE = 8
"""Lengths are multiples of this, so that a few more letters do not change a model's shape."""


def caption_files(root: Path, images: Sequence[str]) -> list[DataFile]:
    """Return the tables below a folder, and the texts beside its images.

    Args:
        root: the folder.
        images: paths of the images, relative to it.
    """
    stems = {os.path.splitext(path)[0] for path in images}
    return [
        file
        for file in list_files(root, CAPTION_SUFFIXES)
        if os.path.basename(file.path).lower() in TABLES
        or (file.path.lower().endswith(".txt") and os.path.splitext(file.path)[0] in stems)
    ]


def read_captions(
    root: Path, files: Sequence[DataFile], images: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Return the caption of each image that has one, by its path, and notes.

    Raises:
        DataError: a table cannot be read, or gives an image two captions; names file and line.
    """
    known = set(images)
    by_stem = {os.path.splitext(path)[0]: path for path in images}
    found: dict[str, str] = {}
    where: dict[str, str] = {}
    lost: list[str] = []

    def add(image: str, text: str, place: str) -> None:
        text = " ".join(text.split())
        if image not in known:
            lost.append(f"{image} ({place})")
        elif text and found.setdefault(image, text) != text:
            raise DataError(
                f"{image} has two captions: '{found[image]}' in {where[image]}, and '{text}' in "
                f"{place}. Leave one of them out."
            )
        elif text:
            where.setdefault(image, place)

    for file in files:
        folder, name = os.path.split(file.path)
        text = _text_of(root / file.path, file.path)
        if name.lower() not in TABLES:
            add(by_stem[os.path.splitext(file.path)[0]], text, file.path)
            continue
        rows = _json_rows if name.lower().endswith(".jsonl") else _csv_rows
        for line, row in rows(text, file.path):
            image, caption = row.get("file_name"), row.get("text")
            place = f"{file.path}, line {line}"
            if not isinstance(image, str) or not image:
                raise DataError(f"{place}: there is no 'file_name', the image's path.")
            if caption is None:
                continue  # a table of something else, such as labels
            if not isinstance(caption, str):
                raise DataError(f"{place}: 'text' is no text, but {caption!r:.40}.")
            if any("\ud800" <= letter <= "\udfff" for letter in image + caption):
                raise DataError(f"{place}: half a character in it, a lone surrogate. Correct it.")
            add(os.path.normpath(os.path.join(folder, image)).replace(os.sep, "/"), caption, place)
    notes = [f"Captions of images that are not there: {list_some(lost)}."] if lost else []
    if found and len(found) < len(known):
        alone = [path for path in images if path not in found]
        notes.append(f"{len(alone):,} images without a caption: {list_some(alone, 3)}.")
    return found, notes


def _text_of(path: Path, name: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is not UTF-8, at byte {error.start:,}. Convert it.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}.") from error


def _json_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), 1):  # U+2028 may stand in a text
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{name}, line {number}: not JSON.") from None
        if not isinstance(row, dict):
            raise DataError(f"{name}, line {number}: not an object such as {{...}}.")
        yield number, row


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        if "file_name" not in (reader.fieldnames or ()):
            raise DataError(
                f"{name}: its first line names the columns, and 'file_name' is not among them."
            )
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: {error}.") from None


def caption_column(captions: Sequence[str], most_bytes: int) -> tuple[Tensor, Column, list[str]]:
    """Return captions as UTF-8 bytes, int16 ``(N, T)`` filled up with zeros, and what they are.

    Args:
        captions: one for each row; empty for none.
        most_bytes: longer ones are cut, between characters.

    Returns:
        The array, its column, and notes.
    """
    encoded = [text.encode() for text in captions]
    cut = [_cut(data, most_bytes) for data in encoded]
    longest = max(map(len, cut), default=1)
    length = min(-(-longest // _MULTIPLE) * _MULTIPLE, max(most_bytes, longest))
    array = torch.zeros(len(cut), length, dtype=torch.int16)
    flat = [torch.tensor(list(data), dtype=torch.int16) for data in cut]
    for row, data in enumerate(flat):
        array[row, : len(data)] = data
    spec = SampleSpec(
        shape=(length,),
        dtype="int16",
        units={"vocabulary_size": 256},
        assets={"tokenizer": '{"kind": "bytes"}'},
    )
    shorter = sum(len(a) < len(b) for a, b in zip(cut, encoded, strict=True))
    notes = []
    if shorter:
        notes.append(
            f"{shorter:,} captions are longer than {most_bytes} bytes and were cut "
            "(dataset.options.caption_bytes)."
        )
    return array, Column(modality="text", spec=spec), notes


def _cut(data: bytes, most: int) -> bytes:
    return data[:most].decode(errors="ignore").encode() if len(data) > most else data
