"""The guard: an update whose loss or gradients are not finite leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Guard:
    """Decides on the device whether an update may happen, and counts those that did not.

    The optimiser skips the update by itself (``found_inf``). What a forward pass changes beside
    the weights, such as the running statistics of batch normalisation, is put back here: a single
    non-finite batch would otherwise spoil them for good.
    """

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        self.counts = torch.zeros(2, device=device)
        """(2,) float32: updates skipped in a row until now, and in all."""
        self._buffers = [
            buffer
            for network in networks
            for buffer in network.buffers()
            if buffer.is_floating_point()
        ]
        self._saved = [torch.empty_like(buffer) for buffer in self._buffers]

    @torch.no_grad()
    def remember_buffers(self) -> None:
        """Keep a copy of the networks' floating-point buffers, before a phase's forward passes."""
        if self._buffers:
            torch._foreach_copy_(self._saved, self._buffers)

    @torch.no_grad()
    def check(self, values: Sequence[Tensor]) -> Tensor:
        """Return () float32: 1 if any of the scalar ``values`` is not finite, else 0.

        In the first case the buffers become what they were when last remembered.
        """
        finite = torch.isfinite(torch.stack(list(values))).all()
        for buffer, saved in zip(self._buffers, self._saved, strict=True):
            # .data has a version counter of its own: to autograd the buffer is untouched, since a
            # later phase may still back-propagate through the pass that used it.
            torch.where(finite, buffer, saved, out=buffer.data)
        skipped = torch.logical_not(finite).float()
        self.counts += skipped
        self.counts[0] *= skipped
        return skipped
