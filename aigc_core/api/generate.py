"""Samples from a trained run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from aigc_core.api.build import Parts, build_parts, require_plugins, run_layer
from aigc_core.config import resolve_config
from aigc_core.engine import choose_device, draw_samples, load_weights
from aigc_core.errors import ConfigError, StorageError, UserError, did_you_mean, reason
from aigc_core.files import whole_folder
from aigc_core.plugins import get_host
from aigc_core.runs import Run, load_weights_only, open_run

logger = logging.getLogger("aigc")
MAX_COUNT = 1_000_000
PREVIEW_COUNT = 64


@dataclass(frozen=True)
class GeneratedFiles:
    """What ``generate_files`` wrote."""

    folder: Path
    files: list[Path]
    preview: Path
    step: int


def generate(
    run: Run | str | Path, *, count: int = 16, seed: int = 0, device: str = "auto"
) -> Tensor:
    """Draw samples from a run's newest whole checkpoint.

    The same seed gives the same samples on the same device, and sample *i* does not depend on
    ``count``.

    Args:
        run: a run or the path of one.
        count: 1 to 1,000,000.
        seed: at least 0.
        device: as for training.

    Returns:
        ``(count, *shape)`` on the CPU in the stored form, such as uint8 ``(count, C, H, W)``.

    Raises:
        RunError: not a run, or it has no whole checkpoint.
        ConfigError: a count, seed or device that is not valid.
    """
    sampler = Sampler(run, device)
    return torch.cat(list(sampler.draw(count, seed)))


def generate_files(
    run: Run | str | Path,
    *,
    count: int = 16,
    seed: int = 0,
    device: str = "auto",
    format: str | None = None,
    out: str | Path | None = None,
) -> GeneratedFiles:
    """Draw samples into a new folder: all of them there, or on an error none.

    Args:
        run: a run or the path of one.
        count: 1 to 1,000,000; memory does not grow with it.
        seed: at least 0.
        device: as for training.
        format: one of the modality's formats, one file a sample; ``npy`` for one array
            ``samples.npy`` in the stored form; None for the modality's first.
        out: a folder that is missing or empty; None for one inside the run, replaced when there.

    Raises:
        UserError: as for ``generate``; an unknown format, or a folder that is not empty.
        StorageError: the files could not be written.
    """
    sampler = Sampler(run, device)
    formats = (*sampler.parts.modality.formats, "npy")
    format = format or formats[0]
    if format not in formats:
        raise ConfigError(f"There is no format '{format}'.{did_you_mean(format, formats)}")
    _check(count, seed)
    name = f"step-{sampler.step:06d}-seed-{seed}-count-{count}-{format}"
    folder = Path(out).expanduser() if out is not None else sampler.run.path / "generated" / name
    try:
        if out is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder} is not an empty folder. Choose another one with --out.")
        with whole_folder(folder, replace=out is None) as scratch:
            names, preview = _write(sampler, scratch, count, seed, format)
    except OSError as error:
        raise StorageError(f"Could not write samples in {folder}: {reason(error)}.") from error
    return GeneratedFiles(folder, [folder / n for n in names], folder / preview, sampler.step)


def _write(
    sampler: Sampler, folder: Path, count: int, seed: int, format: str
) -> tuple[list[str], str]:
    """Write the samples chunk by chunk; return the files' names and the preview's."""
    names: list[str] = []
    start, first = 0, []
    with contextlib.ExitStack() as stack:
        array: BinaryIO | None = None
        if format == "npy":
            names = ["samples.npy"]
            array = stack.enter_context((folder / names[0]).open("wb"))
            _write_npy_header(array, (count, *sampler.spec.shape), sampler.spec.dtype)
        for stored in sampler.draw(count, seed):
            if array is not None:
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


class Sampler:
    """A run's generator with its newest whole weights."""

    def __init__(self, run: Run | str | Path, device: str) -> None:
        self.run = run if isinstance(run, Run) else open_run(run)
        self.device = choose_device(device)
        host = get_host()
        require_plugins(host, self.run)
        self.config = resolve_config(host, self.run.recipe, layers=[run_layer(self.run)]).config
        facts = self.run.dataset
        self.spec = facts.spec
        self.parts: Parts = build_parts(host, self.config, facts.spec, len(facts.label_names))
        self.step, weights = load_weights_only(self.run.checkpoints, logger.warning)
        self.generator = self.parts.trainer.generator()
        averaged = {n: w for n, w in weights.items() if n.startswith("ema.")}
        if averaged:
            load_weights({"ema": self.generator}, averaged)
        else:
            load_weights(dict(self.parts.trainer.networks()), weights)
        self.generator.to(self.device)

    def draw(self, count: int, seed: int) -> Iterator[Tensor]:
        """Yield stored samples on the CPU, chunk by chunk."""
        _check(count, seed)
        chunks = draw_samples(self.generator, count, seed=seed, device=self.device)
        for samples in chunks:
            yield self.parts.modality.to_stored(samples).cpu()


def _check(count: int, seed: int) -> None:
    if not 1 <= count <= MAX_COUNT:
        raise ConfigError(f"count={count} is not valid: it must be from 1 to {MAX_COUNT:,}.")
    if not 0 <= seed < 2**63:
        raise ConfigError(f"seed={seed} is not valid: it must be from 0 to 2**63 - 1.")
