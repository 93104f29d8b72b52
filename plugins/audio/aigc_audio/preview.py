"""Many clips at a glance: their mel spectrograms on one sheet, their sound joined into one."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

GAP_S = 0.2
"""Silence between two joined clips."""
TILE_WIDTH, TILE_HEIGHT = 192, 128
"""Pixels of one spectrogram."""
CAPTION_HEIGHT = 14
"""Height in pixels of the line above each spectrogram and of the line at the foot of the sheet."""
PADDING = 4
FLOOR_DB = -80.0
"""Level shown as black; 0 dB, the brightest, is the power of a sine at full scale."""

_WINDOW_S = 0.032  # resolves a voice's harmonics, and still its onsets
_MELS = 64
_LINEAR_BELOW_HZ = 1000
_MIN_FFT = 512  # no mel filter falls between two frequencies, at any sample rate
_BACKGROUND, _INK = (24, 24, 28), (200, 200, 205)
_MAGMA = np.array(
    [
        (0, 0, 4), (28, 16, 68), (79, 18, 123), (129, 37, 129), (181, 54, 122),
        (229, 80, 100), (251, 135, 97), (254, 194, 135), (252, 253, 191),
    ]
)  # fmt: skip
"""Nine evenly spaced colours, dark to bright, also when printed in grey."""


def clips_in_a_row(clips: Tensor, sample_rate_hz: int) -> Tensor:
    """Join int16 ``(N, C, L)`` to ``(C, N * L + (N - 1) * gap)``, ``GAP_S`` of silence between."""
    gap = round(GAP_S * sample_rate_hz)
    spaced = torch.nn.functional.pad(clips, (0, gap))  # (N, C, L + gap)
    row = spaced.transpose(0, 1).flatten(1)  # -> (C, N * (L + gap))
    return row[:, : row.shape[1] - gap]


def spectrogram_sheet(clips: Tensor, sample_rate_hz: int) -> Image.Image:
    """Draw int16 ``(N, C, L)`` as a roughly square grid, in reading order.

    Above each spectrogram are the clip's number, from 0, and where it begins in
    ``clips_in_a_row``.
    """
    spectrogram = _mel_spectrogram(sample_rate_hz)
    columns = math.ceil(math.sqrt(len(clips)))
    rows = math.ceil(len(clips) / columns)
    cell_width, cell_height = TILE_WIDTH + PADDING, CAPTION_HEIGHT + TILE_HEIGHT + PADDING
    size = (columns * cell_width + PADDING, rows * cell_height + CAPTION_HEIGHT + PADDING)
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    duration_s = clips.shape[-1] / sample_rate_hz
    period_s = (clips.shape[-1] + round(GAP_S * sample_rate_hz)) / sample_rate_hz
    for number, clip in enumerate(clips):  # one by one: a few long clips would fill the memory
        left = PADDING + number % columns * cell_width
        top = number // columns * cell_height
        draw.text((left, top + 1), f"{number}   at {number * period_s:.1f} s", _INK, font)
        tile = _tile(spectrogram, clip)
        sheet.paste(tile, (left, top + CAPTION_HEIGHT))
    scale = f"{duration_s:.3g} s   0-{sample_rate_hz / 2000:g} kHz (mel)   {FLOOR_DB:g}-0 dB"
    draw.text((PADDING, size[1] - CAPTION_HEIGHT), scale, _INK, font)
    return sheet


def _mel_spectrogram(sample_rate_hz: int) -> MelSpectrogram:
    """Return the transform of float ``(C, L)`` to power in mel bands, ``(C, mels, frames)``."""
    rate_hz = max(_LINEAR_BELOW_HZ, sample_rate_hz)  # at lower rates the mel scale loses precision
    window = 2 ** round(math.log2(_WINDOW_S * rate_hz))
    return MelSpectrogram(
        rate_hz,
        n_fft=max(_MIN_FFT, 4 * window),
        win_length=window,
        hop_length=window // 4,
        f_max=rate_hz / 2,
        n_mels=_MELS,
        pad_mode="constant",  # a clip may be shorter than a window
    )


def _tile(spectrogram: MelSpectrogram, clip: Tensor) -> Image.Image:
    """Draw one clip, int16 ``(C, L)``: time to the right, pitch upwards, the channels' mean."""
    power = spectrogram(clip / 32768).mean(dim=0)  # (C, L) -> (mels, frames)
    # Total power of a full-scale sine, by Parseval's theorem; one band may miss some of it.
    of_full_scale = spectrogram.n_fft * spectrogram.spectrogram.window.square().sum() / 4
    decibels = 10 * (power / of_full_scale).clamp(min=1e-12).log10()
    shades = (1 - decibels / FLOOR_DB).clamp(0, 1).flip(0)  # low notes at the bottom
    picture = Image.fromarray(shades.numpy()).resize(
        (TILE_WIDTH, TILE_HEIGHT), Image.Resampling.BILINEAR
    )
    return Image.fromarray(_coloured(np.asarray(picture)))


def _coloured(shades: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Map ``(H, W)`` in [0, 1] to colours ``(H, W, 3)``."""
    stops = np.linspace(0, 1, len(_MAGMA))
    channels = [np.interp(shades, stops, _MAGMA[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)
