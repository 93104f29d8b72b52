"""Clouds from a folder of ``.ply`` files."""

from pathlib import Path

import torch
from torch import Tensor

from aigc_core import DataError, Dataset, SampleSpec, SampleStore
from aigc_more.settings import PlyFolderOptions
from aigc_points.clouds import Points


class PlyFolder(Dataset):
    """The ``.ply`` files in ``--data-root``, written as this modality writes them."""

    options: PlyFolderOptions

    def prepare(self) -> None:
        """Say what is needed, before anything else is done."""
        if self.folders.root is None:
            raise DataError(
                "The dataset 'ply-folder' needs your clouds: name their folder with "
                "--data-root FOLDER (or AIGC_DATA_DIR)."
            )

    def load(self, split: str) -> SampleStore:
        assert self.folders.root is not None  # prepare has seen to that
        clouds, modality = read_folder(self.folders.root, self.options.points)
        return SampleStore({"samples": clouds}, modality.spec)


def read_folder(folder: Path, points: int) -> tuple[Tensor, Points]:
    """Return the clouds of this many points in a folder, int16 ``(B, N, 3)``, and modality."""
    modality = Points(SampleSpec(shape=(points, 3), dtype="int16"))
    clouds = [modality.read(path) for path in sorted(folder.glob("*.ply"))]
    fitting = [cloud for cloud in clouds if len(cloud) == points]
    if not fitting:
        raise DataError(f"There is no .ply file of {points} points in {folder}.")
    return torch.stack(fitting), modality
