"""Fit recordings into clips of one length and level."""

import numpy as np
from numpy.typing import NDArray

from aigc_audio.options import Normalize
from aigc_core import SampleSpec

FULL_SCALE = 32768
"""1.0 as a 16-bit sample."""
PEAK = 0.9
"""Level of the loudest sample after normalising, as a share of full scale."""

Int16 = NDArray[np.int16]


def fit(recording: Int16, samples: int) -> Int16:
    """Cut ``(..., L)`` to ``(..., samples)``, or pad it with silence at the end."""
    missing = samples - recording.shape[-1]
    if missing <= 0:
        return recording[..., :samples]
    return np.pad(recording, [(0, 0)] * (recording.ndim - 1) + [(0, missing)])


def normalized(clip: Int16) -> Int16:
    """Scale a clip of any shape so that its loudest sample is at ``PEAK``; silence stays silent."""
    peak = int(np.abs(clip.astype(np.int32)).max(initial=0))
    if peak == 0:
        return clip
    scaled: Int16 = np.rint(clip * (PEAK * FULL_SCALE / peak)).astype(np.int16)
    return scaled


def clip_spec(
    channels: int, samples: int, sample_rate_hz: int, normalize: Normalize = "none"
) -> SampleSpec:
    """Return the audio modality's spec for clips int16 ``(channels, samples)``.

    Clips that were normalised have the unit ``peak_level``, a share of full scale.
    """
    units = {"sample_rate_hz": sample_rate_hz, "duration_s": samples / sample_rate_hz}
    if normalize == "peak":
        units["peak_level"] = PEAK
    return SampleSpec(shape=(channels, samples), dtype="int16", units=units)
