"""What all text datasets share: encode once, keep the tokens in the cache, cut them to windows."""

from __future__ import annotations

import functools
import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from aigc_core import DataError, Dataset, SampleSpec, SampleStore
from aigc_core.datasets import PackedArray, check_split, locked_cache
from aigc_core.storage import kept
from aigc_text.datasets._classes import ClassedSamples
from aigc_text.datasets._tokens import (
    EncodedText,
    TextPart,
    make_tokenizer,
    read_tokens,
    write_tokens,
)
from aigc_text.options import TextOptions

SPLITS = ("train", "validation")
_FORMAT = 2
"""Increase it when the same text and options give other tokens, so that old caches are not used."""


class TextDataset(Dataset):
    """Windows of one long text: a sample begins at every token except the last ``context``.

    The tokens are kept in ``<cache>/<name>/<hash>.tokens``, where the hash covers what the text is
    (``identity``) and how it is encoded. If they are larger than memory, they stay there and
    windows are read from disk. A text with classes is cut differently: see ``_classes``.
    """

    name: ClassVar[str]
    options: TextOptions

    @abstractmethod
    def identity(self) -> Any:
        """Return JSON data that changes whenever the text does."""

    @abstractmethod
    def pieces(self) -> Iterable[str]:
        """Return the text, in pieces; called once or twice."""

    @abstractmethod
    def text_bytes(self) -> int:
        """Return the text's approximate size in bytes as UTF-8."""

    def notes(self) -> list[str]:
        """Return notes for the user, one sentence each; none by default."""
        return []

    def parts(self) -> Sequence[TextPart]:
        """Return the text of each class, in label order; by default one part without a label."""
        return [TextPart("", self.pieces, self.text_bytes())]

    def prepare(self) -> None:
        if self._is_prepared():
            return
        with locked_cache(self.folders, self.name):
            if self._is_prepared():  # another process was faster
                return
            target, parts = self._target, self.parts()
            if read_tokens(target) is None:
                tokenizer = make_tokenizer(self.options, parts)
                target.parent.mkdir(exist_ok=True)
                write_tokens(tokenizer, parts, target)
            if len(parts) > 1 and (text := read_tokens(target)) is not None:
                for split in SPLITS:
                    self._classed(text, split).write()

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` ``(N, context + 1)``: windows that overlap in memory.

        With classes, each lies within one class, they do not overlap, and there are ``labels``.
        The split ``validation`` is empty if the option ``validation`` is 0.

        Raises:
            DataError: there is no such split, or it is shorter than a sample.
        """
        check_split(self.name, split, SPLITS)
        found = read_tokens(self._target)
        if found is None or not self._is_prepared():
            raise DataError(
                f"'{self.name}' is not in {self._target}: call prepare() before load()."
            )
        length = self.options.context + 1
        names = self._label_names
        arrays = (
            self._labelled(found, split)
            if names
            else {"samples": self._windows(found, split, length)}
        )
        return SampleStore(
            arrays=arrays,
            spec=SampleSpec(
                shape=(length,),
                dtype="int16" if found.dtype == torch.int16 else "int32",
                units={"vocabulary_size": found.tokenizer.vocabulary_size},
                assets={"tokenizer": found.tokenizer.to_json()},
            ),
            label_names=names,
            notes=tuple(self.notes()),
        )

    def _is_prepared(self) -> bool:
        text = read_tokens(self._target)
        if text is None or not self._label_names:
            return text is not None
        return all(self._classed(text, split).is_there() for split in SPLITS)

    def _classed(self, text: EncodedText, split: str) -> ClassedSamples:
        length, validation = self.options.context + 1, self.options.validation
        return ClassedSamples(self._target, text, split, length, validation)

    def _labelled(self, text: EncodedText, split: str) -> dict[str, Tensor]:
        classed = self._classed(text, split)
        for name, tokens, samples in zip(
            self._label_names, text.counts, classed.counts, strict=True
        ):
            if split == "train" and not samples:
                raise DataError(
                    f"A sample is {self.options.context + 1:,} tokens (dataset.options.context="
                    f"{self.options.context} and the one after), and the class '{name}' of "
                    f"'{self.name}' has {tokens:,}. Set a smaller context, give the class more "
                    "text, or take its folder away."
                )
        if split == "validation" and self.options.validation and not sum(classed.counts):
            raise DataError(
                f"No class of '{self.name}' is long enough to hold out {self.options.validation:g} "
                f"of its samples of {self.options.context + 1:,} tokens. Set a smaller "
                "dataset.options.context, give more text, or dataset.options.validation=0 for none."
            )
        arrays = dict(zip(("samples", "labels"), classed.read(), strict=True))
        return kept(arrays, self.name, self._target.parent)

    @functools.cached_property
    def _label_names(self) -> tuple[str, ...]:
        return tuple(part.label for part in self.parts() if part.label)

    def _windows(self, text: EncodedText, split: str, length: int) -> Tensor:
        count = sum(text.counts)
        border = int(count * (1 - self.options.validation))
        part = text.part(0, border) if split == "train" else text.part(border, count)
        if split == "validation" and self.options.validation == 0:
            return torch.empty(0, length, dtype=text.dtype)
        if len(part) < length:
            otherwise = "" if split == "train" else ", or dataset.options.validation=0 for none"
            raise DataError(
                f"A sample is {length:,} tokens (dataset.options.context={length - 1} and the one "
                f"after), and the {split} part of '{self.name}' has {len(part):,}. Set a smaller "
                f"context, or give more text{otherwise}."
            )
        tokens = kept({"samples": part}, self.name, self._target)["samples"]
        if isinstance(tokens, PackedArray):
            return tokens.windows(length)
        return tokens.unfold(0, length, 1)  # (T,) -> (T - context, context + 1)

    @functools.cached_property
    def _target(self) -> Path:
        options = self.options
        made_from: list[Any] = [_FORMAT, self.identity(), options.tokenizer]
        if options.tokenizer == "bpe":
            made_from += [options.vocabulary_size, options.validation]
        if self._label_names:  # the same files may have other classes
            made_from.append(self._label_names)
        digest = hashlib.sha256(json.dumps(made_from).encode()).hexdigest()
        return self.folders.cache / self.name / f"{digest[:32]}.tokens"
