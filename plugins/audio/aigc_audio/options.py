"""Options of the audio datasets (``dataset.options.*``); free of torch."""

from typing import Annotated, Literal

from pydantic import Field

from aigc_core import ConfigModel

Samples = Annotated[int, Field(ge=256, le=1 << 20)]
Normalize = Literal["peak", "none"]


class FsddOptions(ConfigModel):
    """The Free Spoken Digit Dataset, 8 kHz."""

    samples: Samples = 8192
    """Length of a clip in samples: longer recordings are cut, shorter ones padded with silence."""
    normalize: Normalize = "peak"
    """peak: scale each clip so that its loudest sample is at 0.9 of full scale, since the speakers'
    levels differ 30-fold; none: as recorded."""


class SpeechCommandsOptions(ConfigModel):
    """The ten digits of Speech Commands, 16 kHz."""

    samples: Samples = 16384
    """Length of a clip in samples: longer recordings are cut, shorter ones padded with silence."""
    normalize: Normalize = "none"
    """peak: scale each clip so that its loudest sample is at 0.9 of full scale; none: as
    recorded."""


class TonesOptions(ConfigModel):
    """Synthesised notes, 8 kHz."""

    samples: Samples = 4096
    """Length of a note in samples."""
    count: int = Field(1200, ge=12, le=100_000)
    """Notes in the train split; the test split has a fifth as many."""


class AudioFolderOptions(ConfigModel):
    """A folder of recordings, or one file."""

    samples: Samples = 16384
    """Length of a clip in samples: longer recordings are cut, shorter ones padded with silence."""
    sample_rate_hz: int = Field(16_000, ge=1000, le=192_000)
    """Samples per second; recordings at another rate are resampled."""
    channels: Literal[1, 2] = 1
    """1: channels are mixed; 2: mono is duplicated, and only the first two of more are used."""
    mix: Literal["mean", "left", "right"] = "mean"
    """How stereo becomes one channel: the mean of both, or one of them."""
    normalize: Normalize = "none"
    """peak: scale what is kept of each recording, all its clips alike, so that its loudest sample
    is at 0.9 of full scale; none: as recorded, clipped at full scale."""
    pieces: Literal["first", "all"] = "first"
    """first: one clip, from the beginning of each recording; all: the whole recording, cut into
    consecutive clips."""
