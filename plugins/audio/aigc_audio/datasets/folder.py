"""Any folder of recordings, or one file, decoded once and cached."""

from pathlib import Path

from aigc_audio.datasets._clips import clip_spec
from aigc_audio.datasets._decode import HINTS, REMARKS, SUFFIXES, decode
from aigc_audio.options import AudioFolderOptions
from aigc_core import SampleSpec
from aigc_core.datasets import DecodedFile, FolderDataset


class AudioFolder(FolderDataset):
    """The recordings below ``--data-root``; if every file is in a sub-folder, these are classes."""

    options: AudioFolderOptions
    name = "audio-folder"
    kind = ("recording", "recordings")
    suffixes = SUFFIXES
    hints = HINTS
    remarks = REMARKS
    format = 3
    single_file = True

    @property
    def spec(self) -> SampleSpec:
        """Clips int16 ``(C, samples)``."""
        options = self.options
        return clip_spec(
            options.channels, options.samples, options.sample_rate_hz, options.normalize
        )

    def decode(self, path: Path) -> DecodedFile:
        return decode(path, self.options)
