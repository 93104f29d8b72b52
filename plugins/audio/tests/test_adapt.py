"""Recordings of a user's own, made to fit what a run was trained on."""

import logging

import numpy as np
import pytest
import soundfile
import torch

from aigc_audio.datasets._clips import PEAK, clip_spec
from aigc_audio.modality import AudioModality
from aigc_core import DataError

RATE = 8000


def tone(hz: float, rate: int, seconds: float, level: float = 0.1) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)


def pitch(clip: torch.Tensor, rate: int = RATE) -> float:
    spectrum = torch.fft.rfft(clip.double()).abs()
    return float(spectrum.argmax()) * rate / clip.shape[-1]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_a_recording_of_another_rate_and_length_fits(tmp_path, caplog, suffix: str) -> None:
    path = tmp_path / f"call.{suffix}"
    both = np.stack([tone(440, 44_100, 2.0)] * 2, axis=1)
    soundfile.write(path, both, 44_100)
    with caplog.at_level(logging.INFO, "aigc"):
        clip = AudioModality(clip_spec(1, 8000, RATE)).adapt(path)
    assert (clip.shape, clip.dtype) == ((1, 8000), torch.int16)
    assert pitch(clip[0]) == pytest.approx(440, abs=2)
    assert int(clip.abs().max()) == pytest.approx(0.1 * 32768, rel=0.05)  # as loud as it was
    assert caplog.messages == [
        f"call.{suffix} (2 s, 2 channels at 44,100 Hz) became 1 s, 1 channel at 8,000 Hz: it was "
        "cut to its beginning."
    ]


def test_a_short_one_is_filled_with_silence_and_as_loud_as_the_data(tmp_path, caplog) -> None:
    soundfile.write(tmp_path / "a.wav", tone(500, RATE, 0.5, level=0.01), RATE, subtype="FLOAT")
    with caplog.at_level(logging.INFO, "aigc"):
        clip = AudioModality(clip_spec(2, 8000, RATE, "peak")).adapt(tmp_path / "a.wav")
    assert torch.equal(clip[0], clip[1])
    assert int(clip.abs().max()) == pytest.approx(PEAK * 32768, rel=0.001)
    assert not clip[:, 4000:].any()
    assert (
        "it was filled up with silence if it was too short, and scaled as the data was"
        in caplog.text
    )


def test_a_file_that_fits_is_the_same_clip(tmp_path, caplog) -> None:
    rng = np.random.default_rng(0)
    stored = rng.integers(-30_000, 30_000, 8000).astype(np.int16)
    soundfile.write(tmp_path / "a.wav", stored, RATE)
    with caplog.at_level(logging.INFO, "aigc"):
        clip = AudioModality(clip_spec(1, 8000, RATE)).adapt(tmp_path / "a.wav")
    assert np.array_equal(clip[0].numpy(), stored)
    assert not caplog.messages


def test_silence_is_said(tmp_path, caplog) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(800), RATE)
    AudioModality(clip_spec(1, 800, RATE, "peak")).adapt(tmp_path / "a.wav")
    assert "1 of 1 files are silent: a.wav." in caplog.text


@pytest.mark.parametrize(
    ("content", "reported"),
    [(None, "There is no file"), (b"", "empty"), (b"x" * 200, "cannot be read as sound")],
)
def test_what_is_no_recording_is_refused(tmp_path, content, reported: str) -> None:
    path = tmp_path / "a.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=reported):
        AudioModality(clip_spec(1, 800, RATE)).adapt(path)


def test_a_beginning_is_as_long_as_it_is_and_of_a_long_one_the_end_counts(tmp_path, caplog) -> None:
    modality = AudioModality(clip_spec(1, 8000, RATE))
    soundfile.write(tmp_path / "short.wav", tone(500, RATE, 0.25), RATE)
    assert modality.adapt_beginning(tmp_path / "short.wav").shape == (1, 2000)
    assert not caplog.messages
    long = np.concatenate([tone(300, RATE, 1.5), tone(700, RATE, 1.0)])
    soundfile.write(tmp_path / "long.wav", long, RATE)
    with caplog.at_level(logging.INFO, "aigc"):
        clip = modality.adapt_beginning(tmp_path / "long.wav")
    assert clip.shape == (1, 8000)
    assert pitch(clip[0]) == pytest.approx(700, abs=2)
    assert "became 1 s, 1 channel at 8,000 Hz: it was cut to its end." in caplog.text


def test_a_name_that_no_file_can_have_is_no_file(tmp_path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        AudioModality(clip_spec(1, 8000, RATE)).adapt(tmp_path / ("x" * 300 + ".wav"))
