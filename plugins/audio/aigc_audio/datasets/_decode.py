"""One sound file to clips, whatever its format, rate or channels."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor

from aigc_audio.datasets._clips import FULL_SCALE, PEAK, Int16
from aigc_audio.datasets._resample import MAX_RATE_HZ, MIN_RATE_HZ, resampler
from aigc_audio.options import AudioFolderOptions
from aigc_core.errors import reason

SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd",
    ".caf", ".w64", ".rf64",
)  # fmt: skip
"""Of files that libsndfile reads; it looks at the content."""
_BLOCK_VALUES = 1 << 18


class Decoded(NamedTuple):
    """What became of a file."""

    clips: Int16
    """``(P, C, samples)``, at least one."""
    cut: bool
    """Whether there is more in the file."""


class UnreadableError(Exception):
    """Why a file cannot be used, in words that stand in brackets."""


def decode(path: Path, options: AudioFolderOptions) -> Decoded:
    """Read a sound file as clips of the options' length, rate, channels and level.

    No more is read than what is kept. Of a file that ends before its header says, what is there is
    taken. The last of several clips is padded with silence, or left out if it would be more than
    half silence.

    Raises:
        UnreadableError: it is not a sound file, damaged, empty, or holds what is no sound.
    """
    everything = options.pieces == "all"
    most = None if everything else options.samples + 1  # one more shows that there is more
    sound = _read(path, options, most)  # (C, L)
    if sound.shape[1] == 0:
        raise UnreadableError("no sound in it")
    if not torch.isfinite(sound).all():
        raise UnreadableError("values that are not finite")
    samples = options.samples
    pieces = max(1, (sound.shape[1] + samples // 2) // samples) if everything else 1
    kept = sound[:, : pieces * samples]
    stored = _to_stored(kept, options.normalize == "peak")
    padded = np.pad(stored, ((0, 0), (0, pieces * samples - stored.shape[1])))
    clips = padded.reshape(options.channels, pieces, samples).swapaxes(0, 1)  # (P, C, samples)
    return Decoded(np.ascontiguousarray(clips), cut=not everything and sound.shape[1] > samples)


def _read(path: Path, options: AudioFolderOptions, most: int | None) -> Tensor:
    """Return float ``(C, L)`` at the options' rate, with L at most ``most`` if that is given."""
    try:
        with opened(path) as file:
            rate_hz = file.samplerate
            if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
                raise UnreadableError(f"a sample rate of {rate_hz} Hz")
            blocks, count = [torch.empty(options.channels, 0)], 0
            convert = resampler(rate_hz, options.sample_rate_hz)
            for block in convert(_blocks(file, options.channels)):
                blocks.append(block)
                count += block.shape[1]
                if most is not None and count >= most:
                    break
    except OSError as error:
        raise UnreadableError(reason(error).lower()) from error
    except soundfile.SoundFileError as error:
        raise UnreadableError(why_unreadable(error)) from error
    except TypeError as error:  # soundfile's, for the suffix .raw
        raise UnreadableError("no header") from error
    return torch.cat(blocks, dim=1)[:, :most]


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound file whatever its name: soundfile takes no path that is not UTF-8.

    Raises:
        UnreadableError: it is empty.
        OSError: it cannot be opened; libsndfile would not say why.
        soundfile.SoundFileError: it is not a sound file.
    """
    with path.open("rb") as content:
        if not content.read(1):
            raise UnreadableError("empty")
        content.seek(0)
        with soundfile.SoundFile(content) as file:
            yield file


def _blocks(file: soundfile.SoundFile, channels: int) -> Iterator[Tensor]:
    """Yield the file's sound as float32 ``(channels, n)``, full scale 1, until there is no more.

    Not all at once: a header may promise more than the memory holds.
    """
    frames = max(1, _BLOCK_VALUES // file.channels)
    while len(block := file.read(frames, dtype="float32", always_2d=True)):  # (n, of the file)
        sound = torch.from_numpy(block).T
        if channels == 1:
            yield sound.mean(dim=0, keepdim=True)
        else:
            yield sound[:2].expand(2, -1)


def why_unreadable(error: soundfile.SoundFileError) -> str:
    """Return a few words for a user on why libsndfile could not read a file that is there."""
    why = str(getattr(error, "error_string", error)).rstrip(".").lower()
    # Of a header that gives a rate of 0 it says that one of its own structures is incomplete.
    return "damaged" if "internal error" in why or "does not exist" in why else why


def _to_stored(sound: Tensor, peak: bool) -> Int16:
    """Map float32 ``(C, L)``, which is overwritten, to 16 bits."""
    scale = float(FULL_SCALE)
    if peak and (loudest := max(map(abs, map(float, sound.aminmax())))) > 0:
        scale *= PEAK / loudest
    stored = sound.mul_(scale).round_().clamp_(-FULL_SCALE, FULL_SCALE - 1)
    whole: Int16 = stored.to(torch.int16).numpy()
    return whole
