"""Recipes with discriminators that are wrong or unusual, as the functions that build them."""

from typing import Any

import torch
from dots.networks import DotDiscriminator
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from broken_dots.networks import build_with


class _Squashed(DotDiscriminator):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(samples).sigmoid()


class _Normalised(DotDiscriminator):
    """Nothing wrong: its weights are computed from others."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.layers[3] = spectral_norm(self.layers[3])


class _Pairs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.1, 0.2]))

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        return samples @ self.weight, samples


class _GivesPairs(DotDiscriminator):
    """Nothing wrong: its last layer gives a tuple, and its logits happen to be small."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.layers = _Pairs()

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(samples)[0]  # (B, 2) -> (B,)


class _Recurrent(DotDiscriminator):
    """What a GRU gives is a tuple, and within [-1, 1]."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.layers = nn.GRU(2, 1)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(samples[None])[0].flatten()  # (1, B, 2) -> (1, B, 1) -> (B,)


class _OwnWeights(DotDiscriminator):
    """Nothing wrong: it has its weights itself, and no layer."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        del self.layers
        self.first = nn.Parameter(torch.randn(width, 2))
        self.second = nn.Parameter(torch.randn(1, width) / width)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        hidden = functional.leaky_relu(functional.linear(samples, self.first), 0.2)
        return functional.linear(hidden, self.second).flatten()


class _OwnWeightsSquashed(_OwnWeights):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(samples).sigmoid()


class _BeginsAtZero(DotDiscriminator):
    """Nothing wrong, and nothing to be seen: what scales its logits is zero and not trained."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_buffer("scale", torch.zeros(()))

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(samples) * self.scale


class _NormalisedAndSquashed(_Normalised):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(samples).tanh()


class _Squeezed(DotDiscriminator):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.layers(samples).squeeze()


class _Unconnected(DotDiscriminator):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.unused = nn.Parameter(torch.ones(3))


class _HidesAParameter(DotDiscriminator):
    """Leaves out a scale that is never trained."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.scale = nn.Parameter(torch.ones(()), requires_grad=False)

    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.scale * super().forward(samples)

    def state_dict(self, *arguments: Any, **how: Any) -> dict[str, Tensor]:
        state = super().state_dict(*arguments, **how)
        return {name: tensor for name, tensor in state.items() if "scale" not in name}


class _BreaksInBf16(DotDiscriminator):
    def forward(self, samples: Tensor, condition: Tensor | None = None) -> Tensor:
        logits = super().forward(samples)
        return logits / 0 if logits.dtype == torch.bfloat16 else logits


recurrent = build_with(discriminator=_Recurrent)
gives_pairs = build_with(discriminator=_GivesPairs)
own_weights = build_with(discriminator=_OwnWeights)
own_weights_squashed = build_with(discriminator=_OwnWeightsSquashed)
begins_at_zero = build_with(discriminator=_BeginsAtZero)
normalised = build_with(discriminator=_Normalised)
normalised_and_squashed = build_with(discriminator=_NormalisedAndSquashed)
squashed = build_with(discriminator=_Squashed)
squeezed = build_with(discriminator=_Squeezed)
unconnected = build_with(discriminator=_Unconnected)
hides_a_parameter = build_with(discriminator=_HidesAParameter)
breaks_in_bf16 = build_with(discriminator=_BreaksInBf16)
