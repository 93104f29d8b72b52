"""The form in which recipes of any modality see clouds."""

from torch import Tensor

from aigc_core import Representation


class Coordinates(Representation):
    """Clouds ``(B, N, 3)`` as three channels of N places, whose order means nothing."""

    ordered = False

    def __init__(self, points: int) -> None:
        super().__init__()
        self.shape = (3, points)

    def forward(self, samples: Tensor) -> Tensor:
        return samples.float().transpose(1, 2)  # (B, N, 3) -> (B, 3, N)

    def restore(self, represented: Tensor) -> Tensor:
        return represented.transpose(1, 2).clamp(-1, 1)
