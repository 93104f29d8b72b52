"""Text: stored as tokens, saved as UTF-8."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from aigc_core import ConfigError, DataError, Modality, SampleSpec
from aigc_core.datasets import atomic_file
from aigc_text.tokenizer import UnknownCharacterError
from aigc_text.tokenizers import tokenizer_from_json

_TYPES = {"int16": torch.int16, "int32": torch.int32, "int64": torch.int64}


class TextModality(Modality):
    """Sequences of tokens; ``spec.assets["tokenizer"]`` says what they stand for.

    Stored: int16 ``(T,)``, or int32 if the vocabulary does not fit. Model form: int64 ``(T,)``.
    T is ``spec.shape[0]`` for training; generated samples may have any length.
    """

    formats: ClassVar[tuple[str, ...]] = ("txt",)
    media_types: ClassVar[Mapping[str, str]] = {"txt": "text/plain; charset=utf-8"}
    sample_dtype: ClassVar[torch.dtype] = torch.int64
    sample_range: ClassVar[tuple[float, float] | None] = None

    def __init__(self, spec: SampleSpec) -> None:
        super().__init__(spec)
        if spec.dtype not in _TYPES or len(spec.shape) != 1:
            raise DataError(
                "Text is stored as int16, int32 or int64 of the shape (tokens,), and this "
                f"dataset's samples are {spec.dtype} of the shape {spec.shape}."
            )
        try:
            self.tokenizer = tokenizer_from_json(spec.assets["tokenizer"])
        except (KeyError, ValueError) as error:
            raise DataError(f"The data does not say what its tokens stand for: {error}.") from error
        size = spec.units.get("vocabulary_size")
        if size != self.tokenizer.vocabulary_size:
            raise DataError(
                f"The data's vocabulary_size is {size}, and its tokenizer's is "
                f"{self.tokenizer.vocabulary_size}."
            )
        self.vocabulary_size = self.tokenizer.vocabulary_size
        self.lossy_formats = () if self.tokenizer.lossless else self.formats

    @property
    def sample_shape(self) -> tuple[int, ...]:
        return self.spec.shape

    def to_model(self, stored: Tensor) -> Tensor:
        """Map stored tokens ``(B, T)`` to int64."""
        return stored.to(torch.int64)

    def to_stored(self, samples: Tensor) -> Tensor:
        """Map tokens ``(B, T)`` to the stored type, clamping them to valid tokens."""
        return samples.clamp(0, self.tokenizer.vocabulary_size - 1).to(_TYPES[self.spec.dtype])

    def encode(self, text: str) -> Tensor:
        """Return int64 tokens ``(T,)``; raise ``ConfigError`` if the text cannot be encoded."""
        try:
            text.encode()
            return torch.from_numpy(self.tokenizer.encode(text)).to(torch.int64)
        except UnknownCharacterError as error:
            raise ConfigError(f"{error}.") from error
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"Character {error.start + 1} of the text is not valid Unicode "
                f"(U+{ord(text[error.start]):04X}): it was not given as UTF-8."
            ) from error

    def encode_sample(self, text: str) -> Tensor:
        """Return the stored tokens ``(T,)`` of a text, filled up with those of U+0000.

        Raises:
            ConfigError: it is longer than T tokens, or has characters without a token.
        """
        tokens, length = self.encode(text), self.spec.shape[0]
        if len(tokens) > length:
            raise ConfigError(
                f"The text has {len(tokens):,} tokens, and at most {length:,} are taken: "
                f"'{text:.40}'. Make it shorter."
            )
        if len(tokens) < length:
            tokens = torch.cat([tokens, self.encode("\0").expand(length - len(tokens))])
        return self.to_stored(tokens)

    def decode(self, tokens: Tensor) -> str:
        """Return the text of tokens ``(T,)``; an incomplete character becomes U+FFFD."""
        return self.tokenizer.decode(tokens.cpu().numpy())

    def encoded(self, stored: Tensor, format: str) -> bytes:
        """Return the text of tokens ``(T,)`` in UTF-8, its line endings as they are."""
        self.check_format(format)
        return self.decode(stored).encode()

    def read(self, path: Path) -> Tensor:
        """Read a text file as stored tokens ``(T,)``."""
        try:
            text = path.read_bytes().decode()
            return self.to_stored(torch.from_numpy(self.tokenizer.encode(text)))
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from error

    def adapt(self, path: Path) -> Tensor:
        """Read a file in UTF-8 as stored tokens ``(T,)``, without its last line's end."""
        text = _text_of(path)
        if not text:
            raise DataError(f"{path} is empty.")
        return self.encode_sample(text)

    def adapt_beginning(self, path: Path) -> Tensor:
        """Read a file in UTF-8 as stored tokens ``(n,)``, all of them and no more."""
        return self.to_stored(self.encode(_text_of(path)))

    def preview(self, stored: Tensor, path: Path) -> Path:
        """Write tokens ``(N, T)`` as one page: the samples, each below a line with its number."""
        page = "".join(
            f"{f'── {number} ':─<72}\n{self.decode(tokens)}\n"
            for number, tokens in enumerate(stored)
        )
        # Not with_suffix: the name may contain dots, such as "step-000500.seed-1".
        target = path.with_name(path.name + ".txt")
        with atomic_file(target) as scratch:
            scratch.write_bytes(page.encode())
        return target


def _text_of(path: Path) -> str:
    """Return the text of a file in UTF-8, without its last line's end."""
    try:
        return path.read_bytes().decode().removesuffix("\n")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} cannot be read as text of this kind: {error}.")
