"""What is asked of a run, checked against what its generator declares."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import torch
from pydantic import ValidationError
from torch import Tensor

from aigc_core.config.descriptions import described_schema
from aigc_core.config.explain import Section, explain
from aigc_core.errors import ConfigError, DataError, did_you_mean
from aigc_core.interfaces import Condition, ConfigModel, Generator, Modality, TextCodec

logger = logging.getLogger("aigc")
MAX_COUNT = 1_000_000
Given = str | int | Path | Tensor
"""A value for a condition: the name or number of a class, a text, the path of a file, or samples
in their stored form ``(count, ...)`` or ``(1, ...)``."""


class RequestOptions(TypedDict, total=False):
    """The fields of a ``Request``, as keywords."""

    count: int
    seed: int
    label: str | int | None
    prompt: str | None
    inputs: Mapping[str, Given]
    controls: Mapping[str, Any]
    want: Sequence[str]


@dataclass(frozen=True)
class Request:
    """What is asked of a run. The same request gives the same samples on the same device."""

    count: int = 16
    """How many samples, 1 to 1,000,000; sample *i* does not depend on it."""
    seed: int = 0
    """At least 0."""
    label: str | int | None = None
    """Name or number of a class; None for each class in turn. Short for ``inputs["label"]``."""
    prompt: str | None = None
    """A text, for the one condition that is text: what to draw, or what to continue."""
    inputs: Mapping[str, Given] = field(default_factory=dict)
    """Further conditions, by name."""
    controls: Mapping[str, Any] = field(default_factory=dict)
    """How to draw: settings of the generator, such as ``{"temperature": 0.8}``."""
    want: Sequence[str] = ()
    """Which of a generator's outputs: names of columns or, where only one has it, of modalities;
    none for all."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: one is not valid.
        """
        if not 1 <= self.count <= MAX_COUNT:
            raise ConfigError(
                f"count={self.count} is not valid: it must be from 1 to {MAX_COUNT:,}."
            )
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed} is not valid: it must be from 0 to 2**63 - 1.")

    @property
    def is_plain(self) -> bool:
        """Whether it asks for nothing but a number of samples, a seed and perhaps a class."""
        return self.prompt is None and not self.inputs and not self.controls and not self.want


@dataclass(frozen=True)
class CheckedRequest:
    """A request that a run can answer, as its generator takes it."""

    count: int
    seed: int
    wanted: tuple[str, ...]
    """The outputs that are wanted, by column."""
    conditions: Mapping[str, Tensor]
    """In the model's form, each ``(count, ...)`` or ``(1, ...)``, on the CPU."""
    controls: ConfigModel


