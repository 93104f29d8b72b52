"""A kind of content: what a sample is, and how it is stored, shown and saved."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from aigc_core.errors import ConfigError, did_you_mean
from aigc_core.interfaces.note import NoteFormat
from aigc_core.interfaces.sample import SampleSpec


class Representation(nn.Module, ABC):
    """Maps samples in the model's form to another one, such as spectrograms, and back.

    It has no parameters, and buffers only that are not saved.
    """

    shape: tuple[int, ...]
    """Of one sample in this form: channels first, then up to three sides."""
    ordered: bool = True
    """Whether places along the sides have an order or neighbours. If not, there is one side: the
    members of a set."""

    @abstractmethod
    def forward(self, samples: Tensor) -> Tensor:
        """Map samples ``(B, *sample_shape)`` to float32 ``(B, *shape)``, about in [-1, 1]."""

    @abstractmethod
    def restore(self, represented: Tensor) -> Tensor:
        """Map ``(B, *shape)`` back to samples, as well as can be; any values are taken."""


class Modality(ABC):
    """How the samples of one dataset of this kind of content are stored, modelled and saved."""

    formats: ClassVar[tuple[str, ...]]
    """File formats that ``save`` writes, the default first, such as ``("png",)``."""
    media_types: ClassVar[Mapping[str, str]] = {}
    """Media type (RFC 6838) of each of ``formats``, such as ``{"png": "image/png"}``."""
    lossy_formats: tuple[str, ...] = ()
    """Those of ``formats`` from which ``read`` restores the saved sample only approximately; an
    instance may set its own, if that depends on the data."""
    notes: ClassVar[Mapping[str, NoteFormat]] = {}
    """Where files that ``save`` and ``preview`` write keep a note of how they were made, by
    suffix without its dot. What is not here gets a file of its own beside it: see
    ``aigc_core.notes``, which has some formats."""
    sample_dtype: ClassVar[torch.dtype] = torch.float32
    """Type of samples in the model's form."""
    sample_range: ClassVar[tuple[float, float] | None] = (-1.0, 1.0)
    """Smallest and largest value of samples in the model's form; None for no bounds."""

    vocabulary_size: int | None = None
    """How many tokens there are, where samples are tokens."""

    def __init__(self, spec: SampleSpec) -> None:
        """Take the facts of the stored samples; raise ``DataError`` for what cannot be handled."""
        self.spec = spec

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample as a network sees it, without the batch dimension.

        Same as for the stored samples, unless ``to_model`` changes it.
        """
        return self.spec.shape

    def representation(self) -> Representation | None:
        """Return a form in which networks learn these samples more easily, if there is one.

        None, here: the model's form is as good. For recipes that take any modality; one that is for
        this modality may choose its own.
        """
        return None

    @abstractmethod
    def to_model(self, stored: Tensor) -> Tensor:
        """Map stored samples ``(B, *spec.shape)`` to the model's form ``(B, *sample_shape)``.

        Runs on the engine's device for every batch, so it should be one or two fused operations.
        """

    @abstractmethod
    def to_stored(self, samples: Tensor) -> Tensor:
        """Map samples in the model's form back to stored ones, clamped and rounded."""

    def media_type(self, format: str) -> str:
        """Return the media type of a format; ``application/octet-stream`` if none is declared."""
        return self.media_types.get(format, "application/octet-stream")

    def encoded(self, stored: Tensor, format: str) -> bytes:
        """Return one stored sample, ``spec.shape``, as the bytes of a file.

        A modality implements this or ``save``; here it is what ``save`` writes.

        Raises:
            ConfigError: there is no such format, or the sample cannot be saved so.
        """
        if type(self).save is Modality.save:
            raise NotImplementedError(f"{type(self).__name__} implements neither encoded nor save.")
        with tempfile.TemporaryDirectory(prefix="aigc-") as folder:
            [path] = self.save(stored[None], Path(folder), format=format)
            return path.read_bytes()

    def save(self, stored: Tensor, folder: Path, *, format: str, start: int = 0) -> list[Path]:
        """Write stored samples ``(N, *spec.shape)`` into an existing folder, one file each.

        Files are numbered from ``start``: ``000000.png``, ``000001.png``, … Returns their paths
        in order.

        Raises:
            ConfigError: as for ``encoded``.
        """
        paths = []
        for number, sample in enumerate(stored.cpu(), start):
            path = folder / f"{number:06d}.{format}"
            path.write_bytes(self.encoded(sample, format))
            paths.append(path)
        return paths

    def check_format(self, format: str) -> None:
        """Raise ``ConfigError`` unless a format is one of ``formats``."""
        if format not in self.formats:
            raise ConfigError(
                f"A sample cannot be saved as '{format}'.{did_you_mean(format, self.formats)}"
            )

    @abstractmethod
    def read(self, path: Path) -> Tensor:
        """Read one file that ``save`` wrote: a stored sample, ``spec.shape``."""

    def is_readable(self, path: Path) -> bool:
        """Whether ``adapt`` may take a file of this name; it is not opened.

        Here those with a suffix of ``formats``.
        """
        return path.suffix.lower().lstrip(".") in self.formats

    def adapt(self, path: Path) -> Tensor:
        """Read a file of the user's as one stored sample, ``spec.shape``.

        Here only a file that ``read`` takes. A modality that can makes any file of its kind fit, as
        a dataset does, and logs what it did to it.

        Raises:
            DataError: it cannot be read, or cannot be made to fit.
        """
        return self.read(path)

    def adapt_beginning(self, path: Path) -> Tensor:
        """Read a file of the user's as a beginning that is to be continued.

        Here as ``adapt`` does. A modality whose samples can be shorter in their last dimension
        returns one as long as the file is, without padding, and of longer ones the end.

        Raises:
            DataError: as for ``adapt``.
        """
        return self.adapt(path)

    @abstractmethod
    def preview(self, stored: Tensor, path: Path) -> Path:
        """Write one file that shows all of ``(N, *spec.shape)``: a grid, a strip, a page.

        It may write others beside it, with the same name and other suffixes, such as the sound
        that a picture shows.

        Args:
            stored: the samples.
            path: where to write, without a suffix: the modality adds its own.

        Returns:
            The path of the file to look at first.
        """


@runtime_checkable
class TextCodec(Protocol):
    """A modality whose samples are tokens that stand for text."""

    def encode(self, text: str) -> Tensor:
        """Return int64 tokens ``(T,)``; raise ``ConfigError`` for text that cannot be encoded."""

    def encode_sample(self, text: str) -> Tensor:
        """Return a text as one stored sample, ``spec.shape``, filled up to its length.

        Raises:
            ConfigError: it is longer than that, or has characters without tokens.
        """

    def decode(self, tokens: Tensor) -> str:
        """Return the text of tokens ``(T,)``; half a character at the end becomes U+FFFD.

        Decoding in pieces gives the same text as at once, unless a character is cut in half.
        """
