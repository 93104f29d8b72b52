"""Waveforms to log-mel spectrograms, which networks see, and back."""

import warnings

import torch
from torch import Tensor, nn
from torchaudio.functional import griffinlim, melscale_fbanks

from aigc_core import Representation

FLOOR_DB = -70.0
"""Lowest level of a mel band, in decibels relative to a full-scale sine."""
TOP_DB = 10.0
"""Highest level, above 0 since a band sums several neighbours of a loud sine."""
_GRIFFIN_LIM_STEPS = 60


class LogMel(Representation):
    """Waveforms ``(B, 1, L)`` in [-1, 1] to log-mel spectrograms ``(B, 1, M, T)`` in [-1, 1].

    M mel bands (O'Shaughnessy's scale, triangular filters) by T = L / hop frames; levels from
    ``FLOOR_DB`` to ``TOP_DB`` become -1 to 1. Computed in float32, even under autocast.
    """

    def __init__(self, sample_rate_hz: int, length: int, bands: int, frames: int) -> None:
        """Use windows of four hops.

        Args:
            sample_rate_hz: of the waveforms.
            length: L, a multiple of ``frames``.
            bands: M.
            frames: T.
        """
        super().__init__()
        self.length = length
        self.shape = (1, bands, frames)
        self.hop = length // frames
        self.size = 4 * self.hop
        with warnings.catch_warnings():  # a band between two frequencies stays silent
            warnings.simplefilter("ignore")
            filters = melscale_fbanks(
                self.size // 2 + 1, 0.0, sample_rate_hz / 2, bands, sample_rate_hz
            )  # (F, M)
        self.filters: Tensor
        self.inverse: Tensor
        self.window: Tensor
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("inverse", torch.linalg.pinv(filters), persistent=False)  # (M, F)
        self.register_buffer("window", torch.hann_window(self.size), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        with torch.autocast(waveforms.device.type, enabled=False):
            spectrum = torch.stft(
                waveforms.squeeze(1).float(),  # (B, 1, L) -> (B, L)
                self.size,
                self.hop,
                window=self.window,
                pad_mode="constant",
                return_complex=True,
            )[..., :-1]  # (B, F, T + 1) -> (B, F, T): the last is centred on the clip's end
            magnitudes = spectrum.abs().mul(2 / self.window.sum())  # a full-scale sine has 1
            bands = torch.einsum("bft,fm->bmt", magnitudes, self.filters)
            levels = 20 * bands.clamp(min=1e-6).log10()
            scaled = (levels - FLOOR_DB) * (2 / (TOP_DB - FLOOR_DB)) - 1
            return scaled.clamp(-1, 1).unsqueeze(1)

    def restore(self, spectrograms: Tensor) -> Tensor:
        """Estimate waveforms ``(B, 1, L)`` from spectrograms ``(B, 1, M, T)``.

        Magnitudes come from the filters' pseudo-inverse, phases from Griffin & Lim 1984 in the
        fast form of Perraudin et al. 2013.
        """
        with torch.autocast(spectrograms.device.type, enabled=False):
            scaled = spectrograms.squeeze(1).float().clamp(-1, 1)  # (B, M, T)
            levels = (scaled + 1) * ((TOP_DB - FLOOR_DB) / 2) + FLOOR_DB
            bands = torch.where(scaled > -1, torch.pow(10.0, levels / 20), 0.0)
            magnitudes = torch.einsum("bmt,mf->bft", bands, self.inverse).clamp(min=0)
            magnitudes = nn.functional.pad(magnitudes * (self.window.sum() / 2), (0, 1))
            waveforms: Tensor = griffinlim(
                magnitudes,
                self.window,
                n_fft=self.size,
                hop_length=self.hop,
                win_length=self.size,
                power=1.0,
                n_iter=_GRIFFIN_LIM_STEPS,
                momentum=0.99,
                length=self.length,
                rand_init=False,
            )
            return waveforms.clamp(-1, 1).unsqueeze(1)
