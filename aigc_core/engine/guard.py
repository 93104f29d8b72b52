"""The guard: an update whose loss or gradients are not finite leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from aigc_core.engine.normalization import SharedBatchNorm


class Guard:
    """Decides on the device whether an update may happen, and counts those that did not.

    The optimiser skips the update by itself (``found_inf``). Whatever else a forward pass changes,
    such as the running statistics of batch normalisation or a codebook's usage, is restored here:
    a single non-finite batch would otherwise spoil it for good.
    """

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        self.counts = torch.zeros(2, device=device)
        """(2,) float32: updates skipped in a row so far, and in total."""
        # Places of buffers, not the tensors: a forward pass may replace a tensor.
        places = {
            (module, name): None
            for network in networks
            for module in network.modules()
            for name in module._buffers
        }
        self._places = list(places)
        self._saved: list[Tensor] = []
        self.watching = False
        """Whether ``remember_buffers`` notes which buffers there are, for ``shares``."""
        self._versions: list[tuple[int, int]] = []

    @torch.no_grad()
    def remember_buffers(self) -> None:
        """Keep a copy of the networks' buffers, before a phase's forward passes."""
        tensors = [buffer for buffer in self._buffers() if buffer is not None]
        if [(t.shape, t.dtype) for t in tensors] != [(t.shape, t.dtype) for t in self._saved]:
            self._saved = [torch.empty_like(tensor) for tensor in tensors]
        if tensors:
            torch._foreach_copy_(self._saved, tensors)
        if self.watching:
            self._versions = [(id(tensor), tensor._version) for tensor in tensors]

    def shares(self, *, first: bool, processes: int) -> list[tuple[Tensor, Tensor]]:
        """Return each buffer that forward passes changed, and this process's share of it.

        The sum of all processes' shares is what the buffer should be everywhere. Running statistics
        of normalisation are averaged. Changes of buffers that a module names in ``summed`` add up.
        Any other is taken from the first process.

        Args:
            first: whether this is the first process.
            processes: how many there are.
        """
        found = []
        there = [(m, name, m._buffers[name]) for m, name in self._places]
        present = [(m, name, buffer) for m, name, buffer in there if buffer is not None]
        for (module, name, buffer), saved, version in zip(
            present, self._saved, self._versions, strict=False
        ):
            if isinstance(module, SharedBatchNorm):
                continue  # alike everywhere by itself
            if isinstance(module, _NormBase):  # its kernels change no version
                if module.training and buffer.is_floating_point():  # the count is alike everywhere
                    found.append((buffer.data, buffer / processes))
            elif version == (id(buffer), buffer._version):
                continue
            elif name in getattr(module, "summed", ()):
                found.append((buffer.data, buffer.clone() if first else buffer - saved))
            else:
                whole = buffer.to(torch.uint8) if buffer.dtype == torch.bool else buffer
                found.append((buffer.data, whole.clone() if first else torch.zeros_like(whole)))
        return found

    @torch.no_grad()
    def check(self, values: Sequence[Tensor]) -> Tensor:
        """Return () float32: 1 if any of the scalar ``values`` is not finite, else 0.

        If it is 1, the buffers are restored to what ``remember_buffers`` last saved.
        """
        none = torch.stack(list(values)).mul(0).sum()  # nan, unless all are finite
        finite = none == 0
        buffers = [buffer for buffer in self._buffers() if buffer is not None]
        for buffer, saved in zip(buffers, self._saved, strict=False):
            if (buffer.shape, buffer.dtype) == (saved.shape, saved.dtype):
                # .data has a version counter of its own: to autograd the buffer is untouched, since
                # a later phase may still back-propagate through the pass that used it.
                torch.where(finite, buffer, saved, out=buffer.data)
        skipped = none.isnan().float()
        self.counts += skipped
        self.counts[0] *= skipped
        return skipped

    def _buffers(self) -> list[Tensor | None]:
        return [module._buffers.get(name) for module, name in self._places]
