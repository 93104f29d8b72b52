"""Any folder of images, decoded once and cached."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aigc_core import Column, SampleSpec
from aigc_core.datasets import DecodedFile, FolderDataset
from aigc_core.datasets.listing import DataFile
from aigc_image.datasets._captions import (
    CAPTION_SUFFIXES,
    caption_column,
    caption_files,
    read_captions,
)
from aigc_image.datasets._decode import HINTS, REMARKS, SUFFIXES, decode
from aigc_image.options import ImageFolderOptions

Arranged = tuple[dict[str, Tensor], list[str], dict[str, Column], list[str]]


class ImageFolder(FolderDataset):
    """The images below ``--data-root``; if every image is in a sub-folder, these are classes.

    Captions become the column ``text``: see ``_captions``.
    """

    options: ImageFolderOptions
    name = "image-folder"
    kind = ("image", "images")
    suffixes = SUFFIXES
    hints = HINTS
    remarks = REMARKS
    format = 3

    @property
    def spec(self) -> SampleSpec:
        """Images uint8 or uint16 ``(C, size, size)``."""
        shape = (self.options.channels, self.options.size, self.options.size)
        return SampleSpec(shape=shape, dtype="uint16" if self.options.bits == 16 else "uint8")

    def decode(self, path: Path) -> DecodedFile:
        """Read one file; raises ``UnreadableError`` if it is not a usable image."""
        found = decode(path, self.options)
        if not self.options.flip:
            return found
        mirrored = found.samples[..., ::-1]  # (P, C, S, S)
        return found._replace(samples=np.concatenate([found.samples, mirrored]))

    def further_files(self, paths: Sequence[str]) -> Sequence[DataFile]:
        """Return the tables and texts that hold captions."""
        if self.folders.root is None or not self.files.left_out.keys() & CAPTION_SUFFIXES:
            return ()
        return caption_files(self.folders.root, paths)

    def arrange(
        self,
        paths: Sequence[str],
        counts: Sequence[int],
        arrays: dict[str, Tensor],
        label_names: list[str],
    ) -> Arranged:
        """Add captions, if there are any."""
        files = self.further_files(paths)
        if not files or self.folders.root is None:
            return arrays, label_names, {}, []
        captions, notes = read_captions(self.folders.root, files, paths)
        if not captions:
            return arrays, label_names, {}, notes
        rows = [captions.get(path, "") for path in paths]
        text, column, more = caption_column(rows, self.options.caption_bytes)
        text = text.repeat_interleave(torch.tensor(counts), dim=0)
        return {**arrays, "text": text}, label_names, {"text": column}, [*notes, *more]
