"""Promises of modalities: lossless round trips, and files that can be opened."""

from __future__ import annotations

import json
import re
import wave
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor

from aigc_core.interfaces import Modality
from aigc_core.interfaces.note import Note
from aigc_core.testing.checks.check import Checks, fail_unless
from aigc_core.testing.results import CheckFailed
from aigc_core.testing.subjects import MANY, ModalityOnDataset, ModalitySubject

CHECKS = Checks()
START = 41
"""Number of the first file: one that no file name contains by chance."""
SLACK = 1e-4
"""How far a float may be out of range: a last layer's rounding, not another scale."""


@CHECKS.modality
def embedded_dataset(modality: ModalitySubject) -> None:
    """The plugin brings an embedded dataset of its modality.

    A user's first command should work without a download, and the checks need samples.
    """
    fail_unless(
        list(modality.on_datasets()),
        f"The plugin brings no embedded dataset of the modality '{modality.spec.name}', so there "
        "is nothing to check it on and nothing that works without a download. Add a small "
        "DatasetSpec with embedded=True.",
    )


@CHECKS.modality_on_a_dataset
def model_form(subject: ModalityOnDataset) -> None:
    """``to_model`` returns finite values of the shape, type and range that the modality declares.

    Recipes build their networks for these.
    """
    stored, modality = subject.spread(MANY), subject.modality
    before = stored.clone()
    samples = modality.to_model(stored)
    fail_unless(torch.equal(before, stored), "to_model changed its argument in place.")
    check_model_form(samples, modality, len(stored), "to_model gave", modality.sample_shape)


def check_model_form(
    samples: object, modality: Modality, count: int, what: str, of_one: tuple[int, ...]
) -> None:
    """Raise ``CheckFailed`` unless these are ``count`` samples in the model's form.

    ``of_one`` is the shape of one sample.
    """
    if not isinstance(samples, Tensor):
        raise CheckFailed(f"{what} a {type(samples).__name__}, not a tensor.")
    shape = (count, *of_one)
    fail_unless(
        tuple(samples.shape) == shape,
        f"{what} the shape {tuple(samples.shape)}; it should be {shape}, count and sample_shape.",
    )
    fail_unless(
        samples.dtype == modality.sample_dtype,
        f"{what} {samples.dtype}; the modality's sample_dtype is {modality.sample_dtype}.",
    )
    fail_unless(torch.isfinite(samples).all(), f"{what} values that are not finite.")
    if modality.sample_range is None:
        return
    low, high = modality.sample_range
    least, greatest = samples.min().item(), samples.max().item()
    fail_unless(
        low - SLACK <= least and greatest <= high + SLACK,
        f"{what} values from {least:g} to {greatest:g}; the modality's sample_range is "
        f"{low:g} to {high:g}.",
    )


@CHECKS.modality_on_a_dataset
def stored_form(subject: ModalityOnDataset) -> None:
    """``to_stored`` undoes ``to_model``, and clamps values outside the range.

    Otherwise showing real data would change it, and values that overshoot would wrap around or
    raise.
    """
    stored, modality = subject.spread(MANY), subject.modality
    samples = modality.to_model(stored)
    again = modality.to_stored(samples)
    check_stored(again, modality, len(stored), "to_stored gave")
    same = torch.equal(again, stored)
    if stored.is_floating_point():
        same = torch.allclose(again, stored, rtol=1e-4, atol=1e-5)
    if not same:
        off = (again.double() - stored.double()).abs().max().item()
        raise CheckFailed(
            f"to_stored(to_model(x)) is not x: it is off by up to {off:g}. Check scale, rounding "
            "and what is cut off or padded."
        )
    if modality.sample_range is None:
        return
    low, high = modality.sample_range
    if not samples.is_floating_point():  # a float bound would turn integers into floats
        low, high = int(low), int(high)
    sign = (torch.arange(samples.numel()) % 2 * 2 - 1).reshape(samples.shape).to(samples.dtype)
    span = high - low + 1
    for beyond in (samples + sign * span, samples - sign * span):
        clamped = modality.to_stored(beyond)
        check_stored(clamped, modality, len(stored), "For samples beyond the range, to_stored gave")
        fail_unless(
            torch.equal(clamped, modality.to_stored(beyond.clamp(low, high))),
            f"to_stored does not clamp: samples beyond {low:g} to {high:g} give other stored "
            "samples than the ends of the range.",
        )


def check_stored(stored: object, modality: Modality, count: int, what: str) -> None:
    """Raise ``CheckFailed`` unless these are ``count`` stored samples."""
    if not isinstance(stored, Tensor):
        raise CheckFailed(f"{what} a {type(stored).__name__}, not a tensor.")
    shape, dtype = (count, *modality.spec.shape), getattr(torch, modality.spec.dtype)
    fail_unless(
        tuple(stored.shape) == shape and stored.dtype == dtype,
        f"{what} {stored.dtype} of the shape {tuple(stored.shape)}; it should be {dtype} "
        f"{shape}, as the dataset's SampleSpec says.",
    )


