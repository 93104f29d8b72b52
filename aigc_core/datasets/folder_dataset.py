"""The base of datasets of the user's own files: a folder, decoded once and cached."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import shutil
import warnings
from abc import abstractmethod
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from aigc_core.datasets.cache import locked_cache
from aigc_core.datasets.contents import content_digests
from aigc_core.datasets.listing import (
    DataFile,
    FileListing,
    folder_labels,
    label_notes,
    list_files,
)
from aigc_core.datasets.words import check_split, list_some
from aigc_core.errors import DataError
from aigc_core.interfaces import Column, Dataset, SampleSpec, SampleStore
from aigc_core.storage import SHARD_BYTES, PackWriter, Progress, is_packed, open_pack

logger = logging.getLogger("aigc")

_AHEAD = 4
"""How many files are decoded ahead for each thread."""
_SHARD_FILES = 50_000
"""A shard ends after this many files, even if it is small: they would be decoded again."""


class DecodedFile(NamedTuple):
    """The result of decoding one file."""

    samples: NDArray[Any]
    """``(P, *shape)``, at least one: a file may hold several frames or clips."""
    remarks: tuple[str, ...] = ()
    """What was odd about it: keys of ``FolderDataset.remarks``."""


class UnreadableError(Exception):
    """Why a file cannot be used; the message is to go in brackets."""


class FolderDataset(Dataset):
    """The files below ``--data-root``; sub-folders, if every file is in one, are classes.

    Decoded samples are kept in ``<cache>/<name>/<hash>.pack`` (``aigc_core.storage``), and read
    from there batch by batch if they are larger than memory. The hash covers the options and every
    file's path and content, so a folder that is moved or copied is not decoded again, but one that
    has changed in any way is. Every file is used, or counted in a note.
    """

    name: ClassVar[str]
    kind: ClassVar[tuple[str, str]]
    """What to call one file, and several: ``("image", "images")``."""
    suffixes: ClassVar[tuple[str, ...]]
    """Suffixes of the files to read, in lower case."""
    hints: ClassVar[Mapping[str, str]] = {}
    """What to do about files with other suffixes: ``{".heic": "install pillow-heif"}``."""
    remarks: ClassVar[Mapping[str, str]] = {}
    """Sentences about odd files; ``{count}`` is how many there were, ``{total}`` out of how many,
    and ``{files}`` the names of a few."""
    format: ClassVar[int]
    """Increase it when the same files and options give other samples: invalidates old caches."""
    single_file: ClassVar[bool] = False
    """Whether ``--data-root`` may name one file."""

    @property
    @abstractmethod
    def spec(self) -> SampleSpec:
        """What the samples are."""

    @abstractmethod
    def decode(self, path: Path) -> DecodedFile:
        """Read one file; called in several threads at once.

        Raises:
            UnreadableError: it cannot be used, and is skipped. Any other exception ends
                ``prepare``.
        """

    def prepare(self) -> None:
        """Decode the files unless they are in the cache.

        A preparation that was killed continues after the last shard that it finished.

        Raises:
            DataError: no folder was given, it holds no file with a suffix to read or none that can
                be read, or a file changed meanwhile.
        """
        if self._is_prepared():
            return
        with locked_cache(self.folders, self.name):
            if self._is_prepared():  # another process was faster
                return
            try:
                with PackWriter(self._target) as writer:
                    self.decode_all(writer)
            except DataError:  # once it is put right, the files are others
                shutil.rmtree(self._target, ignore_errors=True)
                raise

    def _is_prepared(self) -> bool:
        if not is_packed(self._target):
            return False
        try:
            open_pack(self._target)
        except DataError as error:
            logger.warning("%s What is damaged is made again.", error)
            return False
        return True

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` and, with sub-folders, ``labels`` int64 ``(N,)``.

        Arrays for which there is no memory stay on disk.

        Raises:
            DataError: there is no such split, or what is in the cache is damaged.
        """
        check_split(self.name, split, ("train",))
        if not is_packed(self._target):
            raise DataError(
                f"'{self.name}' is not in {self._target}: call prepare() before load()."
            )
        pack = open_pack(self._target, f"Make it again after: aigc cache clear {self.name}")
        facts = pack.facts
        left_out = self.files.without(self._further).notes(self.hints)
        return SampleStore(
            arrays=pack.load(self.name),
            spec=self.spec,
            label_names=tuple(facts["label_names"]),
            columns={n: Column(**found) for n, found in facts.get("columns", {}).items()},
            notes=(*facts["notes"], *left_out),
        )

    @property
    def pack(self) -> Path:
        """The folder of the decoded samples."""
        return self._target

    def decode_all(self, writer: PackWriter) -> None:
        """Decode the files that are in no finished shard yet, and finish the pack."""
        done: list[_Shard] = [_Shard(**facts) for facts in writer.facts]
        shard = _Shard()
        files = [file.path for file in self.files]
        position = sum(len(found.counts) for found in done)
        with Progress(f"Decoding {self.kind[1]}", "files", len(files)) as progress:
            progress.skip(position)
            with closing(self._decoded(files[position:])) as results:
                for result in results:
                    if isinstance(result, DecodedFile):
                        writer.append({"samples": torch.from_numpy(result.samples)})
                    shard.add(result)
                    progress.add()
                    if writer.size >= SHARD_BYTES or len(shard.counts) >= _SHARD_FILES:
                        writer.end_shard(shard.facts())
                        done, shard = [*done, shard], _Shard()
            if shard.counts:
                writer.end_shard(shard.facts())
                done.append(shard)
        skipped, remarks, counts = [], [], []
        for path, count, why, keys in zip(files, *_Shard.joined(done), strict=True):
            if count:
                remarks.append((path, keys))
                counts.append(count)
            else:
                skipped.append(f"{path} ({why})")
        if self._read_digests() != self._digests:
            raise DataError(
                f"Files in {self._base} were changed while they were read. Try again when nothing "
                "writes there."
            )
        if not counts:
            raise DataError(self._nothing(skipped))
        arrays: dict[str, Tensor] = {"samples": writer.array("samples")}
        paths = [path for path, _ in remarks]
        labels, names = folder_labels(paths)
        if names:
            arrays["labels"] = torch.tensor(labels).repeat_interleave(torch.tensor(counts))
        arrays, names, columns, more = self.arrange(paths, counts, arrays, names)
        notes = [f"Skipped files that cannot be read: {list_some(skipped)}."] if skipped else []
        notes += self._remarks(remarks) + more + label_notes(names)
        source = os.fsencode(self._root.absolute()).decode(errors="replace")
        facts: dict[str, Any] = {"label_names": names, "notes": notes, "source": source}
        if columns:
            facts["columns"] = {name: c.model_dump(mode="json") for name, c in columns.items()}
        writer.finish(arrays, facts)

    def arrange(
        self,
        paths: Sequence[str],
        counts: Sequence[int],
        arrays: dict[str, Tensor],
        label_names: list[str],
    ) -> tuple[dict[str, Tensor], list[str], dict[str, Column], list[str]]:
        """Make columns of what was decoded; by default, there are samples and labels alone.

        Args:
            paths: of the files that were decoded, in order.
            counts: how many samples each gave.
            arrays: ``samples``, which are on disk (``PackedArray``) and may be
                larger than memory: ``lazy_rows`` and ``samples[:, k]`` read nothing yet; and, with
                sub-folders, ``labels``.
            label_names: of the classes.

        Returns:
            Arrays and names of classes, what further arrays are, and notes.

        Raises:
            DataError: the files do not go together.
        """
        return arrays, label_names, {}, []

    def _decoded(self, paths: Sequence[str]) -> Generator[DecodedFile | str, None, None]:
        """Yield each file's samples or why it is skipped, in order, decoded by several threads.

        Libraries release the interpreter's lock while they decode.
        """
        threads = _cores()
        waiting: deque[Future[DecodedFile | str]] = deque()
        with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
            warnings.simplefilter("ignore")  # from libraries, about odd but readable files
            try:
                for path in paths:
                    waiting.append(pool.submit(self._decode_one, path))
                    if len(waiting) > _AHEAD * threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _decode_one(self, path: str) -> DecodedFile | str:
        try:
            return self.decode(self._base / path)
        except UnreadableError as error:
            return str(error)

    def _remarks(self, remarks: Sequence[tuple[str, tuple[str, ...]]]) -> list[str]:
        """Return a sentence for each kind of oddity, in the order of ``FolderDataset.remarks``."""
        sentences = []
        for key, sentence in self.remarks.items():
            files = [path for path, keys in remarks if key in keys]
            if files:
                message = sentence.format(
                    count=len(files), total=len(remarks), files=list_some(files, 3)
                )
                sentences.append(message)
        return sentences

    def _nothing(self, skipped: Sequence[str]) -> str:
        one = len(skipped) == 1
        subject = "The file" if one else f"None of the {len(skipped):,} files"
        return (
            f"{subject} in {self._base} {'cannot' if one else 'can'} be read as {self.kind[1]}: "
            f"{list_some(skipped)}."
        )

    @property
    def _root(self) -> Path:
        root = self.folders.root
        if root is None:
            one = ", or one file," if self.single_file else ""
            raise DataError(
                f"The dataset '{self.name}' needs your {self.kind[1]}: give their folder{one} with "
                "--data-root FOLDER (or AIGC_DATA_DIR)."
            )
        if root.is_file() and not self.single_file:
            raise DataError(
                f"{root} is a file: give the folder of {self.kind[1]} with --data-root."
            )
        return root

    @property
    def _base(self) -> Path:
        """The folder that paths are relative to."""
        return self._root.parent if self._root.is_file() else self._root

    def further_files(self, paths: Sequence[str]) -> Sequence[DataFile]:
        """Return files besides those with a suffix that are used too, such as captions.

        Args:
            paths: of the files with a suffix, relative to the folder.
        """
        return ()

    @functools.cached_property
    def _further(self) -> Sequence[DataFile]:
        return self.further_files([file.path for file in self.files])

    @functools.cached_property
    def files(self) -> FileListing:
        """The files with a suffix to read, listed once.

        Raises:
            DataError: there is none.
        """
        files = list_files(self._root, self.suffixes)
        if not files:
            there = " ".join(files.notes(self.hints))
            raise DataError(
                f"There is no {self.kind[0]} in {self._root} or its sub-folders. "
                + (f"{there} " if there else "")
                + f"Files count as {self.kind[1]} by their suffix: {' '.join(self.suffixes)}. "
                "Convert others, or give another folder with --data-root."
            )
        return files

    @functools.cached_property
    def _digests(self) -> list[str]:
        return self._read_digests()

    def _read_digests(self) -> list[str]:
        return content_digests(self._base, [*self.files, *self._further], self.folders.cache)

    @functools.cached_property
    def _target(self) -> Path:
        used = [*self.files, *self._further]
        digest = hashlib.sha256(json.dumps([self.format, self.options.model_dump()]).encode())
        for file, content in zip(used, self._digests, strict=True):
            digest.update(json.dumps([file.path, content]).encode())
        return self.folders.cache / self.name / f"{digest.hexdigest()[:32]}.pack"


