"""Files that say how they were made: written beside ``aigc generate``, read by ``aigc show``."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import torch

from aigc_core._version import __version__
from aigc_core.config import parse_assignment
from aigc_core.errors import ConfigError, DataError, RunError, UserError, did_you_mean, reason
from aigc_core.files import sha256_of, typed
from aigc_core.interfaces import Modality
from aigc_core.interfaces.note import Note
from aigc_core.plugins import get_host
from aigc_core.runs import Run, find_runs
from aigc_core.runs.folder import CONFIG
from aigc_core.runs.inside import json_object, read_file
from aigc_core.runs.manifest import weights_digest
from aigc_core.storage import array_digest

if TYPE_CHECKING:
    from aigc_core.api.request import Request
    from aigc_core.api.sampler import Sampler

logger = logging.getLogger("aigc")
MANIFEST = "manifest.json"
SIDECAR = ".json"
"""What is added to the name of a file whose format has no place for a note."""
MAKER = "AI"
MARKS = ("cn",)
MAX_FILE_BYTES = 2 << 30
MAX_TEXT = 10_000
"""Longer prompts are kept as a digest alone."""


@dataclass(frozen=True)
class Marking:
    """What generated files say of themselves."""

    metadata: bool = True
    """Whether they say anything."""
    mark: str | None = None
    """``cn`` for the implicit label of GB 45438-2025, besides."""
    producer: str | None = None
    """With ``cn``: the name or code of who offers the service (``ContentProducer``)."""

    def __post_init__(self) -> None:
        """Check that they go together.

        Raises:
            ConfigError: they do not, or there is no such mark.
        """
        if self.mark is not None and self.mark not in MARKS:
            raise ConfigError(f"There is no mark '{self.mark}'.{did_you_mean(self.mark, MARKS)}")
        if self.mark is not None and not self.metadata:
            raise ConfigError("--mark is metadata: leave --no-metadata out.")
        if self.mark is not None and not (self.producer or "").strip():
            raise ConfigError(
                "The mark 'cn' has to name who offers the service, or their code. Give it with: "
                "--producer NAME"
            )
        if self.mark is None and self.producer is not None:
            raise ConfigError("--producer goes with --mark cn.")


class NoteWriter:
    """Writes notes into a folder's files, and a manifest of them."""

    def __init__(self, folder: Path, record: Mapping[str, Any], marking: Marking) -> None:
        """Begin the manifest of a folder; to be used in a ``with`` block."""
        self._folder, self._record, self._marking = folder, dict(record), marking
        self._file: TextIO
        self._lines = 0

    def __enter__(self) -> NoteWriter:
        self._file = (self._folder / MANIFEST).open("w", encoding="utf-8", newline="")
        head = {"schema_version": 1, **self._record, "command": command_of(self._record)}
        # File by file, since there may be a million.
        self._file.write(json.dumps(head, indent=2)[:-2] + ',\n  "files": {')
        return self

    def __exit__(self, *error: object) -> None:
        with self._file as file:
            file.write("\n  }\n}\n")

    def add(self, path: Path, modality: Modality, about: Mapping[str, Any], made: bool) -> None:
        """Write a note into a file, or into one beside it, and the file into the manifest.

        Args:
            path: of the file.
            modality: whose file it is.
            about: which sample and output it is; empty for a preview.
            made: whether it was generated; data, which is also written for comparison, was not.
        """
        if made:
            self._annotate(path, modality, about)
        entry = {"sha256": sha256_of(path), **about, **({} if made else {"made_by": "data"})}
        self._file.write(f"{',' if self._lines else ''}\n    {json.dumps(path.name)}: ")
        self._file.write(json.dumps(entry))
        self._lines += 1

    def _annotate(self, path: Path, modality: Modality, about: Mapping[str, Any]) -> None:
        record = {**self._record, **about}
        comment = json.dumps(record)
        label = None
        if self._marking.mark == "cn":
            label = label_cn(self._marking.producer or "", comment)
        format = modality.notes.get(path.suffix.lower().lstrip("."))
        if format is not None:
            try:
                path.write_bytes(format.write(path.read_bytes(), Note(comment, label)))
                return
            except ValueError as error:
                logger.debug("%s: %s", path, error)
        if about:  # a preview has the manifest
            beside = record | ({"AIGC": json.loads(label)} if label else {})
            text = json.dumps(beside, indent=2) + "\n"
            path.with_name(path.name + SIDECAR).write_text(text, encoding="utf-8", newline="")


