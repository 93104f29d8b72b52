import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from aigc_audio import preview
from aigc_audio.modality import AudioModality
from aigc_core import ConfigError, DataError, SampleSpec

RATE = 8000


def modality(channels: int = 1, samples: int = 800, **units: float) -> AudioModality:
    units = {"sample_rate_hz": RATE} | units
    return AudioModality(SampleSpec(shape=(channels, samples), dtype="int16", units=units))


def noise(count: int, channels: int = 1, samples: int = 800) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    shape = (count, channels, samples)
    return torch.randint(-32768, 32768, shape, generator=rng).to(torch.int16)


def sine(hz: float, samples: int = RATE, amplitude: float = 1.0) -> torch.Tensor:
    """A clip int16 (1, 1, samples)."""
    wave = torch.sin(2 * torch.pi * hz * torch.arange(samples) / RATE)
    return wave.mul(32767 * amplitude).round().to(torch.int16).view(1, 1, -1)


def test_every_value_survives_the_way_to_the_model_and_back():
    stored = torch.arange(-32768, 32768).to(torch.int16).view(1, 1, -1)
    audio = modality(samples=65536)
    seen = audio.to_model(stored)
    assert seen.dtype == torch.float32
    assert (seen.min(), seen.max()) == (-1, 32767 / 32768)
    assert torch.equal(audio.to_stored(seen), stored)


def test_networks_see_the_stored_shape():
    assert modality(2, 300).sample_shape == (2, 300)


def test_to_model_leaves_the_resident_data_alone():
    stored = noise(2)
    before = stored.clone()
    modality().to_model(stored)
    assert torch.equal(stored, before)


def test_values_beyond_full_scale_are_clamped_and_others_rounded():
    wild = torch.tensor([-7.0, 7.0, 1.0, 0.6 / 32768, -0.6 / 32768]).view(1, 1, 5)
    assert modality().to_stored(wild).flatten().tolist() == [-32768, 32767, 32767, 1, -1]


def test_half_precision_samples_are_stored_too():
    coarse = torch.tensor([-1.0, -0.5, 0.25, 1.0]).view(1, 1, 4).bfloat16()
    stored = modality().to_stored(coarse).flatten()
    assert stored.tolist() == [-32768, -16384, 8192, 32767]  # 32767 is 32768 in bfloat16


def test_only_16_bits_are_accepted():
    with pytest.raises(DataError, match="float32"):
        AudioModality(SampleSpec(shape=(1, 800), dtype="float32", units={"sample_rate_hz": 8000}))


@pytest.mark.parametrize("shape", [(800,), (3, 800), (1, 0), (1, 2, 400)])
def test_only_mono_and_stereo_are_accepted(shape):
    with pytest.raises(DataError, match="1 or 2 channels"):
        AudioModality(SampleSpec(shape=shape, dtype="int16", units={"sample_rate_hz": 8000}))


def test_a_missing_sample_rate_is_an_error_that_says_where_it_belongs():
    with pytest.raises(DataError, match=r"sample_rate_hz in the units"):
        AudioModality(SampleSpec(shape=(1, 800), dtype="int16"))


@pytest.mark.parametrize("rate", [0, -8000, 0.5, 8000.5, float("1e30"), 655_351])
def test_a_sample_rate_that_files_cannot_have_is_an_error(rate):
    with pytest.raises(DataError, match=r"sample_rate_hz is .* whole number"):
        modality(sample_rate_hz=rate)


def test_a_duration_must_be_that_of_the_samples():
    assert modality(duration_s=0.1).sample_rate_hz == RATE
    with pytest.raises(DataError, match=r"duration_s=0\.2.*800 samples at 8,000 Hz are 0\.1 s"):
        modality(duration_s=0.2)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("format", ["wav", "flac"])
def test_clips_are_saved_without_loss_one_file_each(tmp_path, format, channels):
    stored = noise(3, channels)
    audio = modality(channels)
    paths = audio.save(stored, tmp_path, format=format, start=41)
    assert [path.name for path in paths] == [f"0000{n}.{format}" for n in (41, 42, 43)]
    for path, clip in zip(paths, stored, strict=True):
        assert torch.equal(audio.read(path), clip)
        facts = soundfile.info(path)
        assert (facts.samplerate, facts.channels, facts.subtype) == (RATE, channels, "PCM_16")
        assert facts.format == format.upper()


