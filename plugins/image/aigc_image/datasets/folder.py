"""Any folder of images, decoded once and cached."""

from pathlib import Path

import numpy as np

from aigc_core import SampleSpec
from aigc_core.datasets import DecodedFile, FolderDataset
from aigc_image.datasets._decode import HINTS, REMARKS, SUFFIXES, decode
from aigc_image.options import ImageFolderOptions


class ImageFolder(FolderDataset):
    """The images below ``--data-root``; if every image is in a sub-folder, these are classes."""

    options: ImageFolderOptions
    name = "image-folder"
    kind = ("image", "images")
    suffixes = SUFFIXES
    hints = HINTS
    remarks = REMARKS
    format = 3

    @property
    def spec(self) -> SampleSpec:
        """Images uint8 ``(C, size, size)``."""
        size = self.options.size
        return SampleSpec(shape=(self.options.channels, size, size), dtype="uint8")

    def decode(self, path: Path) -> DecodedFile:
        """Read one file; raises ``UnreadableError`` if it is not a usable image."""
        found = decode(path, self.options)
        if not self.options.flip:
            return found
        mirrored = found.samples[..., ::-1]  # (P, C, S, S)
        return found._replace(samples=np.concatenate([found.samples, mirrored]))