def label_cn(producer: str, content: str) -> str:
    """Return the value of the field ``AIGC`` for content that was generated.

    The seven names, in this order, are those of GB 45438-2025, appendix E, as the practice guides
    TC260-PG-20257A, -20259A and -202510A write them. ``Label`` 1 means: is made by AI. Whoever
    spreads the content fills in the propagator; the reserved codes may hold signatures.

    Args:
        producer: name or code of who offers the service.
        content: what distinguishes this content from any other: ``ProduceID`` is a digest of it.
    """
    number = hashlib.sha256(content.encode()).hexdigest()[:32]
    fields = {
        "Label": "1",
        "ContentProducer": producer,
        "ProduceID": number,
        "ReservedCode1": "",
        "ContentPropagator": "",
        "PropagateID": "",
        "ReservedCode2": "",
    }
    return json.dumps(fields, separators=(",", ":"))


def record_of(
    sampler: Sampler, asked: Request, kind: str, formats: Mapping[str, str], marking: Marking
) -> dict[str, Any]:
    """Return how samples are made, as JSON data: by which run, and what it was asked for.

    It holds no path, no time and no name of a machine: the same request gives the same bytes.
    """
    request: dict[str, Any] = {"kind": kind, "count": asked.count, "seed": asked.seed}
    if len({*formats.values()}) == 1:
        request["format"] = next(iter(formats.values()))
    if asked.label is not None:
        request["label"] = str(asked.label)
    if asked.prompt is not None:
        request["prompt"] = _kept(asked.prompt)
    files = sampler.validator.files
    given = {name: _given(value, name in files) for name, value in asked.inputs.items()}
    optional = {"inputs": given, "controls": dict(asked.controls), "want": list(asked.want)}
    request |= {name: value for name, value in optional.items() if value}
    if marking.mark is not None:
        request |= {"mark": marking.mark, "producer": marking.producer}
    host = sampler.blueprint.host
    status = host.status(host.owner("recipe", sampler.run.recipe))
    plugin = status and status.distribution
    return {
        "made_by": MAKER,
        "program": f"aigc {__version__}",
        "recipe": sampler.run.recipe,
        **({"plugin": f"{plugin} {status.version}"} if status and plugin else {}),
        "run": {
            "step": sampler.step,
            "digest": weights_digest(sampler.run.checkpoints, sampler.step),
        },
        "request": request,
        "device": sampler.device.type,
        "torch": torch.__version__,
    }


