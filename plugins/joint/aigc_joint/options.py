"""Options of the datasets (``dataset.options.*``); free of torch."""

from pydantic import Field

from aigc_audio.options import Normalize, Samples
from aigc_core import ConfigModel


class SpokenDigitsOptions(ConfigModel):
    """Pictures of MNIST, recordings of FSDD, and words."""

    size: int = Field(default=28, ge=8, le=256)
    """Side of the pictures in pixels."""
    samples: Samples = 8192
    """Length of a clip in samples, at 8 kHz."""
    normalize: Normalize = "peak"
    """peak: scale each clip so that its loudest sample is at 0.9 of full scale; none: as
    recorded."""
    count: int = Field(default=20_000, ge=10, le=60_000)
    """How many pictures are trained on, each with a recording; a sixth as many, at most 10,000, are
    held out, with speakers that are never trained on."""


class TonedDigitsOptions(ConfigModel):
    """Pictures of scikit-learn's digits, notes from C4 (zero) to A4 (nine), and words."""

    size: int = Field(default=28, ge=8, le=256)
    """Side of the pictures in pixels."""
    samples: Samples = 4096
    """Length of a note in samples, at 8 kHz."""
    count: int = Field(default=1500, ge=10, le=1500)
    """How many pictures are trained on, each with a note; the rest of 1,797 are held out."""
