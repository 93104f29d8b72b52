"""Synthesised notes: labelled sound that needs neither network nor files."""

import numpy as np
import torch
from numpy.typing import NDArray

from aigc_audio.datasets._clips import FULL_SCALE, Int16, clip_spec
from aigc_audio.options import TonesOptions
from aigc_core import Dataset, SampleStore
from aigc_core.datasets import check_split

SAMPLE_RATE_HZ = 8000
NOTE_NAMES = ("C4", "C#4", "D4", "D#4", "E4", "F4", "F#4", "G4", "G#4", "A4", "A#4", "B4")
_C4_HZ = 440 * 2 ** (-9 / 12)  # A4 is 440 Hz, in equal temperament
_DETUNE_CENTS = 20.0
_RELEASE_S = 0.01  # fade-out: a note that is cut off would click
_HARMONICS = 6  # the highest of B4, a little sharp, is at 3 kHz: below half the sample rate
_SEEDS = {"train": 1, "test": 2}
_TEST_SHARE = 5
_CHUNK = 64  # notes at a time: their floats stay in the processor's cache


class Tones(Dataset):
    """Plucked and struck notes of the octave above middle C, each a little different.

    Detuning, harmonics, attack, decay and level are random, with a fixed seed for each split.
    Labels cycle through the twelve pitch classes.
    """

    options: TonesOptions

    def prepare(self) -> None:
        """Do nothing: the notes are computed."""

    def load(self, split: str) -> SampleStore:
        """Return ``samples`` int16 ``(N, 1, samples)`` and ``labels`` int64 ``(N,)``."""
        check_split("tones", split, _SEEDS)
        count = self.options.count if split == "train" else -(-self.options.count // _TEST_SHARE)
        samples = self.options.samples
        labels = np.arange(count) % len(NOTE_NAMES)
        # One row of numbers for each note, so that a note does not depend on their count.
        chances = np.random.default_rng(_SEEDS[split]).random((count, 4 + 2 * _HARMONICS))
        notes = np.empty((count, 1, samples), np.int16)
        for start in range(0, count, _CHUNK):
            part = slice(start, start + _CHUNK)
            notes[part, 0] = _synthesize(labels[part], chances[part], samples)
        return SampleStore(
            arrays={
                "samples": torch.from_numpy(notes),
                "labels": torch.from_numpy(labels.astype(np.int64)),
            },
            spec=clip_spec(1, samples, SAMPLE_RATE_HZ),
            label_names=NOTE_NAMES,
        )


def _synthesize(labels: NDArray[np.int64], chances: NDArray[np.float64], samples: int) -> Int16:
    """Return notes int16 ``(B, samples)``; ``chances`` ``(B, 4 + 2 * harmonics)`` are in [0, 1)."""
    time_s = np.arange(samples) / SAMPLE_RATE_HZ  # (L,)
    detune, attack, decay, level = chances[:, :4].T[..., None]  # each (B, 1)
    strengths, phases = np.split(chances[:, 4:], 2, axis=1)  # each (B, harmonics)
    cents = _DETUNE_CENTS * (2 * detune - 1)
    pitch_hz = _C4_HZ * 2 ** (labels[:, None] / 12 + cents / 1200)  # (B, 1)
    turn = np.exp(2j * np.pi * pitch_hz * time_s)  # (B, L): the fundamental, as a rotation
    # The k-th harmonic is its k-th power, so that the sum is a polynomial: Horner's scheme.
    weights = strengths / np.arange(1, _HARMONICS + 1) ** 1.5 * np.exp(2j * np.pi * phases)
    weights[:, 0] = np.exp(2j * np.pi * phases[:, 0])  # the fundamental is always the strongest
    wave = np.zeros_like(turn)
    for harmonic in reversed(range(_HARMONICS)):
        wave = (wave + weights[:, harmonic, None]) * turn
    attack_s = 0.005 + 0.035 * attack
    decay_s = 0.08 * 8**decay  # 0.08 to 0.64
    sound = wave.real * np.minimum(time_s / attack_s, 1) * np.exp(-time_s / decay_s)
    sound *= np.minimum((time_s[-1] - time_s) / _RELEASE_S, 1)
    peak = np.abs(sound).max(axis=1, keepdims=True)
    notes: Int16 = np.rint(sound / peak * (0.4 + 0.5 * level) * FULL_SCALE).astype(np.int16)
    return notes
