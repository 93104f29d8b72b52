import numpy as np
import pytest
import torch

from aigc_audio.datasets.tones import NOTE_NAMES, SAMPLE_RATE_HZ, Tones
from aigc_audio.options import TonesOptions
from aigc_core import DataError
from aigc_core.errors import ConfigError


def load(folders, split="train", **options):
    tones = Tones(TonesOptions(**options), folders)
    tones.prepare()
    return tones.load(split)


def test_tones_need_no_folder_at_all(no_root):
    store = load(no_root)
    assert store.arrays["samples"].shape == (1200, 1, 4096)
    assert store.arrays["samples"].dtype == torch.int16
    assert store.arrays["labels"].dtype == torch.int64
    assert store.spec.units == {"sample_rate_hz": 8000, "duration_s": 0.512}
    assert not no_root.cache.exists()


def test_each_note_has_the_pitch_of_its_name(no_root):
    store = load(no_root, samples=8192, count=120)
    spectra = np.abs(np.fft.rfft(store.arrays["samples"][:, 0].numpy() * np.hanning(8192)))
    found_hz = spectra.argmax(axis=1) * SAMPLE_RATE_HZ / 8192
    labels = store.arrays["labels"].numpy()
    cents = 1200 * np.log2(found_hz / (440 * 2 ** ((labels - 9) / 12)))
    assert np.abs(cents).max() < 25  # 20 of detuning; a bin is about 6 wide
    assert np.ptp(cents) > 20
    assert store.label_names[9] == "A4"
    assert store.label_names == NOTE_NAMES


def test_every_pitch_occurs_as_often(no_root):
    assert load(no_root).arrays["labels"].bincount().tolist() == [100] * 12
    assert load(no_root, "test").arrays["labels"].bincount().tolist() == [20] * 12


def test_no_two_notes_are_the_same_in_either_split(no_root):
    samples = torch.cat([load(no_root, s).arrays["samples"][:, 0] for s in ("train", "test")])
    assert len({note.numpy().tobytes() for note in samples}) == 1440


def test_a_note_does_not_depend_on_how_many_there_are(no_root):
    many, few = (load(no_root, count=count).arrays["samples"] for count in (150, 70))
    assert torch.equal(many[:70], few)


def test_levels_differ_and_nothing_clips_or_clicks(no_root):
    samples = load(no_root).arrays["samples"][:, 0].int()
    peaks = samples.abs().amax(dim=1) / 32768
    assert 0.39 < peaks.min() < 0.45
    assert 0.85 < peaks.max() < 0.91
    assert (samples[:, 0] == 0).all()  # the attack begins at silence,
    assert (samples[:, -1] == 0).all()  # and the release ends there


def test_some_notes_ring_and_others_are_short(no_root):
    samples = load(no_root).arrays["samples"][:, 0].float()
    late = samples[:, 3000:3500].square().mean(dim=1).sqrt()
    early = samples[:, 500:1000].square().mean(dim=1).sqrt()
    assert (late / early).max() > 0.4
    assert (late / early).min() < 0.1


@pytest.mark.parametrize("options", [{"samples": 255}, {"count": 11}, {"count": 100_001}])
def test_options_out_of_range_are_rejected(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        TonesOptions(**options)


def test_an_unknown_split_is_an_error_that_names_the_nearest(no_root):
    with pytest.raises(DataError, match="Did you mean 'test'"):
        load(no_root, "tests")