def test_generated_clips_may_have_another_length(tmp_path):
    (path,) = modality(samples=800).save(noise(1, samples=5), tmp_path, format="wav")
    assert torch.equal(modality(samples=5).read(path), noise(1, samples=5)[0])


@pytest.mark.parametrize("rate", [1, 11_025, 65_535, 655_350])
def test_every_accepted_rate_can_be_saved_in_every_format(tmp_path, rate):
    audio = modality(sample_rate_hz=rate)
    for format in audio.formats:
        (path,) = audio.save(noise(1), tmp_path, format=format)
        assert torch.equal(audio.read(path), noise(1)[0])


def test_a_rate_that_no_flac_can_have_is_an_error_and_a_wav_can(tmp_path):
    audio = modality(sample_rate_hz=65_537)
    assert audio.save(noise(1), tmp_path, format="wav")
    with pytest.raises(ConfigError, match=r"FLAC cannot have 65,537.*'wav'"):
        audio.save(noise(1), tmp_path, format="flac")


def test_an_unknown_format_is_an_error_that_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'flac'"):
        modality().save(noise(1), tmp_path, format="flacc")


@pytest.mark.parametrize(
    ("write", "reported"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.write_bytes(b""), "as sound"),
        (lambda path: path.write_text("no sound at all"), "as sound: format not recognised"),
        (lambda path: soundfile.write(path, np.zeros(800), 16000), "16,000 samples per second"),
        (lambda path: soundfile.write(path, np.zeros((800, 2)), RATE), r"shape \(2, 800\)"),
        (lambda path: soundfile.write(path, np.zeros(799), RATE), r"shape \(1, 799\)"),
        (lambda path: soundfile.write(path, np.zeros(800), RATE, "FLOAT"), "kind FLOAT"),
        (lambda path: soundfile.write(path, np.zeros(800), RATE, "PCM_24"), "kind PCM_24"),
    ],
)
def test_what_is_no_sample_is_an_error_that_names_the_file(tmp_path, write, reported):
    path = tmp_path / "000000.wav"
    write(path)
    with pytest.raises(DataError, match=rf"000000\.wav .*{reported}"):
        modality().read(path)


def test_a_cut_off_file_is_an_error(tmp_path):
    (path,) = modality().save(noise(1), tmp_path, format="wav")
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"\(1, 799\)"):
        modality().read(path)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_preview_can_be_heard_all_clips_in_a_row_with_silence_between(tmp_path, channels):
    stored = noise(3, channels)
    modality(channels).preview(stored, tmp_path / "step-000500")
    sound, rate = soundfile.read(tmp_path / "step-000500.wav", dtype="int16", always_2d=True)
    gap = round(preview.GAP_S * RATE)
    assert rate == RATE
    assert sound.shape == (3 * 800 + 2 * gap, channels)
    for number in range(3):
        start = number * (800 + gap)
        assert np.array_equal(sound[start : start + 800].T, stored[number].numpy())
        assert not sound[start + 800 : start + 800 + gap].any()


def test_a_preview_is_a_picture_beside_its_sound_and_its_name_keeps_its_dots(tmp_path):
    path = modality().preview(noise(2), tmp_path / "step-000500.seed-1.5")
    assert path == tmp_path / "step-000500.seed-1.5.png"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step-000500.seed-1.5.png",
        "step-000500.seed-1.5.wav",
    ]


def tile(path: Path, number: int, columns: int) -> np.ndarray:
    """The brightness (H, W) of one spectrogram of a sheet."""
    left = preview.PADDING + number % columns * (preview.TILE_WIDTH + preview.PADDING)
    height = preview.CAPTION_HEIGHT + preview.TILE_HEIGHT + preview.PADDING
    top = preview.CAPTION_HEIGHT + number // columns * height
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int).sum(axis=2)
    return pixels[top : top + preview.TILE_HEIGHT, left : left + preview.TILE_WIDTH]