@CHECKS.modality_on_a_dataset
def save_and_read(subject: ModalityOnDataset) -> None:
    """``read`` returns what ``save`` wrote, in each of ``formats``; files are numbered.

    Generated samples are judged and edited as files, so a loss there cannot be undone.
    """
    modality, stored = subject.modality, subject.stored
    fail_unless(modality.formats, "formats is empty; name at least one format that save writes.")
    odd = set(modality.lossy_formats) - set(modality.formats)
    fail_unless(not odd, f"lossy_formats names {sorted(odd)}, which formats does not.")
    for format, media_type in modality.media_types.items():
        fail_unless(
            format in modality.formats and re.match(r"[a-z]+/[a-z0-9.+-]+(;|$)", media_type),
            f"media_types has '{format}': '{media_type}'; it should give the media type of one of "
            "formats, as type/subtype.",
        )
    for format in modality.formats:
        folder = subject.folder / "saved" / format
        folder.mkdir(parents=True)
        half = (len(stored) + 1) // 2
        paths = list(modality.save(stored[:half], folder, format=format, start=START))
        if half < len(stored):
            paths += modality.save(stored[half:], folder, format=format, start=START + half)
        there = sorted(path.name for path in folder.iterdir())
        what = f"save with the format '{format}' and start={START}"
        fail_unless(
            len(paths) == len(stored) and sorted(path.name for path in paths) == there,
            f"{what} returned {[path.name for path in paths]}, and the folder holds {there}: it "
            "should be one file for each sample, all returned, in order.",
        )
        for number, (path, sample) in enumerate(zip(paths, stored, strict=True), START):
            fail_unless(path.parent == folder, f"{what} wrote {path}, outside of its folder.")
            fail_unless(
                number in map(int, re.findall(r"\d+", path.name)),
                f"{what} called sample {number} '{path.name}'; its name should hold its number.",
            )
            _check_read(modality, path, sample, exact=format not in modality.lossy_formats)
            fail_unless(
                modality.encoded(sample, format) == path.read_bytes(),
                f"encoded(sample, '{format}') gave other bytes than save wrote in {path.name}.",
            )
        if format in modality.notes:
            _check_note(modality, paths[0], format)


def _check_note(modality: Modality, path: Path, format: str) -> None:
    """Check that a note comes back, and that the sample reads as it did without."""
    before, place = modality.read(path), modality.notes[format]
    note = Note('{"made_by": "AI", "prompt": "\\u00e4 <&>"}', '{"Label":"1"}')
    try:
        path.write_bytes(place.write(path.read_bytes(), note))
        found = place.read(path.read_bytes())
    except ValueError as error:
        raise CheckFailed(f"notes['{format}'] cannot write into {path.name}: {error}.") from None
    fail_unless(
        found == note, f"notes['{format}'] wrote {note} into {path.name}, and read {found}."
    )
    fail_unless(
        torch.equal(modality.read(path), before),
        f"{path.name} holds another sample once notes['{format}'] wrote into it.",
    )


def _check_read(modality: Modality, path: Path, sample: Tensor, *, exact: bool) -> None:
    read = modality.read(path)
    if not isinstance(read, Tensor):
        raise CheckFailed(f"read({path.name}) gave a {type(read).__name__}, not a tensor.")
    fail_unless(
        read.shape == sample.shape and read.dtype == sample.dtype,
        f"read({path.name}) gave {read.dtype} {tuple(read.shape)}; what was saved is "
        f"{sample.dtype} {tuple(sample.shape)}.",
    )
    fail_unless(
        not exact or torch.equal(read, sample),
        f"read({path.name}) is not the sample that was saved. If the format loses something, "
        "name it in lossy_formats.",
    )


@CHECKS.modality_on_a_dataset
def preview_opens(subject: ModalityOnDataset) -> None:
    """``preview`` writes files that open, under the name that it was given, including any dots.

    Names such as ``step-000500`` tell previews apart; ``Path.with_suffix`` would cut at a dot.
    """
    for count in (1, len(subject.stored)):
        folder = subject.folder / f"preview-{count}"
        folder.mkdir(exist_ok=True)
        base = "step-000007.v1.2"
        path = subject.modality.preview(subject.stored[:count], folder / base)
        there = sorted(folder.iterdir())
        fail_unless(
            path in there,
            f"preview of {count} returned {path}, and its folder holds "
            f"{[found.name for found in there]}: it should write a file there and return its path.",
        )
        for found in there:
            fail_unless(
                found.name.startswith(f"{base}.") and found.suffix not in ("", ".2"),
                f"preview was to write '{base}' with a suffix, and wrote '{found.name}'. Add the "
                "suffix to path.name; Path.with_suffix replaces what follows the last dot.",
            )
            problem = open_file(found)
            fail_unless(problem is None, f"The preview of {count}, {found.name}, {problem}.")


def open_file(path: Path) -> str | None:
    """Return what is wrong with a file, as the end of a sentence, or None.

    The suffix says what it should be; a file of a kind not known here only has to be non-empty.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return "is empty or not there"
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        return None
    try:
        reader(path)
    except Exception as error:  # a parser may raise anything on a damaged file
        return f"does not open as {path.suffix[1:]}: {type(error).__name__}: {error}"
    return None


def _picture(path: Path) -> None:
    try:
        from PIL import Image
    except ImportError:  # a plugin may write pictures without Pillow
        return
    with Image.open(path) as picture:
        picture.load()


def _sound(path: Path) -> None:
    try:
        with wave.open(str(path)) as sound:
            if sound.getnframes() == 0:
                raise ValueError("it holds no sound")
    except wave.Error as error:
        if "unknown format" not in str(error):  # such as 32-bit float, which wave cannot read
            raise


def _markup(path: Path) -> None:
    ElementTree.parse(path)


def _text(path: Path) -> None:
    path.read_text(encoding="utf-8")


def _json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


_READERS: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp"), _picture),
    ".wav": _sound,
    **dict.fromkeys((".svg", ".xml"), _markup),
    **dict.fromkeys((".txt", ".md", ".csv", ".html"), _text),
    ".json": _json,
}
