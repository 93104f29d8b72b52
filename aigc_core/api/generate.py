"""Samples from a trained run."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

from aigc_core.api.sampler import Sampler, check_count
from aigc_core.errors import ConfigError, StorageError, UserError, did_you_mean, reason
from aigc_core.files import whole_folder
from aigc_core.runs import Run
from aigc_core.runs.inside import is_real_file, is_real_folder, names_in

PREVIEW_COUNT = 64
Kind = Literal["samples", "interpolation", "reconstructions"]


@dataclass(frozen=True)
class GeneratedFiles:
    """What ``generate_files`` wrote."""

    folder: Path
    files: list[Path]
    preview: Path
    step: int


def generate(
    run: Run | str | Path,
    *,
    count: int = 16,
    seed: int = 0,
    label: str | int | None = None,
    prompt: str | None = None,
    tokens: int | None = None,
    sampling: Mapping[str, Any] | None = None,
    checkpoint: str | int | None = None,
    device: str = "auto",
) -> Tensor:
    """Draw samples from a run.

    The same seed gives the same samples on the same device, and sample *i* does not depend on
    ``count``.

    Args:
        run: a run or the path of one.
        count: 1 to 1,000,000.
        seed: at least 0.
        label: name or number of a class, for a conditional run; None for each class in turn.
        prompt: for text: what comes before, not part of the sample.
        tokens: for sequences: how many tokens a sample has.
        sampling: for sequences: settings such as ``{"temperature": 0.8}``.
        checkpoint: ``"best"``, or the step of one that was kept; None for the newest.
        device: as for training.

    Returns:
        ``(count, *shape)`` on the CPU in the stored form, such as uint8 ``(count, C, H, W)``.

    Raises:
        RunError: not a run, or it has no whole checkpoint.
        ConfigError: a count, seed, label or device that is not valid.
    """
    sampler = Sampler(run, device, checkpoint)
    controls = sampler.controls(prompt, tokens, sampling)
    wanted = None if label is None else str(label)
    return torch.cat(list(sampler.draw(count, seed, wanted, controls)))


def generate_files(
    run: Run | str | Path,
    *,
    count: int = 16,
    seed: int = 0,
    label: str | int | None = None,
    prompt: str | None = None,
    tokens: int | None = None,
    sampling: Mapping[str, Any] | None = None,
    kind: Kind = "samples",
    checkpoint: str | int | None = None,
    data_root: str | None = None,
    device: str = "auto",
    format: str | None = None,
    out: str | Path | None = None,
) -> GeneratedFiles:
    """Draw samples into a new folder: all of them there, or on an error none.

    Args:
        run: a run or the path of one.
        count: 1 to 1,000,000; memory does not grow with it.
        seed: at least 0.
        label: name or number of a class, for a conditional run; None for each class in turn.
        prompt: for text: what comes before, not part of the sample.
        tokens: for sequences: how many tokens a sample has.
        sampling: for sequences: settings such as ``{"temperature": 0.8}``.
        kind: ``samples``; ``interpolation`` for samples on the way from one latent to another; or
            ``reconstructions`` for ``count`` pairs of a held-out sample and what is made of it.
        checkpoint: ``"best"``, or the step of one that was kept; None for the newest.
        data_root: for reconstructions: where the data is now, if it was moved.
        device: as for training.
        format: one of the modality's formats, one file a sample; ``npy`` for one array
            ``samples.npy`` in the stored form; None for the modality's first.
        out: a folder that is missing or empty; None for one inside the run, replaced when there.

    Raises:
        UserError: as for ``generate``; an unknown format, or a folder that is not empty.
        StorageError: the files could not be written.
    """
    sampler = Sampler(run, device, checkpoint, data_root)
    formats = (*sampler.parts.modality.formats, "npy")
    format = format or formats[0]
    if format not in formats:
        raise ConfigError(f"There is no format '{format}'.{did_you_mean(format, formats)}")
    check_count(count, seed)
    wanted = None if label is None else str(label)
    if kind == "reconstructions" and wanted is not None:
        raise ConfigError("Samples to reconstruct are not chosen by label: leave --label out.")
    controls = sampler.controls(prompt, tokens, sampling)
    if controls and kind != "samples":
        raise ConfigError(f"A prompt, tokens and sampling options do not go with {kind}.")
    drawn = {
        "samples": lambda: sampler.draw(count, seed, wanted, controls),
        "interpolation": lambda: sampler.interpolate(count, seed, wanted),
        "reconstructions": lambda: sampler.reconstruct(count, seed),
    }[kind]()
    drawn = itertools.chain([next(drawn)], drawn)  # what is wrong is told before a folder is made
    about: list[str] = [] if kind == "samples" else [kind]
    if wanted is not None:
        about.append(f"label-{sampler.label_of(wanted)}")
    if controls:
        told = json.dumps([prompt, tokens, dict(sampling or {})], sort_keys=True)
        about.append(hashlib.blake2b(told.encode(), digest_size=4).hexdigest())
    name = "-".join([f"step-{sampler.step:06d}-seed-{seed}-count-{count}", *about, format])
    folder = sampler.run.path / "generated" / name
    if out is not None:
        folder = Path(os.path.expanduser(out))
    else:
        _check_replaceable(folder)
    try:
        if out is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is not an empty folder. Choose another one with --out.")
        with whole_folder(folder, replace=out is None, durable=False) as scratch:
            total = 2 * count if kind == "reconstructions" else count
            names, preview = _write(sampler, drawn, scratch, total, format)
    except OSError as error:
        raise StorageError(f"Could not write samples in {folder}: {reason(error)}.") from error
    return GeneratedFiles(folder, [folder / n for n in names], folder / preview, sampler.step)


def _check_replaceable(folder: Path) -> None:
    """Check that what stands where samples go inside a run is what aigc wrote there.

    Raises:
        RunError: it, or the folder around it, is a link, or holds folders of its own.
    """
    is_real_folder(folder.parent)
    for name in names_in(folder):
        is_real_file(folder / name)


def _write(
    sampler: Sampler, drawn: Iterator[Tensor], folder: Path, count: int, format: str
) -> tuple[list[str], str]:
    """Write the samples chunk by chunk; return the files' names and the preview's."""
    names: list[str] = []
    start, first = 0, []
    with contextlib.ExitStack() as stack:
        array: BinaryIO | None = None
        if format == "npy":
            names = ["samples.npy"]
            array = stack.enter_context((folder / names[0]).open("wb"))
        for stored in drawn:
            if array is not None:
                if start == 0:
                    _write_npy_header(array, (count, *stored.shape[1:]), sampler.spec.dtype)
                array.write(stored.contiguous().numpy().tobytes())
            else:
                saved = sampler.parts.modality.save(stored, folder, format=format, start=start)
                names += [path.name for path in saved]
            if start < PREVIEW_COUNT:
                first.append(stored[: PREVIEW_COUNT - start])
            start += len(stored)
    preview = sampler.parts.modality.preview(torch.cat(first), folder / "preview")
    return names, preview.name


def _write_npy_header(file: BinaryIO, shape: tuple[int, ...], dtype: str) -> None:
    """Begin a .npy file that is written piece by piece.

    Not a memory map: on a full disk that ends the process with SIGBUS instead of an error.
    """
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_2_0(file, header)
