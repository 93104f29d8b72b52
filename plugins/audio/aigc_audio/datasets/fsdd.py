"""The Free Spoken Digit Dataset: found or downloaded, verified by its content."""

import hashlib
import io
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
import torch

from aigc_audio.datasets._clips import clip_spec, fit, normalized
from aigc_audio.datasets._names import DIGIT_NAMES
from aigc_audio.options import FsddOptions
from aigc_core import DataError, Dataset, SampleStore
from aigc_core.datasets import check_split, download, extract_archive, locked_cache
from aigc_core.errors import reason

logger = logging.getLogger("aigc.audio")

NAME = "fsdd"
SAMPLE_RATE_HZ = 8000
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
TAG = "1.0.10"
URL = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v{TAG}.tar.gz"
CONTENT_SHA256 = "2f17dea19a57e5b41c96377cc76619e34da46105a595ef978b7d26466f8a9689"
"""Expected ``content_sha256``: GitHub does not promise that an archive's bytes stay the same."""
_INDICES = {"train": range(5, 50), "test": range(5)}  # of each speaker and digit
_MAX_BYTES = 200 << 20


def recordings(split: str) -> list[str]:
    """Return the names of a split's files, ``{digit}_{speaker}_{index}.wav``, in its order.

    The split ``test`` is the first five recordings of each digit by each speaker, as its authors
    define it. Sample *i* of ``Fsdd.load(split)`` comes from file *i*.

    Raises:
        DataError: there is no such split.
    """
    check_split(NAME, split, _INDICES)
    return [
        f"{digit}_{speaker}_{index}.wav"
        for digit in range(10)
        for speaker in SPEAKERS
        for index in _INDICES[split]
    ]


def content_sha256(contents: Mapping[str, bytes]) -> str:
    """Return one SHA-256 of the names and bytes of files, whatever their order."""
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(name.encode() + b"\0" + len(content).to_bytes(8, "little") + content)
    return digest.hexdigest()


class Fsdd(Dataset):
    """3,000 digits spoken by six people, 0.14 to 2.3 s (Jackson et al. 2018)."""

    options: FsddOptions

    def prepare(self) -> None:
        """Find and verify the recordings, or download them into ``<cache>/fsdd/recordings``.

        Raises:
            DataError: they are missing, are not those of the tag, or cannot be downloaded.
        """
        if self.folders.root is not None:
            _verified(_find(self.folders.root))
            return
        folder = self.folders.cache / NAME / "recordings"
        if _is_whole(folder):
            return
        with locked_cache(self.folders, NAME) as cache:
            if _is_whole(folder):  # another process was faster
                return
            _download(cache, folder)

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` int16 ``(N, 1, samples)`` and ``labels`` int64 ``(N,)``, the digits.

        N is 2,700 for ``train`` and 300 for ``test``; the order is that of ``recordings(split)``.
        """
        names = recordings(split)
        if self.folders.root is None:
            folder = self.folders.cache / NAME / "recordings"
            if not folder.is_dir():
                raise DataError(f"'{NAME}' is not in {folder}: call prepare() before load().")
        else:
            folder = _find(self.folders.root)
        contents = _verified(folder)
        samples = self.options.samples
        clips = np.empty((len(names), 1, samples), np.int16)
        for clip, name in zip(clips, names, strict=True):
            recording, _ = soundfile.read(io.BytesIO(contents[name]), dtype="int16")  # (L,)
            clip[0] = fit(recording, samples)
            if self.options.normalize == "peak":
                clip[0] = normalized(clip[0])
        return SampleStore(
            arrays={
                "samples": torch.from_numpy(clips),
                "labels": torch.tensor([int(name[0]) for name in names]),
            },
            spec=clip_spec(1, samples, SAMPLE_RATE_HZ, self.options.normalize),
            label_names=DIGIT_NAMES,
        )


def _find(root: Path) -> Path:
    """Return the first folder in the user's data that holds recordings."""
    places = (root / NAME / "recordings", root / "recordings", root)
    first = recordings("test")[0]
    for place in places:
        if os.path.isfile(place / first):
            return place
    raise DataError(
        f"The dataset '{NAME}' is not in the data folder {root}. It is the folder 'recordings' of "
        f"{URL}, {first} and 2,999 more. Put it there as {places[0]} or {places[1]}; or leave out "
        "--data-root and unset AIGC_DATA_DIR to download it; or take --dataset tones, which needs "
        "no files."
    )


def _verified(folder: Path, source: str = "") -> dict[str, bytes]:
    """Return the contents of the 3,000 files, by name; other files are ignored.

    Messages name ``source``, if given, instead of the folder.

    Raises:
        DataError: a file is missing or cannot be read, or the content is not that of the tag.
    """
    names = recordings("train") + recordings("test")
    contents, missing = {}, []
    for name in names:
        try:
            contents[name] = (folder / name).read_bytes()
        except FileNotFoundError:
            missing.append(name)
        except OSError as error:
            raise DataError(f"{folder / name} cannot be read: {reason(error)}.") from error
    source = source or str(folder)
    again = f"Fetch them again from {URL}, or take --dataset audio-folder for other recordings."
    if missing:
        raise DataError(
            f"{source} lacks {len(missing):,} of the {len(names):,} recordings of '{NAME}', such "
            f"as {missing[0]}. {again}"
        )
    found = content_sha256(contents)
    if found != CONTENT_SHA256:
        raise DataError(
            f"The recordings of {source} are damaged or of another version than {TAG}: their "
            f"SHA-256 is {found}, and should be {CONTENT_SHA256}. {again}"
        )
    return contents


def _is_whole(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    try:
        _verified(folder)
    except DataError as error:
        logger.warning("It is downloaded again: %s", error)
        return False
    return True


def _download(cache: Path, target: Path) -> None:
    """Download the archive and replace ``target`` with its verified recordings."""
    wanted = set(recordings("train") + recordings("test"))

    def relative(name: str) -> str | None:
        folder, _, file = name.rpartition("/")
        return file if folder.endswith("/recordings") and file in wanted else None

    with tempfile.TemporaryDirectory(dir=cache, prefix=f".{NAME}.") as scratch:
        archive, made = Path(scratch, "archive.tar.gz"), Path(scratch, "recordings")
        download(
            URL,
            archive,
            max_bytes=_MAX_BYTES,
            otherwise=(
                f"Two ways out: unpack that archive, put its folder 'recordings' into "
                f"{Path('DIR', NAME)} and add --data-root DIR (or set AIGC_DATA_DIR to DIR); or "
                "take --dataset tones, which needs no download."
            ),
        )
        extract_archive(archive, made, wanted=relative, max_files=len(wanted), max_bytes=_MAX_BYTES)
        _verified(made, URL)
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(made, target)