class _Shard:
    """What a shard was made from."""

    def __init__(
        self,
        counts: Sequence[int] = (),
        skipped: Mapping[str, str] | None = None,
        remarks: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.counts = list(counts)
        """How many samples each file gave, in order; 0 if it was skipped."""
        self.skipped = dict(skipped or {})
        """Why, by the file's number in the shard."""
        self.remarks = dict(remarks or {})

    def add(self, result: DecodedFile | str) -> None:
        """Add the next file."""
        number = str(len(self.counts))
        if isinstance(result, str):
            self.skipped[number] = result
            self.counts.append(0)
            return
        self.counts.append(len(result.samples))
        if result.remarks:
            self.remarks[number] = result.remarks

    def facts(self) -> dict[str, Any]:
        """Return JSON data that makes an equal one."""
        return dict(vars(self))

    @staticmethod
    def joined(
        shards: Sequence[_Shard],
    ) -> tuple[list[int], list[str], list[tuple[str, ...]]]:
        """Return for all files how many samples, why none, and remarks."""
        counts = [count for shard in shards for count in shard.counts]
        whys = [s.skipped.get(str(n), "") for s in shards for n in range(len(s.counts))]
        remarks = [tuple(s.remarks.get(str(n), ())) for s in shards for n in range(len(s.counts))]
        return counts, whys, remarks


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
