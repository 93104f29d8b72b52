"""Decode a sound file to clips, whatever its format, rate, channels and header."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import torch
from torch import Tensor

from aigc_audio.datasets import _containers
from aigc_audio.datasets._clips import FULL_SCALE, PEAK, Int16
from aigc_audio.datasets._resample import MAX_RATE_HZ, MIN_RATE_HZ, resampler
from aigc_audio.datasets._segments import DAMAGED, JOINED, LENGTH, Segment, segments_of
from aigc_audio.options import AudioFolderOptions
from aigc_core.datasets import DecodedFile, UnreadableError
from aigc_core.errors import reason

_LIBSNDFILE = (
    ".wav", ".wave", ".bwf", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc",
    ".au", ".snd", ".caf", ".w64", ".rf64", ".voc", ".sph", ".nist", ".avr", ".paf", ".sds",
    ".8svx", ".iff", ".htk", ".pvf", ".xi", ".ircam",
)  # fmt: skip
SUFFIXES = _LIBSNDFILE + (_containers.SUFFIXES if _containers.INSTALLED else ())
"""Suffixes of files that are read, by libsndfile (which looks at the content) or by PyAV."""
HINTS = {} if _containers.INSTALLED else dict.fromkeys(_containers.SUFFIXES, "install av")

LOUD, CANCELS, SILENT, SURROUND, CUT = "loud", "cancels", "silent", "surround", "cut"
REMARKS = {
    JOINED: "{count:,} of {total:,} files are several recordings joined; all of them are used: "
    "{files}.",
    LENGTH: "{count:,} of {total:,} files are longer or shorter than their header says; what is "
    "there is used: {files}.",
    DAMAGED: "{count:,} of {total:,} files are cut off or damaged somewhere; what can be decoded "
    "is used: {files}.",
    LOUD: "{count:,} of {total:,} files go beyond full scale and are clipped there: {files}. Set "
    "dataset.options.normalize=peak to scale them down.",
    CANCELS: "{count:,} of {total:,} files are stereo whose channels cancel each other out when "
    "they are averaged: {files}. Set dataset.options.mix=left to take one of them.",
    SILENT: "{count:,} of {total:,} files are silent: {files}.",
    SURROUND: "{count:,} of {total:,} files have more than two channels: {files}. All are averaged "
    "for dataset.options.channels=1, and the first two are taken for 2.",
    CUT: "{count:,} of {total:,} recordings are longer than a clip, and only their beginning is "
    "used. Set dataset.options.pieces=all for the whole of them.",
}
_BLOCK_VALUES = 1 << 16
_LOUD, _CLIPPED = 2.0, 1e-3
"""Peak, and share of samples beyond full scale, above which it is not just a codec's overshoot."""
_CANCELS = 0.1
"""Level of the mean, relative to its channels', below which they cancel each other out."""


class _Stream(soundfile.SoundFile):  # type: ignore[misc]  # it ships no types
    """Reads to the real end: python-soundfile would seek after each block, by header length."""

    def seekable(self) -> bool:
        return False


