"""What a cloud of points is, and where some come from."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor
from torch.nn.functional import normalize

from aigc_core import Dataset, Modality, SampleSpec, SampleStore

PLY = "ply\nformat ascii 1.0\nelement vertex {}\n{}end_header"
AXES = "property float x\nproperty float y\nproperty float z\n"
VIEW = np.array([[0.26, 0.88, 0.4], [-0.48, 0.48, -0.73], [-0.84, 0.0, 0.55]])  # down, right, near
TILE = 160  # pixels per cloud in a preview


class Points(Modality):
    """Stored as int16 ``(N, 3)``, ±32767 for ±1; seen by networks as float32 in [-1, 1]."""

    formats = ("ply",)

    def to_model(self, stored: Tensor) -> Tensor:
        return stored.mul(1 / 32767)

    def to_stored(self, samples: Tensor) -> Tensor:
        return samples.float().mul(32767).round().clamp(-32767, 32767).to(torch.int16)

    def save(self, stored: Tensor, folder: Path, *, format: str, start: int = 0) -> list[Path]:
        paths = [folder / f"{start + i:06d}.ply" for i in range(len(stored))]
        for path, cloud in zip(paths, self.to_model(stored).numpy(), strict=True):
            np.savetxt(path, cloud, "%.5f", header=PLY.format(len(cloud), AXES), comments="")
        return paths

    def read(self, path: Path) -> Tensor:
        return self.to_stored(torch.from_numpy(np.loadtxt(path, skiprows=7)))

    def preview(self, stored: Tensor, path: Path) -> Path:
        tile = np.stack(np.divmod(np.arange(len(stored)), 8))[..., None]  # (2, B, 1): row, column
        seen = np.moveaxis(self.to_model(stored).numpy() @ VIEW, 2, 0).clip(-1, 1)  # (3, B, N)
        pixels = (TILE * (tile + 0.5 + 0.45 * seen[:2])).astype(int)  # (2, B, N)
        sheet = np.zeros((TILE * (tile[0].max() + 1), TILE * 8), np.uint8)
        np.maximum.at(sheet, tuple(pixels), (130 + 120 * seen[2]).astype(np.uint8))  # near: bright
        Image.fromarray(sheet).filter(ImageFilter.MaxFilter(11)).save(f"{path}.png")
        return Path(f"{path}.png")


class Shapes(Dataset):
    """1,000 spheres, tori, cones and boxes each, turned, stretched and sheared a little."""

    def prepare(self) -> None: ...  # nothing to download

    def load(self, split: str) -> SampleStore:
        rng = torch.Generator().manual_seed(0)
        sphere = normalize(torch.randn(1000, 512, 3, generator=rng), dim=2)
        box = 0.9 * normalize(torch.rand(1000, 512, 3, generator=rng) - 0.5, p=torch.inf, dim=2)
        ring, tube = normalize(torch.randn(2, 1000, 512, 2, generator=rng), dim=3)  # on circles
        torus = torch.cat([ring * (0.7 + 0.3 * tube[..., :1]), 0.3 * tube[..., 1:]], 2)
        cone = torch.cat([ring * tube[..., :1].abs(), 1 - 2 * tube[..., :1].abs()], 2)
        turn = 0.6 * torch.eye(3) + 0.07 * torch.randn(4000, 3, 3, generator=rng)
        clouds = torch.cat([sphere, torus, cone, box]) @ turn  # (4000, 512, 3)
        samples, labels = clouds.mul(32767).to(torch.int16), torch.arange(4000) // 1000
        spec, names = SampleSpec(shape=(512, 3), dtype="int16"), ("sphere", "torus", "cone", "box")
        return SampleStore({"samples": samples, "labels": labels}, spec, label_names=names)
