"""What all text datasets do: encode once, keep the tokens in the cache, cut windows out of them."""

from __future__ import annotations

import functools
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from aigc_core import DataError, Dataset, SampleSpec, SampleStore
from aigc_core.datasets import check_split, locked_cache
from aigc_text.datasets._tokens import make_tokenizer, read_tokens, write_tokens
from aigc_text.options import TextOptions

SPLITS = ("train", "validation")
_FORMAT = 1
"""Raise it when the same text and options give other tokens: old caches are then not used."""


class TextDataset(Dataset):
    """Windows of one long text: a sample begins at every token but the last ``context``.

    The tokens are kept in ``<cache>/<name>/<hash>.tokens``, where the hash covers what the text is
    (``identity``) and how it is encoded. They are mapped, so text may be larger than memory.
    """

    name: ClassVar[str]
    options: TextOptions

    @abstractmethod
    def identity(self) -> Any:
        """Return JSON data that is another when the text is."""

    @abstractmethod
    def pieces(self) -> Iterable[str]:
        """Return the text, in pieces; called once or twice."""

    @abstractmethod
    def text_bytes(self) -> int:
        """Return about how long the text is as UTF-8."""

    def prepare(self) -> None:
        target = self._target
        if read_tokens(target) is not None:
            return
        with locked_cache(self.folders, self.name):
            if read_tokens(target) is not None:  # another process was faster
                return
            tokenizer = make_tokenizer(self.options, self.pieces, self.text_bytes())
            target.parent.mkdir(exist_ok=True)
            write_tokens(tokenizer, self.pieces(), target)

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` ``(N, context + 1)``, windows that overlap in memory.

        The split ``validation`` is empty where ``validation`` is 0.

        Raises:
            DataError: there is no such split, or it is shorter than a sample.
        """
        check_split(self.name, split, SPLITS)
        found = read_tokens(self._target)
        if found is None:
            raise DataError(
                f"'{self.name}' is not in {self._target}: call prepare() before load()."
            )
        length = self.options.context + 1
        return SampleStore(
            arrays={"samples": self._windows(found.tokens, split, length)},
            spec=SampleSpec(
                shape=(length,),
                dtype="int16" if found.tokens.dtype == torch.int16 else "int32",
                units={"vocabulary_size": found.tokenizer.vocabulary_size},
                assets={"tokenizer": found.tokenizer.to_json()},
            ),
        )

    def _windows(self, tokens: Tensor, split: str, length: int) -> Tensor:
        border = int(len(tokens) * (1 - self.options.validation))
        part = tokens[:border] if split == "train" else tokens[border:]
        if split == "validation" and self.options.validation == 0:
            return tokens.new_empty(0, length)
        if len(part) < length:
            otherwise = "" if split == "train" else ", or dataset.options.validation=0 for none"
            raise DataError(
                f"A sample is {length:,} tokens (dataset.options.context={length - 1} and the one "
                f"after), and the {split} part of '{self.name}' has {len(part):,}. Set a smaller "
                f"context, or give more text{otherwise}."
            )
        return part.unfold(0, length, 1)  # (T,) -> (T - context, context + 1)

    @functools.cached_property
    def _target(self) -> Path:
        options = self.options
        made_from: list[Any] = [_FORMAT, self.identity(), options.tokenizer]
        if options.tokenizer == "bpe":
            made_from += [options.vocabulary_size, options.validation]
        digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
        return self.folders.cache / self.name / f"{digest[:32]}.tokens"