def decode(path: Path, options: AudioFolderOptions) -> DecodedFile:
    """Read a sound file as int16 clips ``(P, C, samples)`` of the options' length, rate and level.

    Whatever can be decoded is used: all recordings of joined files, sound beyond the length that
    a header states, and sound before the point where a file was cut off. Decoding stops once
    there is enough. The last of several clips is padded with silence, or left out if it would be
    more than half silence.

    Raises:
        UnreadableError: it is not a sound file, is damaged or empty, or holds no usable sound.
    """
    everything = options.pieces == "all"
    most = None if everything else options.samples + 1  # one more tells if there is more
    remarks: list[str] = []
    sound = _usable(path, options, most, remarks)  # (C, L)
    samples = options.samples
    pieces = max(1, (sound.shape[1] + samples // 2) // samples) if everything else 1
    kept = sound[:, : pieces * samples]
    loudest = max(map(abs, map(float, kept.aminmax())))
    if options.normalize == "none" and _is_clipped(kept, loudest):
        remarks.append(LOUD)
    stored = _to_stored(kept, loudest if options.normalize == "peak" else None)
    if not stored.any() and CANCELS not in remarks:
        remarks.append(SILENT)
    if not everything and sound.shape[1] > samples:
        remarks.append(CUT)
    padded = np.pad(stored, ((0, 0), (0, pieces * samples - stored.shape[1])))
    clips = padded.reshape(options.channels, pieces, samples).swapaxes(0, 1)  # (P, C, samples)
    return DecodedFile(np.ascontiguousarray(clips), tuple(dict.fromkeys(remarks)))


def decode_end(path: Path, options: AudioFolderOptions) -> DecodedFile:
    """Read the end of a sound file as int16 ``(1, C, L)``, L being at most the options' length.

    Raises:
        UnreadableError: as for ``decode``.
    """
    remarks: list[str] = []
    sound = _usable(path, options, None, remarks)
    if sound.shape[1] > options.samples:
        remarks.append(CUT)
    sound = sound[:, -options.samples :]
    loudest = max(map(abs, map(float, sound.aminmax())))
    stored = _to_stored(sound, loudest if options.normalize == "peak" else None)
    return DecodedFile(np.ascontiguousarray(stored[None]), tuple(dict.fromkeys(remarks)))


def _usable(
    path: Path, options: AudioFolderOptions, most: int | None, remarks: list[str]
) -> Tensor:
    """Return float ``(C, L)`` as ``_read`` does, after checking that there is sound in it."""
    sound = _read(path, options, most, remarks)
    if sound.shape[1] == 0:
        raise UnreadableError("no sound in it")
    if not torch.isfinite(sound).all():
        raise UnreadableError("values that are not finite")
    return sound


def _is_clipped(sound: Tensor, loudest: float) -> bool:
    return loudest > _LOUD or (loudest > 1 and float((sound.abs() > 1).float().mean()) > _CLIPPED)


def _read(path: Path, options: AudioFolderOptions, most: int | None, remarks: list[str]) -> Tensor:
    """Return float ``(C, L)`` at the options' rate, with L at most ``most`` if given."""
    sound = _Mixed(options, most, remarks)
    try:
        if path.suffix.lower() in _containers.SUFFIXES:
            _read_container(path, sound)
        else:
            _read_segments(path, sound)
    except OSError as error:
        raise UnreadableError(reason(error).lower()) from error
    except soundfile.SoundFileError as error:
        raise UnreadableError(why_unreadable(error)) from error
    except TypeError as error:  # raised by soundfile for .raw
        raise UnreadableError("no header") from error
    return sound.all()


class _Mixed:
    """Collects sound as it is read: mixed, resampled to the options' rate, at most ``most``."""

    def __init__(self, options: AudioFolderOptions, most: int | None, remarks: list[str]) -> None:
        self.remarks = remarks
        self._options = options
        self._most = most
        self._blocks = [torch.empty(options.channels, 0)]
        self._count = 0
        self._powers = torch.zeros(2, dtype=torch.float64)  # of the mean, and of the channels

    @property
    def is_full(self) -> bool:
        return self._most is not None and self._count >= self._most

    def take(self, rate_hz: int, blocks: Iterator[Tensor]) -> None:
        """Add one recording, in blocks of float32 ``(channels of the file, n)``."""
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise UnreadableError(f"a sample rate of {rate_hz} Hz")
        convert = resampler(rate_hz, self._options.sample_rate_hz)
        for block in convert(map(self._mixed, blocks)):
            self._blocks.append(block)
            self._count += block.shape[1]
            if self.is_full:
                return

    def _mixed(self, block: Tensor) -> Tensor:
        options = self._options
        if len(block) > 2:
            self.remarks.append(SURROUND)
        if options.channels == 2:
            return block[:2].expand(2, -1)
        if options.mix != "mean" and len(block) > 1:
            return block[:1] if options.mix == "left" else block[1:2]
        mean = block.mean(dim=0, keepdim=True)
        if len(block) == 2:
            powers = torch.stack([mean.square().sum(), block.square().mean(dim=0).sum()])
            self._powers += powers.double()
        return mean

    def all(self) -> Tensor:
        """Return everything, ``(C, L)``."""
        mean, channels = self._powers.sqrt().tolist()
        if mean < _CANCELS * channels:
            self.remarks.append(CANCELS)
        return torch.cat(self._blocks, dim=1)[:, : self._most]


def _read_container(path: Path, sound: _Mixed) -> None:
    with _containers.opened_container(path) as contained:
        sound.take(contained.rate_hz, contained.blocks)
        if contained.damaged:
            sound.remarks.append(DAMAGED)


def _read_segments(path: Path, sound: _Mixed) -> None:
    with path.open("rb") as file:
        if not file.read(1):
            raise UnreadableError("empty")
        found = segments_of(file)
        sound.remarks += found.remarks
        for number, segment in enumerate(found.segments):
            try:
                _read_segment(segment, sound)
            except soundfile.SoundFileError:
                if not number:  # nothing before it could be used
                    raise
                sound.remarks.append(DAMAGED)
            if sound.is_full:
                return


def _read_segment(segment: Segment, sound: _Mixed) -> None:
    with _Stream(segment.content) as file:
        reading = _Reading(file)
        sound.take(file.samplerate, reading.blocks())
        if reading.damaged:
            sound.remarks.append(DAMAGED)
        elif reading.ended and segment.declared not in (None, reading.count):
            sound.remarks.append(LENGTH)


class _Reading:
    """Reads a file block by block, and records how that ended."""

    def __init__(self, file: soundfile.SoundFile) -> None:
        self._file = file
        self.count = 0
        self.ended = self.damaged = False

    def blocks(self) -> Iterator[Tensor]:
        """Yield the sound as float32 ``(channels, n)``, full scale 1, until it ends.

        In blocks, since a header may promise more than fits in memory.
        """
        channels = self._file.channels
        frames = max(1, _BLOCK_VALUES // channels)
        while not self.ended:
            block: Any = np.full((frames, channels), np.nan, np.float32)
            try:
                count = self._file.buffer_read_into(block, "float32")
            except soundfile.SoundFileError:  # the block holds what was decoded before the damage
                self.damaged = True
                count = int(np.isfinite(block).all(axis=1).sum())
            self.ended = count < frames
            self.count += count
            if count:
                yield torch.from_numpy(block[:count]).T


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """Open a sound file of any name; soundfile itself only takes paths in UTF-8.

    Raises:
        UnreadableError: it is empty.
        OSError: it cannot be opened; libsndfile would not say why.
        soundfile.SoundFileError: it is not a sound file.
    """
    with path.open("rb") as content:
        if not content.read(1):
            raise UnreadableError("empty")
        content.seek(0)
        source: BinaryIO = content
        with soundfile.SoundFile(source) as file:
            yield file


def header_of(path: Path) -> tuple[int, int, int] | None:
    """Return the sample rate in Hz, channels and length in samples that a file's header says.

    None for a file that libsndfile does not read.
    """
    try:
        with opened(path) as file:
            return file.samplerate, file.channels, file.frames
    except (OSError, ValueError, UnreadableError, soundfile.SoundFileError):
        return None


def why_unreadable(error: soundfile.SoundFileError) -> str:
    """Return a short reason, for the user, why libsndfile could not read an existing file."""
    why = str(getattr(error, "error_string", error)).rstrip(".").lower()
    # For a header with a rate of 0, it says that one of its own structures is incomplete.
    return "damaged" if "internal error" in why or "does not exist" in why else why


def _to_stored(sound: Tensor, loudest: float | None) -> Int16:
    """Map float32 ``(C, L)``, which is overwritten, to 16 bits.

    1.0 becomes full scale; if ``loudest`` is given, that level becomes ``PEAK`` instead.
    """
    scale = float(FULL_SCALE)
    if loudest:
        scale *= PEAK / loudest
    stored = sound.mul_(scale).round_().clamp_(-FULL_SCALE, FULL_SCALE - 1)
    whole: Int16 = stored.to(torch.int16).numpy()
    return whole