def test_spectrograms_show_pitch_upwards_time_rightwards_and_clips_in_reading_order(tmp_path):
    high, low, silence = sine(3000), sine(300), torch.zeros(1, 1, RATE, dtype=torch.int16)
    late = torch.cat([silence[..., : RATE // 2], high[..., : RATE // 2]], dim=-1)
    audio = modality(samples=RATE)
    path = audio.preview(torch.cat([high, low, late, silence, high]), tmp_path / "x")  # 3 columns
    middle = slice(preview.TILE_WIDTH // 4, -preview.TILE_WIDTH // 4)
    rows = [tile(path, number, 3)[:, middle].mean(axis=1) for number in (0, 1, 4)]
    peaks = [int(row.argmax()) for row in rows]
    assert peaks[0] == peaks[2] < preview.TILE_HEIGHT / 4
    assert peaks[1] > preview.TILE_HEIGHT * 3 / 4
    columns = tile(path, 2, 3).mean(axis=0)
    assert columns[preview.TILE_WIDTH // 2 + 8 :].min() > 3 * columns[: middle.start].max()
    assert tile(path, 3, 3).max() == 4  # black, of which the darkest colour is a shade


def test_brightness_is_level_in_decibels_the_same_on_every_sheet(tmp_path):
    clips = [sine(1000), sine(1000, amplitude=0.01), sine(1000, amplitude=0.01)]
    audio = modality(samples=RATE)
    path = audio.preview(torch.cat(clips[:2]), tmp_path / "both")
    loud, quiet = (tile(path, number, 2) for number in range(2))
    alone = tile(audio.preview(clips[2], tmp_path / "quiet"), 0, 1)
    assert np.array_equal(alone, quiet)
    stops = preview._MAGMA.sum(axis=1)
    shades = np.linspace(0, 1, len(stops))
    inside = np.s_[:, 40:-40]
    levels = [np.interp(t[inside].max(), stops, shades) for t in (loud, quiet)]
    loud_db, quiet_db = ((1 - level) * preview.FLOOR_DB for level in levels)
    assert -4 < loud_db < 0  # some of the power is in the bands beside
    assert loud_db - quiet_db == pytest.approx(40, abs=1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rate", [1, 100, 1000, 8000, 11_025, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("samples", [1, 300, 20_000])
def test_previews_of_all_rates_and_lengths_are_drawn_without_a_warning(tmp_path, rate, samples):
    audio = modality(2, samples, sample_rate_hz=rate)
    path = audio.preview(noise(2, 2, samples), tmp_path / "x")
    assert tile(path, 1, 2).mean() > 200


@pytest.mark.parametrize("broken", ["wav", "png"])
def test_a_preview_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch, broken):
    audio = modality()
    audio.preview(noise(1), tmp_path / "x")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def full_disk(self, *_, **__):
        target = next(p for p in (self, *_) if isinstance(p, Path))
        with target.open("wb") as file:
            file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(
        *{"wav": (Path, "write_bytes"), "png": (Image.Image, "save")}[broken], full_disk
    )
    with pytest.raises(OSError, match="No space"):
        audio.preview(noise(2), tmp_path / "x")
    monkeypatch.undo()
    assert sorted(tmp_path.iterdir()) == sorted(before)
    assert (tmp_path / f"x.{broken}").read_bytes() == before[tmp_path / f"x.{broken}"]


def test_files_that_cannot_be_written_are_os_errors(tmp_path):
    """What writes them for a user makes a message of those, and of no others."""
    with pytest.raises(OSError, match="No such file"):
        modality().save(noise(1), tmp_path / "nowhere", format="flac")


def test_saved_bytes_are_the_same_each_time(tmp_path):
    for format in ("wav", "flac"):
        first, again = (
            modality().save(noise(1), tmp_path, format=format, start=n)[0] for n in range(2)
        )
        assert first.read_bytes() == again.read_bytes()
        assert soundfile.read(io.BytesIO(first.read_bytes()))[0].any()
