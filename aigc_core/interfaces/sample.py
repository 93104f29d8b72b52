"""What one stored sample is: facts that a dataset states and a modality interprets."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aigc_core.interfaces.config import ConfigModel


class SampleSpec(ConfigModel):
    """Shape, type and units of one stored sample. Written to the run folder as ``dataset.json``."""

    shape: tuple[int, ...] = Field(min_length=1)
    """Shape of one stored sample, without the batch dimension."""
    dtype: Literal["uint8", "uint16", "int16", "int32", "int64", "float32"]
    """Type in which samples are stored."""
    units: dict[str, float] = {}
    """What the numbers mean, with the unit in the name, such as ``sample_rate_hz``."""
    assets: dict[str, str] = {}
    """Text needed to interpret samples, by name, such as a tokenizer's JSON."""


class Column(ConfigModel):
    """What a further array of the data holds: samples of some modality, one in each row."""

    modality: str
    """Name of the modality, such as that of a picture's caption."""
    spec: SampleSpec
    """What one of the samples is."""
    stream: str = "samples"
    """Which rows belong together: those of one stream. A column that is not paired with
    ``samples``, and may have another length, is in another stream, which has its own order."""
