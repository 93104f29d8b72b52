"""Where the axes of a clip are swapped: frames come first as stored, channels first in networks."""

from collections.abc import Sequence

from torch import Tensor

from aigc_core import Representation


class ChannelsFirst(Representation):
    """Clips ``(B, T, C, H, W)`` to ``(B, C, T, H, W)``, as 3-D convolutions take them, and back.

    Stored clips and the model's form are sequences of frames; this is the only place that knows
    both orders.
    """

    def __init__(self, sample_shape: Sequence[int]) -> None:
        """Take ``(T, C, H, W)``."""
        super().__init__()
        frames, channels, height, width = sample_shape
        self.shape = (channels, frames, height, width)

    def forward(self, samples: Tensor) -> Tensor:
        return samples.transpose(1, 2)

    def restore(self, represented: Tensor) -> Tensor:
        """Return clips in [-1, 1]; a flow may end a little beyond."""
        return represented.transpose(1, 2).clamp(-1, 1)
