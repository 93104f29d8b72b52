"""Writes samples to files, chunk by chunk, in a folder that appears complete or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Unpack

import numpy as np
import torch
from torch import Tensor

from aigc_core.api.made_by import Marking, NoteWriter, record_of
from aigc_core.api.request import Request, RequestOptions
from aigc_core.api.sampler import Kind, Sampler, open_sampler
from aigc_core.errors import ConfigError, StorageError, UserError, did_you_mean, reason
from aigc_core.files import atomic_folder
from aigc_core.interfaces import Modality
from aigc_core.runs import Run
from aigc_core.runs.inside import is_real_file, is_real_folder, names_in
from aigc_core.storage import array_digest

PREVIEW_COUNT = 64


@dataclass(frozen=True)
class GeneratedFiles:
    """What ``generate_files`` wrote."""

    folder: Path
    files: list[Path]
    previews: dict[str, Path]
    """A preview of the first samples, by the output it shows."""
    step: int

    @property
    def preview(self) -> Path:
        """The preview of the first output."""
        return next(iter(self.previews.values()))


def generate_files(
    run: Run | str | Path,
    *,
    kind: Kind = "samples",
    format: str | None = None,
    out: str | Path | None = None,
    checkpoint: str | int | None = None,
    data_root: str | Path | None = None,
    device: str = "auto",
    metadata: bool = True,
    mark: str | None = None,
    producer: str | None = None,
    **request: Unpack[RequestOptions],
) -> GeneratedFiles:
    """Draw samples into a new folder: all of them or, on an error, none.

    Args:
        run: a run or the path of one.
        kind: ``samples``; ``interpolation`` for samples between two latents; or
            ``reconstructions`` for ``count`` pairs of a held-out sample and its reconstruction.
        format: one of the modality's formats, with one file per sample; ``npy`` for one array
            ``samples.npy`` in the stored form; None for the modality's first format. With several
            outputs, sample *i* is one file for each of them, with the same number.
        out: a folder that is missing or empty; None for one inside the run, replaced if it exists.
        checkpoint: ``"best"`` or the step of a kept checkpoint; None for the newest.
        data_root: for reconstructions: where the data is now, if it was moved.
        device: as for training.
        metadata: whether files say, in their format's own metadata or in a file beside them, how
            they were made, and the folder gets a ``manifest.json``; ``origin_of`` reads that.
        mark: ``"cn"`` to write the implicit label of GB 45438-2025 too.
        producer: with that mark: who offers the service.
        request: the fields of ``Request``; memory use does not grow with ``count``.

    Raises:
        UserError: as for ``generate``; also an unknown format, or a folder that is not empty.
        StorageError: the files could not be written.
    """
    asked = Request(**request)
    marking = Marking(metadata, mark, producer)
    sampler = open_sampler(run, checkpoint=checkpoint, data_root=data_root, device=device)
    return write_samples(sampler, asked, kind=kind, format=format, out=out, marking=marking)


def write_samples(
    sampler: Sampler,
    asked: Request,
    *,
    kind: Kind = "samples",
    format: str | None = None,
    out: str | Path | None = None,
    marking: Marking | None = None,
) -> GeneratedFiles:
    """Write what a sampler draws; see ``generate_files``."""
    marking = marking or Marking()
    formats = _formats(sampler, asked, format)
    drawn = _drawn(sampler, asked, kind)
    drawn = itertools.chain([next(drawn)], drawn)  # raise errors before a folder is created
    folder = sampler.run.path / "generated" / _name(sampler, asked, kind, formats)
    if out is not None:
        folder = Path(os.path.expanduser(out))
    else:
        _check_replaceable(folder)
    try:
        if out is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is not an empty folder. Choose another one with --out.")
        with (
            atomic_folder(folder, replace=out is None, durable=False) as scratch,
            contextlib.ExitStack() as stack,
        ):
            annotate = _unnoted
            if marking.metadata:
                record = record_of(sampler, asked, kind, formats, marking)
                annotate = stack.enter_context(NoteWriter(scratch, record, marking)).add
            names, previews = _write(sampler, asked, kind, drawn, scratch, formats, annotate)
    except OSError as error:
        raise StorageError(f"Could not write samples in {folder}: {reason(error)}.") from error
    shown = {column: folder / name for column, name in previews.items()}
    return GeneratedFiles(folder, [folder / n for n in names], shown, sampler.step)


def _formats(sampler: Sampler, asked: Request, format: str | None) -> dict[str, str]:
    """Return the format of each wanted output: the one asked for, where its modality has it.

    Raises:
        ConfigError: none has it.
    """
    wanted = sampler.validator.wanted(asked)
    known = {column: sampler.parts.modalities[column].formats for column in wanted}
    if format == "npy":
        return dict.fromkeys(wanted, "npy")
    found = {c: format if format in names else names[0] for c, names in known.items()}
    if format is not None and format not in found.values():
        names = [*dict.fromkeys(name for names in known.values() for name in names), "npy"]
        raise ConfigError(f"There is no format '{format}'.{did_you_mean(format, names)}")
    return {column: str(name) for column, name in found.items()}


def _drawn(sampler: Sampler, request: Request, kind: Kind) -> Iterator[dict[str, Tensor]]:
    if kind == "samples":
        return sampler.draw_columns(request)
    if kind == "reconstructions" and request.label is not None:
        raise ConfigError("Samples to reconstruct are not chosen by label: leave --label out.")
    if not request.is_plain:
        raise ConfigError(f"Prompts, inputs and controls do not go with {kind}.")
    make = sampler.interpolate if kind == "interpolation" else sampler.reconstruct
    main = sampler.generator.outputs[0]
    return ({main: stored} for stored in make(request))


def _name(sampler: Sampler, request: Request, kind: Kind, formats: Mapping[str, str]) -> str:
    """Return the name of the folder inside the run; the same request gives the same name."""
    about: list[str] = [] if kind == "samples" else [kind]
    if request.label is not None:
        about.append(f"label-{sampler.validator.label(request.label)}")
    if not request.is_plain:
        asked: list[Any] = [request.prompt, dict(request.inputs), dict(request.controls)]
        asked += [sampler.validator.wanted(request)] if request.want else []
        key = json.dumps(asked, sort_keys=True, default=_told_apart)
        about.append(hashlib.blake2b(key.encode(), digest_size=4).hexdigest())
    plain = f"step-{sampler.step:06d}-seed-{request.seed}-count-{request.count}"
    return "-".join([plain, *about, *dict.fromkeys(formats.values())])


def _told_apart(value: object) -> str:
    return array_digest(value) if isinstance(value, Tensor) else str(value)


def _check_replaceable(folder: Path) -> None:
    """Check that an existing folder of samples inside a run looks like one that aigc wrote.

    Raises:
        RunError: it or its parent folder is a link, or it contains links or folders.
    """
    is_real_folder(folder.parent)
    for name in names_in(folder):
        is_real_file(folder / name)


Annotate = Callable[[Path, Modality, Mapping[str, Any], bool], None]
"""What is done to each file once it is written: ``NoteWriter.add``."""


def _unnoted(path: Path, modality: Modality, about: Mapping[str, Any], made: bool) -> None:
    """Leave a file as it is."""


def _write(
    sampler: Sampler,
    asked: Request,
    kind: Kind,
    drawn: Iterator[dict[str, Tensor]],
    folder: Path,
    formats: Mapping[str, str],
    annotate: Annotate,
) -> tuple[list[str], dict[str, str]]:
    """Write the samples chunk by chunk; return the files' names, and the previews' by output."""
    pairs = kind == "reconstructions"
    count = 2 * asked.count if pairs else asked.count
    outputs = {column: {"output": column} if len(formats) > 1 else {} for column in formats}
    given = sampler.validator.given_columns(asked)
    modalities, main = sampler.parts.modalities, next(iter(formats))
    shared = {f for f in formats.values() if list(formats.values()).count(f) > 1}
    names: list[str] = []
    start, first = 0, dict[str, list[Tensor]]()
    arrays: dict[str, BinaryIO] = {}
    with contextlib.ExitStack() as stack:
        for chunk in drawn:
            for column, stored in chunk.items():
                if formats[column] == "npy":
                    if column not in arrays:
                        alone = column == main and "samples" not in formats
                        names.append("samples.npy" if alone else f"{column}.npy")
                        arrays[column] = stack.enter_context((folder / names[-1]).open("wb"))
                        shape, dtype = (count, *stored.shape[1:]), modalities[column].spec.dtype
                        _write_npy_header(arrays[column], shape, dtype)
                    arrays[column].write(stored.contiguous().numpy().tobytes())
                else:
                    format = formats[column]
                    saved = modalities[column].save(stored, folder, format=format, start=start)
                    if format in shared:  # two outputs would have files of one name
                        saved = [p.rename(p.with_stem(f"{p.stem}-{column}")) for p in saved]
                    names += [path.name for path in saved]
                    for number, path in enumerate(saved, start):
                        about = {"sample": number, **outputs[column]}
                        is_data = column in given or (pairs and number % 2 == 0)
                        annotate(path, modalities[column], about, not is_data)
                if start < PREVIEW_COUNT:
                    first.setdefault(column, []).append(stored[: PREVIEW_COUNT - start])
            start += len(next(iter(chunk.values())))
    for column, file in arrays.items():
        annotate(Path(file.name), modalities[column], {"output": column}, column not in given)
    previews = {}
    for column, pieces in first.items():
        path = folder / ("preview" if column == main else f"preview-{column}")
        previews[column] = modalities[column].preview(torch.cat(pieces), path).name
        for name in sorted(os.listdir(folder)):
            if name.startswith(f"{path.name}."):  # there may be a sound beside a picture
                annotate(folder / name, modalities[column], {}, column not in given)
    return names, previews


def _write_npy_header(file: BinaryIO, shape: tuple[int, ...], dtype: str) -> None:
    """Write the header of a .npy file whose data follows piece by piece.

    A memory map would end the process with SIGBUS on a full disk instead of raising an error.
    """
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)
