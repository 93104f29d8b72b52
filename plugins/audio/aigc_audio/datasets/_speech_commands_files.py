"""Find or download, list and read the files of Speech Commands."""

import os
from pathlib import Path

import soundfile
from torchaudio.datasets import SPEECHCOMMANDS

from aigc_audio.datasets._clips import Int16
from aigc_audio.datasets._decode import opened, why_unreadable
from aigc_audio.datasets._names import DIGIT_NAMES
from aigc_core import DataError
from aigc_core.datasets import UnreadableError, download, extract_archive
from aigc_core.errors import reason

NAME = "speech-commands"
SAMPLE_RATE_HZ = 16_000
URL = "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
LISTS = ("validation_list.txt", "testing_list.txt")
"""Files that list the recordings of these splits; all others are for training."""
SUBSETS = {"train": "training", "validation": "validation", "test": "testing"}
"""torchaudio's names for our splits."""
_FOLDER = "speech_commands_v0.02"
_MAX_ARCHIVE_BYTES, _MAX_BYTES = 4 << 30, 2 << 30


def find(root: Path) -> Path:
    """Return the first folder in the user's data that holds the unpacked archive."""
    places = (
        root / "SpeechCommands" / _FOLDER,  # where torchaudio puts it
        root / NAME,
        root / _FOLDER,
        root,
    )
    wanted = [*LISTS, *DIGIT_NAMES]
    for place in places:
        if all(os.path.exists(place / name) for name in wanted):
            return place
    raise DataError(
        f"The dataset '{NAME}' is not in the data folder {root}. It is the unpacked {URL}, with "
        f"{', '.join(LISTS)} and a folder for each digit, zero to nine. Put it there as "
        f"{places[0]} or {places[1]}; or leave out --data-root and unset AIGC_DATA_DIR to download "
        "it; or take --dataset fsdd, which is smaller, or tones, which needs no files."
    )


def downloaded(scratch: Path) -> Path:
    """Download and verify the archive; unpack the digits and the lists of the splits."""

    def relative(name: str) -> str | None:
        path = name.removeprefix("./")
        word, _, file = path.rpartition("/")
        return path if path in LISTS or (word in DIGIT_NAMES and file.endswith(".wav")) else None

    archive = scratch / "archive.tar.gz"
    download(
        URL,
        archive,
        max_bytes=_MAX_ARCHIVE_BYTES,
        sha256=SHA256,
        otherwise=(
            f"Two ways out: unpack that archive into {Path('DIR', NAME)} and add --data-root DIR "
            "(or set AIGC_DATA_DIR to DIR); or take --dataset fsdd, which is smaller, or tones, "
            "which needs no download."
        ),
    )
    place = scratch / _FOLDER
    extract_archive(archive, place, wanted=relative, max_files=100_000, max_bytes=_MAX_BYTES)
    archive.unlink()
    return place


def listed(place: Path, split: str) -> list[tuple[str, int]]:
    """Return the paths and digits of a split's recordings, sorted.

    Raises:
        DataError: the lists of the splits cannot be read.
    """
    try:
        # With an empty URL, torchaudio looks in the folder itself.
        listing = SPEECHCOMMANDS(
            place.parent, url="", folder_in_archive=place.name, subset=SUBSETS[split]
        )
        facts = [listing.get_metadata(index) for index in range(len(listing))]
    except OSError as error:
        raise DataError(f"{error.filename or place} cannot be read: {reason(error)}.") from error
    except ValueError as error:  # a line that does not name a recording
        raise DataError(
            f"{' or '.join(LISTS)} in {place} is damaged: {error}. Unpack {URL} there again."
        ) from error
    return sorted(
        (Path(path).as_posix(), DIGIT_NAMES.index(word))
        for path, _, word, _, _ in facts
        if word in DIGIT_NAMES
    )


def read_recording(path: Path) -> Int16:
    """Return the samples int16 ``(L,)`` of one recording.

    Raises:
        DataError: it is missing, damaged, or of another rate.
    """
    try:
        with opened(path) as file:
            rate_hz = file.samplerate
            recording: Int16 = file.read(dtype="int16")
    except (OSError, soundfile.SoundFileError, UnreadableError) as error:
        raise DataError(
            f"{path} cannot be read: {_why(error)}. Unpack {URL} there again."
        ) from error
    if rate_hz != SAMPLE_RATE_HZ or recording.ndim != 1:
        raise DataError(
            f"{path} has {rate_hz:,} Hz and the shape {recording.shape}; the recordings of Speech "
            f"Commands have {SAMPLE_RATE_HZ:,} Hz and one channel. Unpack {URL} there again."
        )
    return recording


def _why(error: OSError | soundfile.SoundFileError | UnreadableError) -> str:
    match error:
        case FileNotFoundError():
            return "it is not there"
        case OSError():
            return reason(error).lower()
        case soundfile.SoundFileError():
            return why_unreadable(error)
        case _:
            return str(error)