class RequestValidator:
    """Checks requests against the conditions and controls that a generator declares."""

    def __init__(
        self,
        who: str,
        generator: Generator,
        modalities: Mapping[str, Modality],
        label_names: tuple[str, ...],
        kinds: Mapping[str, str] | None = None,
    ) -> None:
        """Take what answers are checked against.

        Args:
            who: the run or recipe, for messages.
            generator: declares conditions and controls.
            modalities: of every column that is not labels, ``samples`` among them.
            label_names: the classes' names, in order.
            kinds: the name of each column's modality; None for the columns' own names.
        """
        self.outputs = generator.outputs
        self._kinds = {column: column for column in generator.outputs} | dict(kinds or {})
        self._who = who
        self._conditions = dict(generator.conditions)
        self._label_count = generator.label_count
        self._controls = generator.controls
        self._modalities = modalities
        self._label_names = label_names

    def checked(self, request: Request) -> CheckedRequest:
        """Return a request as a generator takes it; files are read, and not needed afterwards.

        Raises:
            ConfigError: the run cannot be asked for that.
            DataError: a file that is given cannot be read.
        """
        return CheckedRequest(
            request.count,
            request.seed,
            self.wanted(request),
            self.conditions(request),
            self.controls(request),
        )

    def conditions(self, request: Request) -> dict[str, Tensor]:
        """Return a request's conditions as a generator takes them, on the CPU.

        Raises:
            ConfigError: one that the generator does not have or cannot take, or that is missing.
            DataError: a file that cannot be read.
        """
        given: dict[str, Given] = dict(request.inputs)
        if request.label is not None:
            self._give(given, "label", request.label)
        if request.prompt is not None:
            name = self._text_condition()
            if request.prompt or not self._conditions[name].is_beginning:  # else no beginning
                self._give(given, name, request.prompt)
        found = {name: self._value(name, value, request.count) for name, value in given.items()}
        for name, condition in self._conditions.items():
            if condition.required and name not in found:
                raise ConfigError(
                    f"{self._who} draws nothing without '{name}'. Give it with: {self._how(name)}"
                )
        return found

    def controls(self, request: Request) -> ConfigModel:
        """Return a request's controls.

        Raises:
            ConfigError: one that the generator does not have, or a value that is not valid.
        """
        fields = self._controls.model_fields
        if request.controls and not fields:
            raise ConfigError(
                f"{self._who} has only one way to draw: it takes no controls, such as "
                f"'{next(iter(request.controls))}'."
            )
        section = Section("controls", self._controls, "controls")
        try:
            return self._controls.model_validate(dict(request.controls))
        except ValidationError as error:
            raise ConfigError(explain(section, error, request.controls, {}, [section])) from None

    def wanted(self, request: Request) -> tuple[str, ...]:
        """Return the outputs that a request wants, as names of columns.

        Raises:
            ConfigError: one that the generator does not have, or that is named twice.
        """
        found: list[str] = []
        for name in request.want:
            of_kind = [column for column in self.outputs if self._kinds[column] == name]
            column = name if name in self.outputs or len(of_kind) != 1 else of_kind[0]
            if column not in self.outputs:
                names = dict.fromkeys([*self.outputs, *(self._kinds[c] for c in self.outputs)])
                raise ConfigError(f"{self._who} makes no '{name}'.{did_you_mean(name, names)}")
            if column in found:
                raise ConfigError(f"'{name}' is wanted twice.")
            found.append(column)
        return tuple(found) or self.outputs

    def label(self, name: str | int) -> int:
        """Return the class that a name, or else a number, stands for.

        Raises:
            ConfigError: there is no such class, or the run is unconditional.
        """
        names, text = self._label_names, str(name)
        if "label" not in self._conditions:
            raise ConfigError(
                f"{self._who} is unconditional, so it cannot be asked for '{name}'. Train it with "
                "classes, if the recipe has a setting for that; see: aigc config show RECIPE"
            )
        if text in names:
            number = names.index(text)
            if text.isdecimal() and int(text) < len(names) and int(text) != number:
                logger.warning(
                    "'%s' is taken for the name of a class; class number %s is '%s'.",
                    text,
                    text,
                    names[int(text)],
                )
            return number
        if text.isdecimal() and int(text) < self._label_count:
            return int(text)
        raise ConfigError(f"There is no class '{name}'.{did_you_mean(text, names)}")

    def codec(self) -> TextCodec:
        """Return the modality of the samples, if they are text.

        Raises:
            ConfigError: they are something else.
        """
        modality = self._modalities[self.outputs[0]]
        if not isinstance(modality, TextCodec):
            raise ConfigError(f"{self._who} makes no text.")
        return modality

    @property
    def files(self) -> list[str]:
        """Names of the conditions that are files."""
        return [name for name, found in self._conditions.items() if self._kind(found) == "file"]

    def given_columns(self, request: Request) -> set[str]:
        """Return the columns that a request gives whole: as outputs they come back unchanged."""
        given = {*request.inputs, *(["label"] if request.label is not None else [])}
        given |= {self._text_condition()} if request.prompt else set()
        found = [self._conditions[name] for name in given if name in self._conditions]
        return {c.column for c in found if not c.gaps and not c.is_beginning}

    def named_files(self, texts: Sequence[str]) -> dict[str, Given]:
        """Return what several ``NAME=FILE`` give, by the condition; see ``named_file``.

        Raises:
            ConfigError: as for one, or a condition is given twice.
        """
        found: dict[str, Given] = {}
        for name, path in map(self.named_file, texts):
            self._give(found, name, path)
        return found

    def named_file(self, text: str) -> tuple[str, Path]:
        """Return the condition and the file of ``NAME=FILE``, or of ``FILE`` alone.

        Without a name it is the only condition that is a file, or the only one whose modality
        reads files of that suffix.

        Raises:
            ConfigError: it could be none, or several.
        """
        name, equals, file = text.partition("=")
        alone = Path(os.path.expanduser(text))
        exists = os.path.exists(alone)
        if equals and file and name and not (exists and name not in self._conditions):
            return name, Path(os.path.expanduser(file))
        if not alone.name or (equals and not exists):
            raise ConfigError(f"--input {text} is not valid: it takes NAME=FILE.")
        names = self.files
        if len(names) != 1:
            given = [n for n, c in self._conditions.items() if c.column != "labels"]
            names = [n for n in given if self._modality_of(n).is_readable(alone)]
        if len(names) == 1:
            return names[0], alone
        known = [n for n, c in self._conditions.items() if c.column != "labels"]
        options = ", ".join(f"--input {name}=FILE" for name in names or known)
        what = f"Say which with: {options}" if options else "It takes no files."
        raise ConfigError(
            f"{self._who} has {'several conditions' if names else 'no condition'} that "
            f"{alone.name} could be. {what}"
        )

    def _modality_of(self, name: str) -> Modality:
        return self._modalities[self._conditions[name].column]

    @property
    def continues_text(self) -> bool:
        """Whether a prompt is the beginning of a text, and what is drawn its continuation."""
        return [self._conditions[name].is_beginning for name in self._texts] == [True]

    def describe(self) -> dict[str, Any]:
        """Return the conditions, and a JSON Schema of the controls, as JSON data."""
        described = {
            name: {
                "kind": self._kind(condition),
                **({} if condition.column == "labels" else {"modality": self._reads(name)}),
                "required": condition.required,
                "option": self._how(name),
                **({"classes": list(self._label_names)} if condition.column == "labels" else {}),
            }
            for name, condition in self._conditions.items()
        }
        outputs = {column: {"modality": self._kinds[column]} for column in self.outputs}
        return {
            "outputs": outputs,
            "conditions": described,
            "controls": described_schema(self._controls),
        }

    def _give(self, given: dict[str, Given], name: str, value: Given) -> None:
        if name in given:
            raise ConfigError(f"The condition '{name}' is given twice: {self._how(name)} too.")
        given[name] = value

    def _kind(self, condition: Condition) -> str:
        if condition.column == "labels":
            return "class"
        return "text" if self._is_text(condition) else "file"

    def _is_text(self, condition: Condition) -> bool:
        return isinstance(self._modalities.get(condition.column), TextCodec)

    def _how(self, name: str) -> str:
        kind = self._kind(self._conditions[name])
        if kind == "class":
            return "--label CLASS"
        if kind == "text" and len(self._texts) == 1:
            return "--prompt TEXT"
        return "--input FILE" if self.files == [name] else f"--input {name}=FILE"

    def _reads(self, name: str) -> str:
        """Return the modality that reads a condition, or its column where that is not known."""
        column = self._conditions[name].column
        return self._kinds.get(column, column)

    @property
    def _texts(self) -> list[str]:
        return [name for name, found in self._conditions.items() if self._is_text(found)]

    def _text_condition(self) -> str:
        names = self._texts
        if not names:
            raise ConfigError(f"{self._who} takes no text, so it takes no prompt.")
        if len(names) > 1:
            raise ConfigError(
                f"{self._who} takes several texts, so it is not clear which one the prompt is. "
                f"Give each by its name: {', '.join(map(self._how, names))}"
            )
        return names[0]

    def _value(self, name: str, value: Given, count: int) -> Tensor:
        condition = self._conditions.get(name)
        if name == "label":
            if isinstance(value, Tensor):
                return self._labels(value, count)
            return torch.tensor([self.label(value if isinstance(value, int) else str(value))])
        if condition is None:
            hint = did_you_mean(name, self._conditions) if self._conditions else ""
            raise ConfigError(f"{self._who} has no condition '{name}'.{hint}")
        modality = self._modality_of(name)
        if condition.gaps and isinstance(modality, TextCodec) and not isinstance(value, Tensor):
            return with_gaps(modality, modality.spec.shape[0], value)[None]
        if isinstance(value, Tensor):
            stored = self._checked(name, value, modality, condition)
        elif isinstance(value, Path) or not isinstance(modality, TextCodec):
            if isinstance(value, int):
                raise ConfigError(f"The condition '{name}' is a file, and {value} was given.")
            read = modality.adapt_beginning if condition.is_beginning else modality.adapt
            stored = read(Path(value))[None]
        elif condition.is_beginning:  # as long as it is
            return modality.encode(str(value))[None]
        elif not str(value):
            raise ConfigError(f"The text for '{name}' is empty. Say something, or leave it out.")
        else:
            stored = modality.encode_sample(str(value))[None]
        if len(stored) not in (1, count):
            raise ConfigError(
                f"The condition '{name}' has {len(stored):,} values for {count:,} samples."
            )
        return modality.to_model(stored)

    def _checked(
        self, name: str, stored: Tensor, modality: Modality, condition: Condition
    ) -> Tensor:
        """Return stored samples; a beginning may be shorter than a sample in its last dimension."""
        spec = modality.spec
        shape, dtype = tuple(stored.shape[1:]), getattr(torch, spec.dtype)
        wanted = (*spec.shape[:-1], *shape[-1:]) if condition.is_beginning else spec.shape
        if stored.dtype != dtype or shape != wanted:
            raise ConfigError(
                f"The condition '{name}' takes {dtype} of the shape (count, "
                f"{', '.join(map(str, spec.shape))}), and was given {stored.dtype} of "
                f"{tuple(stored.shape)}."
            )
        return stored

    def _labels(self, values: Tensor, count: int) -> Tensor:
        self.label(0)  # that there are classes
        known = values.dim() == 1 and len(values) in (1, count) and not values.is_floating_point()
        if not known or not bool(((values >= 0) & (values < self._label_count)).all()):
            raise ConfigError(
                f"The condition 'label' takes {count:,} numbers from 0 to {self._label_count - 1}."
            )
        return values.long()


def with_gaps(codec: TextCodec, length: int, text: Given) -> Tensor:
    """Return a text, or that of a file, as int64 tokens ``(length,)``; -1 for each one missing.

    Raises:
        ConfigError: it has more tokens, or characters without a token.
        DataError: the file cannot be read.
    """
    if isinstance(text, Path):
        try:
            text = text.read_bytes().decode().removesuffix("\n")
        except (OSError, ValueError) as error:
            raise DataError(f"{text} cannot be read as text: {error}.") from error
    missing = torch.tensor([-1])
    pieces: list[Tensor] = []
    for number, part in enumerate(re.split(r"(?<!\\)_", str(text))):
        pieces += [missing] if number else []
        pieces += [codec.encode(part.replace("\\_", "_"))] if part else []
    tokens = torch.cat([*pieces, missing[:0]])
    if len(tokens) > length:
        raise ConfigError(
            f"The text has {len(tokens):,} tokens, gaps among them, and at most {length:,} are "
            f"taken: '{text!s:.40}'. Make it shorter."
        )
    return torch.cat([tokens, missing.expand(length - len(tokens))])
