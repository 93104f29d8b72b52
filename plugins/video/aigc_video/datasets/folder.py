"""Any folder of videos, cut into clips once and cached."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from aigc_core import Column, SampleSpec
from aigc_core.datasets import DecodedFile, FolderDataset
from aigc_video.datasets._decode import HINTS, REMARKS, SUFFIXES, Wanted, decode
from aigc_video.datasets.moving_digits import first_frame_column
from aigc_video.options import VideoFolderOptions


class VideoFolder(FolderDataset):
    """The videos below ``--data-root``; if every video is in a sub-folder, these are classes.

    The first frame of each clip is the column ``first_frame``.
    """

    options: VideoFolderOptions
    name = "video-folder"
    kind = ("video", "videos")
    suffixes = SUFFIXES
    hints = HINTS
    remarks = REMARKS
    format = 1

    @property
    def spec(self) -> SampleSpec:
        """Clips uint8 ``(frames, C, size, size)``."""
        options = self.options
        return SampleSpec(
            shape=(options.frames, options.channels, options.size, options.size),
            dtype="uint8",
            units={"frame_rate_hz": options.frame_rate_hz},
        )

    def decode(self, path: Path) -> DecodedFile:
        """Read one file; raises ``UnreadableError`` if it is not a usable video."""
        return decode(path, Wanted.of(self.spec), all_clips=self.options.clips == "all")

    def arrange(
        self,
        paths: Sequence[str],
        counts: Sequence[int],
        arrays: dict[str, Tensor],
        label_names: list[str],
    ) -> tuple[dict[str, Tensor], list[str], dict[str, Column], list[str]]:
        """Add the first frames."""
        samples = arrays["samples"]
        arrays = {**arrays, "first_frame": samples[:, 0]}
        return arrays, label_names, {"first_frame": first_frame_column(samples)}, []
