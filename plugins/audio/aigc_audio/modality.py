"""Sound: stored as 16-bit samples, seen by networks in [-1, 1), saved as WAV or FLAC."""

import io
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import soundfile
import torch
from torch import Tensor

from aigc_audio.notes import FLAC, WAV
from aigc_audio.preview import clips_in_a_row, spectrogram_sheet
from aigc_core import ConfigError, DataError, Modality, Representation, SampleSpec
from aigc_core.datasets import UnreadableError, atomic_file
from aigc_core.errors import reason
from aigc_core.notes import PNG, NoteFormat

logger = logging.getLogger("aigc")
FULL_SCALE = 32768
"""1.0 as a stored sample."""
MAX_RATE_HZ = 655_350
"""Highest sample rate of a FLAC; from 65,536 on, only multiples of 10."""


class AudioModality(Modality):
    """Clips of one length and sample rate, mono or stereo.

    Stored: int16 ``(C, L)`` with C 1 or 2, ``spec.units["sample_rate_hz"]`` samples per second.
    Model form: float32 ``(C, L)`` in [-1, 1), the stored values divided by 32768.
    ``to_stored(to_model(x))`` equals ``x``, bit for bit. Generated clips may have any length.
    """

    formats: ClassVar[tuple[str, ...]] = ("wav", "flac")
    notes: ClassVar[Mapping[str, NoteFormat]] = {"wav": WAV, "flac": FLAC, "png": PNG}
    media_types: ClassVar[Mapping[str, str]] = {"wav": "audio/wav", "flac": "audio/flac"}

    def __init__(self, spec: SampleSpec) -> None:
        super().__init__(spec)
        if spec.dtype != "int16":
            raise DataError(
                f"Sound is stored as int16, and this dataset's is {spec.dtype}. Scale it to "
                "-32768..32767 in the dataset's load()."
            )
        if len(spec.shape) != 2 or spec.shape[0] not in (1, 2) or spec.shape[1] < 1:
            raise DataError(
                "Clips have the shape (channels, samples) with 1 or 2 channels, and this "
                f"dataset's have {spec.shape}. Mix and cut them in its load()."
            )
        self._channels, samples = spec.shape
        self.sample_rate_hz = _whole_rate(spec)
        duration_s = spec.units.get("duration_s", samples / self.sample_rate_hz)
        if abs(duration_s * self.sample_rate_hz - samples) > 0.5:
            raise DataError(
                f"The data says duration_s={duration_s:g} in its spec's units, and "
                f"{samples:,} samples at {self.sample_rate_hz:,} Hz are "
                f"{samples / self.sample_rate_hz:g} s."
            )

    def representation(self) -> Representation | None:
        """Log-mel spectrograms ``(1, M, M)`` of mono clips, with M a power of two up to 128.

        None for stereo, and for lengths that cannot be divided so: M must divide the length, which
        must be at least M squared, or there would be fewer frequencies than bands.
        """
        from aigc_audio.spectrogram import LogMel

        channels, samples = self.spec.shape
        sizes = [size for size in (128, 64, 32, 16) if samples % size == 0 and samples >= size**2]
        if channels != 1 or not sizes:
            return None
        return LogMel(self.sample_rate_hz, samples, sizes[0], sizes[0])

    def to_model(self, stored: Tensor) -> Tensor:
        """Map int16 ``(B, C, L)`` to float32 ``(B, C, L)`` in [-1, 1)."""
        return stored.mul(1 / FULL_SCALE)  # int16 times a Python float is float32

    def to_stored(self, samples: Tensor) -> Tensor:
        """Map float ``(B, C, L)`` to int16, clamping values beyond full scale."""
        scaled = samples.float().mul(FULL_SCALE).round()
        return scaled.clamp(-FULL_SCALE, FULL_SCALE - 1).to(torch.int16)

    def encoded(self, stored: Tensor, format: str) -> bytes:
        """Return int16 ``(C, L)`` as the bytes of a WAV or FLAC.

        In memory, since on a full disk libsndfile would not raise an ``OSError``.
        """
        self.check_format(format)
        if format == "flac" and self.sample_rate_hz > 0xFFFF and self.sample_rate_hz % 10:
            raise ConfigError(
                f"A FLAC cannot have {self.sample_rate_hz:,} samples per second. Save as 'wav'."
            )
        file = io.BytesIO()
        soundfile.write(
            file,
            stored.cpu().T.numpy(),
            self.sample_rate_hz,
            format=format.upper(),
            subtype="PCM_16",
        )
        return file.getvalue()

    def read(self, path: Path) -> Tensor:
        """Read a 16-bit WAV or FLAC as int16 ``(C, L)``.

        Raises:
            DataError: it cannot be read, is not 16-bit, or has another rate, number of channels or
                length than the spec.
        """
        try:
            with soundfile.SoundFile(io.BytesIO(path.read_bytes())) as file:
                rate_hz, kind = file.samplerate, file.subtype
                clip = file.read(dtype="int16", always_2d=True)  # (L, C)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {reason(error)}.") from error
        except soundfile.SoundFileError as error:
            raise DataError(f"{path} cannot be read as sound: {_why(error)}.") from error
        if kind != "PCM_16":  # soundfile would return other kinds unscaled
            raise DataError(f"{path} holds samples of the kind {kind}, not PCM_16.")
        if rate_hz != self.sample_rate_hz:
            raise DataError(
                f"{path} has {rate_hz:,} samples per second, not {self.sample_rate_hz:,}."
            )
        stored = torch.from_numpy(clip.T.copy())  # (L, C) -> (C, L)
        if tuple(stored.shape) != self.spec.shape:
            raise DataError(
                f"{path} has the shape {tuple(stored.shape)} (channels, samples), not "
                f"{self.spec.shape}."
            )
        return stored

    def is_readable(self, path: Path) -> bool:
        """Whether it may be a recording, by its suffix."""
        from aigc_audio.datasets._decode import SUFFIXES

        return path.suffix.lower() in SUFFIXES

    def adapt(self, path: Path) -> Tensor:
        """Read any recording as int16 ``(C, L)``: resampled, mixed, and cut or padded at its end.

        If the spec has ``peak_level``, its loudest sample gets that level, as the dataset's clips
        did. Says in the log what it did.
        """
        return self._adapted(path, beginning=False)

    def adapt_beginning(self, path: Path) -> Tensor:
        """Read any recording as ``adapt`` does, but without padding: int16 ``(C, 1..L)``.

        Of one that is longer than a sample, its end is taken.
        """
        return self._adapted(path, beginning=True)

    def _adapted(self, path: Path, *, beginning: bool) -> Tensor:
        from aigc_audio.datasets._decode import CUT, REMARKS, decode, decode_end, header_of
        from aigc_audio.options import AudioFolderOptions

        if not os.path.isfile(path):
            raise DataError(f"There is no file {path}.")
        channels, samples = self.spec.shape
        options = AudioFolderOptions.model_construct(
            samples=samples,
            sample_rate_hz=self.sample_rate_hz,
            channels=1 if channels == 1 else 2,
            normalize="peak" if "peak_level" in self.spec.units else "none",
        )
        try:
            decoded = (decode_end if beginning else decode)(path, options)
        except UnreadableError as error:
            raise DataError(f"{path} cannot be read as sound: {error}.") from error
        header, length = header_of(path), decoded.samples.shape[2]
        if header != (self.sample_rate_hz, channels, length) or options.normalize == "peak":
            cut = "cut to its " + ("end" if beginning else "beginning")
            done = [cut] if CUT in decoded.remarks else []
            if not beginning and not done:
                done.append("filled up with silence if it was too short")
            if options.normalize == "peak":
                done.append("scaled as the data was")
            self._say_what_was_done(path, header, length, done)
        for remark in decoded.remarks:
            if remark != CUT:
                logger.warning(REMARKS[remark].format(count=1, total=1, files=path.name))
        return torch.from_numpy(decoded.samples[0])

    def _say_what_was_done(
        self, path: Path, header: tuple[int, int, int] | None, length: int, done: Sequence[str]
    ) -> None:
        def described(rate_hz: int, channels: int, samples: int) -> str:
            many = f"{channels} channel{'s' if channels > 1 else ''}"
            return f"{samples / rate_hz:.3g} s, {many} at {rate_hz:,} Hz"

        logger.info(
            "%s%s became %s%s.",
            path.name,
            f" ({described(*header)})" if header else "",
            described(self.sample_rate_hz, self.spec.shape[0], length),
            f": it was {', and '.join(done)}" if done else "",
        )

    def preview(self, stored: Tensor, path: Path) -> Path:
        """Write int16 ``(N, C, L)`` as a picture to look at and a file to listen to.

        ``<path>.png``, which is returned, shows a numbered mel spectrogram of each clip.
        ``<path>.wav`` beside it holds the same clips, separated by short silences.
        """
        clips = stored.cpu()
        sound = self.encoded(clips_in_a_row(clips, self.sample_rate_hz), "wav")
        sheet = spectrogram_sheet(clips, self.sample_rate_hz)
        # Not with_suffix: the name may contain dots, such as "step-000500.seed-1".
        with atomic_file(path.with_name(path.name + ".wav")) as scratch:
            scratch.write_bytes(sound)
        picture = path.with_name(path.name + ".png")
        with atomic_file(picture) as scratch:
            sheet.save(scratch, format="PNG")
        return picture


def _whole_rate(spec: SampleSpec) -> int:
    """Return the spec's sample rate; raise ``DataError`` if it has none, or no valid one."""
    rate_hz = spec.units.get("sample_rate_hz")
    if rate_hz is None:
        raise DataError(
            "The data does not say how many samples a second has. Give sample_rate_hz in the "
            "units of the dataset's SampleSpec."
        )
    if not 1 <= rate_hz <= MAX_RATE_HZ or rate_hz != int(rate_hz):
        raise DataError(
            f"The data's sample_rate_hz is {rate_hz:g}; it must be a positive whole number of at "
            f"most {MAX_RATE_HZ:,}."
        )
    return int(rate_hz)


def _why(error: soundfile.SoundFileError) -> str:
    """Return libsndfile's own message on what is wrong with a file."""
    return str(getattr(error, "error_string", error)).rstrip(".").lower()