def _kept(text: str) -> Any:
    if len(text) <= MAX_TEXT:
        return text
    return {"characters": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _given(value: Any, is_file: bool) -> Any:
    if isinstance(value, torch.Tensor):
        return {"array": array_digest(value)}
    if isinstance(value, Path) or is_file:
        return {"file": Path(value).name, "sha256": sha256_of(os.path.expanduser(value))}
    return value if isinstance(value, int) else _kept(str(value))


def command_of(record: Mapping[str, Any], run: str | None = None) -> str | None:
    """Return the command that makes the same files again; None if no command can.

    Args:
        record: of ``record_of``, or read from a file.
        run: the run, as it is to be typed; None for ``RUN``, where it is not known.
    """
    request, made_by = record["request"], record["run"]
    words = ["aigc generate", run or "RUN"]
    words.append(f"--checkpoint {made_by['step']}")
    kinds = {"interpolation": "--interpolate", "reconstructions": "--reconstruct"}
    words += [kinds[request["kind"]]] if request.get("kind") in kinds else []
    options: list[tuple[str, Any]] = [
        (f"--{name}", request[name])
        for name in ("count", "seed", "label", "prompt", "format", "mark", "producer")
        if name in request
    ]
    for name, value in request.get("inputs", {}).items():
        if isinstance(value, dict):
            value = value.get("file")
        options.append(("--input", None if value is None else f"{name}={value}"))
    for name, value in request.get("controls", {}).items():
        options.append(("--set", f"{name}={_assigned(value)}"))
    if request.get("want"):
        options.append(("--want", ",".join(map(str, request["want"]))))
    if any(value is None or isinstance(value, dict) for _, value in options):
        return None  # something was given that is not kept
    words += [f"{option} {shlex.quote(str(value))}" for option, value in options]
    return " ".join([*words, f"--device {shlex.quote(str(record.get('device', 'auto')))}"])


def _assigned(value: Any) -> str:
    """Return a value so that ``--set`` reads it as it was."""
    with contextlib.suppress(UserError):
        if isinstance(value, str) and parse_assignment(f"x={value}")[1] == value:
            return value
    return json.dumps(value)


@dataclass(frozen=True)
class Origin:
    """How a file was made, as it says itself, or as what lies beside it does."""

    record: Mapping[str, Any]
    """Of ``record_of``; from anybody, so nothing in it is to be trusted."""
    source: Path
    """The file that says so."""
    label: str | None
    """The field ``AIGC`` of GB 45438-2025."""
    run: Run | None
    """The run, where it was found again: by its digest."""

    @property
    def command(self) -> str | None:
        """What makes the same file again, among others; None if no command can."""
        return command_of(self.record, None if self.run is None else typed(self.run.path))


def origin_of(path: str | Path) -> Origin:
    """Return how a generated file was made.

    Args:
        path: of a file that ``aigc generate`` wrote, or of its folder. The run is looked for
            around the file, and below ``./runs``.

    Raises:
        DataError: there is no such file, or neither it nor anything beside it says how it was made.
    """
    path = Path(os.path.expanduser(path))
    if path.is_dir():
        path = path / MANIFEST
    try:
        if not path.is_file():
            raise DataError(f"There is no file {path}.")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DataError(f"{path} is larger than 2 GiB, and is not read.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}.") from error
    for record, source, label in _records(path, data):
        if _is_record(record):
            return Origin(record, source, label, _found(record, source))
    raise DataError(
        f"{path} does not say that aigc made it: its metadata was left out (--no-metadata) or "
        "lost, as happens when another program saves a file, or it was made otherwise."
    )


def _records(path: Path, data: bytes) -> Iterator[tuple[dict[str, Any], Path, str | None]]:
    """Yield what says how a file was made, where that stands, and the label there."""
    for note in _notes(path, data):
        with contextlib.suppress(RunError):
            yield json_object(note.comment.encode(), path), path, note.label
    with contextlib.suppress(RunError, FileNotFoundError):
        record = json_object(data, path) if path.suffix == SIDECAR else {}
        yield record, path, _label(record)
    beside = path.with_name(path.name + SIDECAR)
    with contextlib.suppress(RunError, FileNotFoundError):
        record = json_object(read_file(beside), beside)
        yield record, beside, _label(record)
    manifest = path.with_name(MANIFEST)
    with contextlib.suppress(RunError, FileNotFoundError):
        record = json_object(read_file(manifest, MAX_FILE_BYTES), manifest)
        entry = (record.get("files") or {}).get(path.name)
        if isinstance(entry, dict) and entry.get("sha256") == hashlib.sha256(data).hexdigest():
            del record["files"]
            yield {**record, **entry}, manifest, None


def _is_record(record: Mapping[str, Any]) -> bool:
    """Whether JSON data has the form of ``record_of``."""
    run, request = record.get("run"), record.get("request")
    if record.get("made_by") != MAKER or not isinstance(run, dict) or not isinstance(request, dict):
        return False
    kinds: list[tuple[str, type]] = [("inputs", dict), ("controls", dict), ("want", list)]
    return isinstance(run.get("step"), int) and all(
        isinstance(request.get(name, kind()), kind) for name, kind in kinds
    )


def _label(record: Mapping[str, Any]) -> str | None:
    return json.dumps(record["AIGC"]) if isinstance(record.get("AIGC"), dict) else None


def _notes(path: Path, data: bytes) -> Iterator[Note]:
    """Yield the notes that the installed modalities find in a file."""
    host, suffix = get_host(), path.suffix.lower().lstrip(".")
    for spec in host.modalities.values():
        with contextlib.suppress(UserError, ValueError):
            modality = host.resolve(spec.code, host.owner("modality", spec.name))
            format = modality.notes.get(suffix)
            note = format.read(data) if format is not None else None
            if note is not None:
                yield note


def _found(record: Mapping[str, Any], source: Path) -> Run | None:
    """Find the run with the weights that a record names."""
    run = record["run"]
    step, digest = run.get("step"), run.get("digest")
    if not isinstance(step, int) or not isinstance(digest, str):
        return None
    around = list(Path(os.path.abspath(source)).parents[1:3])  # within a run, or beside one
    with contextlib.suppress(OSError):
        around += sorted(path.parent for path in around[0].glob(f"*/{CONFIG}"))
    for candidate in [*map(Run, around), *find_runs()]:
        with contextlib.suppress(UserError, OSError):
            if weights_digest(candidate.checkpoints, step) == digest:
                return candidate
    return None
