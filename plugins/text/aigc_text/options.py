"""Options of the text datasets (``dataset.options.*``); free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class TextOptions(ConfigModel):
    """How text becomes samples: windows of tokens, one at every position."""

    tokenizer: Literal["characters", "bytes", "bpe"] = "characters"
    """characters: those in the text; bytes: those of UTF-8; bpe: byte pairs learned from the text
    (Sennrich et al. 2016), saved with the run."""
    vocabulary_size: int = Field(4096, ge=256, le=1_000_000)
    """Largest number of bpe tokens, including the 256 bytes."""
    context: int = Field(64, ge=1, le=1_000_000)
    """How many tokens the network sees to predict the next; a sample is one longer."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the text held out, taken from its end; 0 for none."""


class TextFilesOptions(TextOptions):
    """The user's own text."""

    field: str | None = None
    """Column or key that holds the text in .csv, .tsv and .jsonl files; if unset, these files are
    left out."""
    classes: bool = True
    """true: several sub-folders become classes, each cut into consecutive samples; false: all is
    one text, with a sample at every position."""
