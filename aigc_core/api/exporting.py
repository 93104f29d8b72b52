"""``aigc export``: a run's generator as files for other programs and other people."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch

from aigc_core._version import __version__
from aigc_core.api.files import write_samples
from aigc_core.api.graphs import export_onnx, export_pt2
from aigc_core.api.model_card import model_card
from aigc_core.api.portable import Portable, on_cpu, portable
from aigc_core.api.request import Request
from aigc_core.api.sampler import Sampler, open_sampler
from aigc_core.api.script import script
from aigc_core.errors import ConfigError, StorageError, did_you_mean, reason
from aigc_core.files import atomic_file, atomic_folder
from aigc_core.runs import Run
from aigc_core.runs.checkpoint import WEIGHTS
from aigc_core.runs.folder import CONFIG, DATASET, ENVIRONMENT
from aigc_core.runs.manifest import MANIFEST, weights_digest
from aigc_core.runs.outcome import SCALARS

logger = logging.getLogger("aigc")
MODEL, SETTINGS = "model.safetensors", "aigc.yaml"
SAMPLES = 16


@dataclass(frozen=True)
class Exported:
    """What ``export_run`` wrote."""

    path: Path
    """The file or folder."""
    step: int


def export_run(
    run: Run | str | Path,
    *,
    format: str,
    out: str | Path | None = None,
    checkpoint: str | int | None = None,
) -> Exported:
    """Write a run's generator for other programs: whole or, on an error, not at all.

    Args:
        run: a run or the path of one.
        format: ``safetensors`` for the weights alone, averaged where there are any;
            ``hf-folder`` for a folder with a model card, which ``import_run`` reads; ``script``
            for a folder with one Python file that draws samples; ``onnx`` and ``pt2``, for
            networks that draw in one pass, whose outputs are compared first.
        out: what to write: a file that is missing, or a folder that is missing or empty. None for
            the run's name in the current folder.
        checkpoint: ``"best"`` or the step of a kept checkpoint; None for the newest.

    Raises:
        ConfigError: there is no such format, or the run cannot be exported in it.
        RunError: not a run, or it has no such intact checkpoint.
        StorageError: it could not be written.
    """
    if format not in FORMATS:
        raise ConfigError(f"There is no format '{format}'.{did_you_mean(format, FORMATS)}")
    sampler = open_sampler(run, checkpoint=checkpoint, device="cpu")
    name = f"{sampler.run.path.name}-{sampler.step}"
    is_file = format in ("safetensors", "onnx", "pt2")
    default = f"{name}.{format}" if is_file else f"{name}-{format}"
    target = Path(os.path.expanduser(default if out is None else out))
    try:
        _check_free(target, is_file=is_file)
        FORMATS[format](sampler, target)
    except OSError as error:
        raise StorageError(f"Could not write {target}: {reason(error)}.") from error
    return Exported(target, sampler.step)


def _check_free(target: Path, *, is_file: bool) -> None:
    if target.exists() and (is_file or not target.is_dir() or any(target.iterdir())):
        what = "is there" if is_file else "is not an empty folder"
        raise ConfigError(f"{target} {what}. Choose another one with --out.")


def generator_weights(sampler: Sampler) -> bytes:
    """Return the generator's weights as a safetensors file: names are those within it."""
    weights = {name: on_cpu(value) for name, value in sampler.generator.state_dict().items()}
    return safetensors.torch.save(weights, metadata={"format": "pt", **_about(sampler)})


def _about(sampler: Sampler) -> dict[str, str]:
    return {
        "recipe": sampler.run.recipe,
        "step": str(sampler.step),
        "digest": weights_digest(sampler.run.checkpoints, sampler.step),
        "program": f"aigc {__version__}",
    }


def _export_safetensors(sampler: Sampler, target: Path) -> None:
    with atomic_file(target) as scratch:
        scratch.write_bytes(generator_weights(sampler))


def _export_script(sampler: Sampler, target: Path) -> None:
    text = script(sampler)
    with atomic_folder(target) as folder:
        (folder / "generate.py").write_text(text, encoding="utf-8", newline="")
        (folder / MODEL).write_bytes(generator_weights(sampler))
        assets = sampler.run.path / DATASET
        (folder / DATASET).write_bytes(assets.read_bytes())


def _export_folder(sampler: Sampler, target: Path) -> None:
    found = portable(sampler.run, sampler.step)
    files = _as_folder(found)
    with atomic_folder(target, last=MANIFEST) as folder:
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        pictures: list[str] = []
        try:
            asked = Request(count=SAMPLES)
            made = write_samples(sampler, asked, out=folder / "samples")
            pictures = [f"samples/{path.name}" for path in made.previews.values()]
        except ConfigError as error:  # it draws nothing without being given something
            logger.warning("The folder has no samples: %s", error)
        card = model_card(sampler, pictures)
        (folder / "README.md").write_text(card, encoding="utf-8", newline="")
        (folder / MANIFEST).write_text(_manifest(sampler, files), encoding="utf-8", newline="")


def _as_folder(found: Portable) -> dict[str, bytes]:
    """Return a run's files as they lie in a folder for a hub: the weights at the top."""
    names = {
        f"{found.checkpoint}/{WEIGHTS}": MODEL,
        f"{found.checkpoint}/{SCALARS}": SCALARS,
        CONFIG: SETTINGS,
        DATASET: DATASET,
        ENVIRONMENT: ENVIRONMENT,
    }
    left_out = f"{found.checkpoint}/{MANIFEST}"
    return {names.get(path, path): data for path, data in found.files.items() if path != left_out}


def _manifest(sampler: Sampler, files: dict[str, bytes]) -> str:
    entries = {
        path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in sorted(files.items())
    }
    about = {"schema_version": 1, **_about(sampler), "step": sampler.step}
    return json.dumps({**about, "files": entries}, indent=2) + "\n"


FORMATS: dict[str, Callable[[Sampler, Path], None]] = {
    "safetensors": _export_safetensors,
    "hf-folder": _export_folder,
    "script": _export_script,
    "onnx": lambda sampler, target: export_onnx(sampler, target, _about(sampler)),
    "pt2": lambda sampler, target: export_pt2(sampler, target, _about(sampler)),
}
