"""Mu-law companding: waveforms as a few levels, finer at low amplitudes."""

import math

import torch
from torch import Tensor


def encode(waveforms: Tensor, levels: int) -> Tensor:
    """Map waveforms in [-1, 1], any shape, to int64 levels in [0, levels).

    ITU-T G.711's continuous law, as in van den Oord et al. 2016, section 2.2: 0 falls on
    ``levels // 2``.
    """
    mu = levels - 1
    x = waveforms.float().clamp(-1, 1)
    companded = x.sign() * (mu * x.abs()).log1p() / math.log1p(mu)  # [-1, 1]
    return ((companded + 1) / 2 * mu + 0.5).to(torch.int64)


def decode(tokens: Tensor, levels: int) -> Tensor:
    """Map levels to float32 waveforms in [-1, 1]; the level of silence becomes exactly 0."""
    mu = levels - 1
    companded = 2 * tokens.float() / mu - 1
    waveforms = companded.sign() * ((companded.abs() * math.log1p(mu)).expm1() / mu)
    return torch.where(tokens == levels // 2, 0.0, waveforms)
