"""Options of the text datasets (``dataset.options.*``); free of torch."""

from typing import Literal

from pydantic import Field

from aigc_core import ConfigModel


class TextOptions(ConfigModel):
    """How text becomes samples: windows of tokens, one at every position."""

    tokenizer: Literal["characters", "bytes", "bpe"] = "characters"
    """characters: those that the text has; bytes of UTF-8; or bpe, byte pairs learned from the text
    (Sennrich et al. 2016), kept with the run."""
    vocabulary_size: int = Field(4096, ge=256, le=1_000_000)
    """Tokens of a bpe, at most; 256 of them are the bytes."""
    context: int = Field(64, ge=1, le=1_000_000)
    """How many tokens the network sees before the one it expects; a sample is one longer."""
    validation: float = Field(0.1, ge=0, lt=1)
    """Share of the text, at its end, that is held out; 0 for none."""


class TextFilesOptions(TextOptions):
    """The user's own text."""

    field: str | None = None
    """Of .csv, .tsv and .jsonl files: the column or key that holds the text; without it these files
    are left out."""
    classes: bool = True
    """Sub-folders, if there are several, are classes, and samples follow each other within one;
    false: all is one text, of which a sample begins at every position."""
