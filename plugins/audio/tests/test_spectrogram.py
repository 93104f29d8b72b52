"""Waveforms as pictures and as levels, and back."""

import math

import pytest
import torch

from aigc_audio import mulaw
from aigc_audio.datasets._clips import clip_spec
from aigc_audio.modality import AudioModality
from aigc_audio.spectrogram import FLOOR_DB, TOP_DB, LogMel

RATE = 8000


def sine(frequency_hz: float, length: int = 4096, level: float = 1.0) -> torch.Tensor:
    """(1, 1, L)"""
    time = torch.arange(length) / RATE
    return level * torch.sin(2 * math.pi * frequency_hz * time).view(1, 1, -1)


@pytest.fixture(scope="module")
def mel() -> LogMel:
    return LogMel(RATE, 4096, 64, 64)


def test_the_loudest_band_is_where_the_sine_is(mel: LogMel) -> None:
    centres = (mel.filters * torch.linspace(0, RATE / 2, len(mel.filters))[:, None]).sum(0)
    centres = centres / mel.filters.sum(0).clamp(min=1e-9)  # (M,), in Hz
    for frequency in (500.0, 1000.0, 2500.0):
        picture = mel(sine(frequency))
        assert picture.shape == (1, 1, 64, 64)
        loudest = picture[0, 0, :, 8:-8].mean(1).argmax()
        assert centres[loudest].item() == pytest.approx(frequency, rel=0.1)


def test_ten_decibels_less_are_ten_decibels_less(mel: LogMel) -> None:
    loud, quiet = (mel(sine(1000.0, level=level)).max() for level in (1.0, 10**-0.5))
    assert (loud - quiet).item() * (TOP_DB - FLOOR_DB) / 2 == pytest.approx(10, abs=0.01)
    full = loud.item() * (TOP_DB - FLOOR_DB) / 2 + (TOP_DB + FLOOR_DB) / 2
    assert full == pytest.approx(0, abs=3)  # a sine of full scale has 0 dB


def test_silence_is_the_floor_and_comes_back_as_silence(mel: LogMel) -> None:
    picture = mel(torch.zeros(2, 1, 4096))
    assert (picture == -1).all()
    assert (mel.restore(picture) == 0).all()


def test_a_sound_comes_back_with_its_spectrum(mel: LogMel) -> None:
    rng = torch.Generator().manual_seed(0)
    chirp = sine(700.0) * 0.5 + sine(1900.0) * 0.2
    chirp = chirp + 0.01 * torch.randn(chirp.shape, generator=rng)
    picture = mel(chirp)
    again = mel.restore(picture)
    assert again.shape == chirp.shape
    assert again.abs().max() <= 1
    decibels = (mel(again) - picture).abs().mean() * (TOP_DB - FLOOR_DB) / 2
    assert decibels < 3
    assert torch.equal(mel.restore(picture), again)  # nothing random in it


def test_spectrograms_keep_float32_under_autocast(mel: LogMel) -> None:
    sound = sine(1000.0)
    with torch.autocast("cpu", torch.bfloat16):
        under = mel(sound)
    assert under.dtype == torch.float32
    assert torch.equal(under, mel(sound))


@pytest.mark.parametrize("levels", [16, 256, 1024])
def test_mu_law_levels_come_back_as_themselves(levels: int) -> None:
    tokens = torch.arange(levels)
    waveform = mulaw.decode(tokens, levels)
    assert torch.equal(mulaw.encode(waveform, levels), tokens)
    assert waveform[0] == -1
    assert waveform[-1] == 1
    assert (waveform.diff() > 0).all()


def test_mu_law_of_silence_is_silence() -> None:
    zero = mulaw.encode(torch.zeros(3), 256)
    assert (zero == 128).all()
    assert (mulaw.decode(zero, 256) == 0).all()


def test_mu_law_is_the_published_curve() -> None:
    """At a tenth of full scale mu-law gives ln(1 + 25.5) / ln(256) of the range."""
    share = math.log1p(25.5) / math.log(256)
    assert mulaw.encode(torch.tensor([0.1]), 256).item() == round((share + 1) / 2 * 255)


@pytest.mark.parametrize(
    ("channels", "samples", "size"),
    [
        (1, 16_384, 128),
        (1, 8192, 64),
        (1, 4096, 64),
        (1, 1024, 32),
        (1, 1000, None),
        (2, 8192, None),
    ],
)
def test_a_clip_is_offered_as_a_spectrogram_where_it_can_be_one(channels, samples, size) -> None:
    form = AudioModality(clip_spec(channels, samples, 8000)).representation()
    assert (form and form.shape) == (size and (1, size, size))
    if form is not None:
        clips = torch.rand(2, 1, samples) - 0.5
        assert form(clips).shape == (2, *form.shape)
        assert form.restore(form(clips)).shape == clips.shape
