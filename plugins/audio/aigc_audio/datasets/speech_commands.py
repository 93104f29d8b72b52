"""The ten digits of Speech Commands v0.02, called SC09 in papers: found or downloaded, cached."""

import functools
import hashlib
import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from aigc_audio.datasets._clips import clip_spec, fit, normalized
from aigc_audio.datasets._names import DIGIT_NAMES
from aigc_audio.datasets._speech_commands_files import (
    LISTS,
    NAME,
    SAMPLE_RATE_HZ,
    URL,
    downloaded,
    find,
    listed,
    read_recording,
)
from aigc_audio.options import SpeechCommandsOptions
from aigc_core import DataError, Dataset, SampleStore
from aigc_core.datasets import check_split, list_files, locked_cache, read_arrays, write_arrays

LENGTH = 16_000
"""Samples of the longest recording."""
_FORMAT = 1
"""Increase it when the same files give different arrays, so that old caches are not used."""
_MAX_THREADS = 8


class SpeechCommands(Dataset):
    """Digits of up to a second, recorded by volunteers on their own devices (Warden 2018).

    Decoded recordings are kept in ``<cache>/speech-commands/<which>-<split>.safetensors``, all of
    ``LENGTH`` samples and independent of the options. ``<which>`` is ``v0.02-1`` for the downloaded
    archive; else a hash of every file's path, size and modification time.
    """

    options: SpeechCommandsOptions
    counts: ClassVar[dict[str, int]] = {"train": 31_158, "validation": 3_643, "test": 4_107}
    """Recordings in each split."""

    def prepare(self) -> None:
        """Decode the recordings below ``--data-root``, or those of the downloaded archive.

        Raises:
            DataError: they are missing or incomplete, or cannot be read or downloaded.
        """
        targets = {split: self._target(split) for split in self.counts}
        if _are_there(targets):
            return
        with locked_cache(self.folders, NAME) as cache:
            if _are_there(targets):  # another process was faster
                return
            if self.folders.root is not None:
                self._decode(find(self.folders.root), targets)
                return
            with tempfile.TemporaryDirectory(dir=cache, prefix=f".{NAME}.") as scratch:
                self._decode(downloaded(Path(scratch)), targets)

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` int16 ``(N, 1, samples)`` and ``labels`` int64 ``(N,)``, the digits.

        Recordings are sorted by their paths.
        """
        check_split(NAME, split, self.counts)
        target = self._target(split)
        found = read_arrays(target)
        if found is None:
            raise DataError(f"'{NAME}' is not in {target}: call prepare() before load().")
        arrays, samples = found[0], self.options.samples
        recordings = arrays["samples"].numpy()  # (N, LENGTH), mapped
        clips = np.zeros((len(recordings), 1, samples), np.int16)
        clips[:, 0, :LENGTH] = recordings[:, :samples]
        if self.options.normalize == "peak":
            for clip in clips:
                clip[:] = normalized(clip)
        return SampleStore(
            arrays={"samples": torch.from_numpy(clips), "labels": arrays["labels"]},
            spec=clip_spec(1, samples, SAMPLE_RATE_HZ, self.options.normalize),
            label_names=DIGIT_NAMES,
        )

    def _target(self, split: str) -> Path:
        return self.folders.cache / NAME / f"{self._which}-{split}.safetensors"

    @functools.cached_property
    def _which(self) -> str:
        if self.folders.root is None:
            return f"v0.02-{_FORMAT}"
        place = find(self.folders.root)
        files = [(word, list_files(place / word, (".wav",))) for word in DIGIT_NAMES]
        lists = [list_files(place / name, ()) for name in LISTS]
        digest = hashlib.sha256(json.dumps([_FORMAT, files, lists]).encode())
        return digest.hexdigest()[:32]

    def _decode(self, place: Path, targets: dict[str, Path]) -> None:
        """Decode all splits, then write the arrays of each."""
        made = {}
        for split, count in self.counts.items():
            files = listed(place, split)
            if len(files) != count:
                raise DataError(
                    f"{place} has {len(files):,} recordings of digits in its {split} split, and "
                    f"Speech Commands v0.02 has {count:,}. Unpack {URL} there again, or take "
                    "--dataset audio-folder for a part of it."
                )
            paths = [place / path for path, _ in files]
            samples = np.zeros((count, LENGTH), np.int16)
            with ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
                for row, recording in zip(samples, pool.map(read_recording, paths), strict=True):
                    row[:] = fit(recording, LENGTH)
            made[split] = {
                "samples": torch.from_numpy(samples),
                "labels": torch.tensor([label for _, label in files]),
            }
        for split, target in targets.items():
            write_arrays(target, made[split], {})


def _are_there(targets: dict[str, Path]) -> bool:
    return all(read_arrays(target) is not None for target in targets.values())
