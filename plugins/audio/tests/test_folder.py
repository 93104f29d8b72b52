import os
import shutil
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import torchaudio

from aigc_audio.datasets._resample import Resampler
from aigc_audio.datasets.folder import AudioFolder
from aigc_audio.options import AudioFolderOptions
from aigc_core import DataError, DataFolders
from aigc_core.datasets import FolderDataset

RATE = 16_000


@pytest.fixture
def root(tmp_path) -> Path:
    path = tmp_path / "recordings"
    path.mkdir()
    return path


def load(root, cache, **options):
    options = {"samples": 500} | options
    dataset = AudioFolder(AudioFolderOptions(**options), DataFolders(root=root, cache=cache))
    dataset.prepare()
    return dataset.load("train")


def ramp(samples: int, step: int = 1) -> np.ndarray:
    return (np.arange(samples) * step % 30_000).astype(np.int16)


def sine(hz: float, rate: int = RATE, samples: int = 4000) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / rate)


def record(path: Path, sound: np.ndarray | int = 100, rate: int = RATE, **options) -> None:
    """Write a recording; a number is the level of a constant one of 500 samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(sound, int):
        sound = np.full(500, sound, np.int16)
    soundfile.write(path, sound, rate, **options)


def header(
    sound: bytes, *, claimed: int | None = None, riff: int | None = None, rate: int = RATE,
    kind: int = 1, bits: int = 16, channels: int = 1,
) -> bytes:  # fmt: skip
    """A WAV by hand, whose header need not be true."""
    claimed = len(sound) if claimed is None else claimed
    frame = channels * bits // 8
    body = b"WAVE" + struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, kind, channels, rate, rate * frame & 0xFFFFFFFF, frame, bits
    )
    body += struct.pack("<4sI", b"data", claimed) + sound
    return struct.pack("<4sI", b"RIFF", len(body) if riff is None else riff) + body


def test_recordings_become_clips_of_16_bits(root, cache):
    record(root / "a.wav", ramp(500))
    store = load(root, cache)
    assert store.arrays["samples"].dtype == torch.int16
    assert np.array_equal(store.arrays["samples"][0, 0], ramp(500))  # bit for bit
    assert store.spec.shape == (1, 500)
    assert store.spec.units == {"sample_rate_hz": 16000, "duration_s": 500 / 16000}
    assert store.notes == ()


def test_samples_are_sorted_by_path_and_every_usual_format_counts(root, cache):
    formats = {
        "a.aiff": {}, "b.au": {}, "c.caf": {}, "d.FLAC": {"format": "FLAC"}, "e.mp3": {},
        "f.ogg": {}, "g.opus": {"format": "OGG", "subtype": "OPUS"}, "h.rf64": {}, "i.w64": {},
        "j.wav": {"subtype": "PCM_24"}, "k.wav": {"subtype": "FLOAT"},
        "l.wav": {"subtype": "PCM_U8"},
    }  # fmt: skip
    for number, (name, options) in enumerate(formats.items()):
        record(root / name, sine(400 + 400 * number), **options)
    (root / "notes.txt").write_text("not a recording, and not named like one")
    (root / ".hidden.wav").write_text("nor this")
    samples = load(root, cache, samples=4000).arrays["samples"][:, 0].numpy()
    spectra = np.abs(np.fft.rfft(samples[:, 1000:3000] * np.hanning(2000)))
    assert (spectra.argmax(axis=1) * 8).tolist() == [400 + 400 * n for n in range(len(formats))]
    levels = samples[:, 1000:3000].astype(float).std(axis=1) / 32768
    assert levels == pytest.approx(np.full(len(formats), 0.5 / 2**0.5), rel=0.05)


def test_short_recordings_end_in_silence_and_long_ones_are_cut_and_reported(root, cache):
    record(root / "long.wav", ramp(501))
    record(root / "short.wav", ramp(300))
    store = load(root, cache)
    first, second = store.arrays["samples"][:, 0].numpy()
    assert np.array_equal(first, ramp(500))
    assert np.array_equal(second[:300], ramp(300))
    assert not second[300:].any()
    (note,) = store.notes
    assert "1 of 2 recordings are longer than a clip" in note
    assert "pieces=all" in note


@pytest.mark.parametrize(
    ("length", "pieces"), [(1, 1), (249, 1), (500, 1), (749, 1), (750, 2), (1000, 2), (1300, 3)]
)
def test_all_pieces_follow_each_other_and_a_last_one_is_at_least_half_full(
    root, cache, length, pieces
):
    record(root / "a.wav", ramp(length) + np.int16(1))
    store = load(root, cache, pieces="all")
    joined = store.arrays["samples"].flatten().numpy()
    assert len(store) == pieces
    kept = min(length, 500 * pieces)
    assert np.array_equal(joined[:kept], ramp(kept) + 1)
    assert not joined[kept:].any()
    assert store.notes == ()


def test_pieces_of_stereo_keep_their_channels_together(root, cache):
    record(root / "a.wav", np.stack([ramp(1000), -ramp(1000)], axis=1))
    samples = load(root, cache, pieces="all", channels=2).arrays["samples"].numpy()
    assert samples.shape == (2, 2, 500)
    assert np.array_equal(samples[1, 0], ramp(1000)[500:])
    assert np.array_equal(samples[:, 1], -samples[:, 0])


@pytest.mark.parametrize(
    ("levels", "channels", "expected"),
    [
        ([100], 1, [100]),
        ([100], 2, [100, 100]),
        ([100, 300], 1, [200]),
        ([100, 300], 2, [100, 300]),
        ([100, 300, 800], 1, [400]),
        ([100, 300, 800], 2, [100, 300]),
    ],
)
def test_channels_are_mixed_doubled_or_the_first_two(root, cache, levels, channels, expected):
    record(root / "a.wav", np.tile(np.int16(levels), (500, 1)))
    samples = load(root, cache, channels=channels).arrays["samples"]
    assert samples[0, :, 250].tolist() == expected


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000, 44_101])
def test_other_rates_are_resampled(root, cache, rate):
    record(root / "a.wav", sine(1000, rate, samples=rate), rate)
    sound = load(root, cache, samples=RATE).arrays["samples"][0, 0].numpy() / 32768
    middle = np.s_[200:-200]
    assert np.abs(sound - sine(1000, RATE, RATE))[middle].max() < 0.01


def test_what_a_rate_cannot_hold_is_filtered_and_not_folded(root, cache):
    record(root / "a.wav", sine(10_000, 44_100, samples=44_100), 44_100)
    sound = load(root, cache, samples=RATE).arrays["samples"][0, 0, 200:-200]
    assert sound.abs().max() / 32768 < 0.01


@pytest.mark.parametrize(("source", "target"), [(44_100, 16_000), (8000, 22_050), (3, 2)])
@pytest.mark.parametrize("length", [1, 1000, 200_001])
def test_blocks_give_what_the_whole_would(source, target, length):
    sound = torch.randn(2, length, generator=torch.Generator().manual_seed(0))
    blocks = list(Resampler(source, target)(sound.split(30_011, dim=1)))
    whole = torchaudio.functional.resample(sound, source, target)
    assert torch.cat(blocks, dim=1).shape == whole.shape
    assert torch.allclose(torch.cat(blocks, dim=1), whole, atol=1e-4)


def test_odd_rates_need_no_huge_kernel():
    """A kernel for 44,101 to 16,000 Hz as they are would take 3 GB."""
    strange = Resampler(44_101, 16_000)
    assert strange._kernel.kernel.numel() < 10**7
    (out,) = strange([torch.zeros(1, 44_101)])
    assert out.shape[1] == pytest.approx(16_000, abs=1)


@pytest.mark.parametrize("pieces", ["first", "all"])
def test_normalizing_scales_a_recording_as_a_whole(root, cache, pieces):
    record(root / "a.wav", np.concatenate([np.full(500, 100), np.full(500, 400)]).astype(np.int16))
    record(root / "b.wav", 0)
    samples = load(root, cache, normalize="peak", pieces=pieces).arrays["samples"][:, 0, 10]
    loudest = round(0.9 * 32768)
    expected = [loudest, 0] if pieces == "first" else [round(loudest / 4), loudest, 0]
    assert samples.tolist() == expected


def test_floats_beyond_full_scale_are_clipped_or_normalized(root, cache):
    record(root / "a.wav", np.linspace(-2, 2, 500), subtype="FLOAT")
    clipped = load(root, cache).arrays["samples"]
    assert (clipped.min(), clipped.max()) == (-32768, 32767)
    scaled = load(root, cache, normalize="peak").arrays["samples"][0, 0]
    assert (scaled.min(), scaled.max()) == (-29491, 29491)
    assert scaled[250] == pytest.approx(29491 / 499, abs=1)


@pytest.mark.parametrize("pieces", ["first", "all"])
@pytest.mark.parametrize("claimed", [601 * 2, 2**31 - 1, 2**32 - 1])
@pytest.mark.parametrize("riff", [None, 0, 2**32 - 1])
def test_a_header_that_promises_more_gives_what_is_there(root, cache, claimed, riff, pieces):
    sound = ramp(600, step=3)
    (root / "a.wav").write_bytes(header(sound.tobytes(), claimed=claimed, riff=riff))
    samples = load(root, cache, pieces=pieces, samples=600).arrays["samples"]
    assert samples.shape == (1, 1, 600)
    assert np.array_equal(samples[0, 0], sound)


def test_a_flac_that_promises_68_billion_frames_costs_no_memory(root, cache):
    record(root / "a.flac", ramp(500))
    content = bytearray((root / "a.flac").read_bytes())
    content[21] |= 0x0F  # the 36 bits of STREAMINFO that say how many there are
    content[22:26] = b"\xff" * 4
    (root / "a.flac").write_bytes(content)
    record(root / "b.wav")
    store = load(root, cache, pieces="all")
    assert store.arrays["samples"][0, 0].tolist() == ramp(500).tolist()
    assert len(store) == 2
    assert "than their header says; what is there is used: a.flac" in store.notes[0]


SINE = sine(440, samples=500)
FLOATS = SINE.astype("<f4")
NAN, INF = FLOATS.copy(), FLOATS.copy()
NAN[250], INF[250] = np.nan, np.inf
PCM = ramp(500).tobytes()
BROKEN = {
    "empty": (b"", "empty"),
    "text": (b"I am text.\n", "format not recognised"),
    "only-riff": (b"RIFF", "format not recognised"),
    "cut-in-header": (header(PCM)[:30], "no 'data' chunk marker"),
    "cut-before-sound": (header(PCM)[:44], "no sound in it"),
    "no-sound": (header(b""), "no sound in it"),
    "rate-0": (header(PCM, rate=0), "damaged"),
    "rate-1": (header(PCM, rate=1), "a sample rate of 1 Hz"),
    "rate-huge": (header(PCM, rate=2**31 - 1), "a sample rate of 2147483647 Hz"),
    "no-channels": (header(PCM, channels=0), "channel count is zero"),
    "65535-channels": (header(PCM, channels=8191), "too many channels specified"),
    "nan": (header(NAN.tobytes(), kind=3, bits=32), "values that are not finite"),
    "inf": (header(INF.tobytes(), kind=3, bits=32), "values that are not finite"),
    "huge": (header((SINE * 1e300).astype("<f8").tobytes(), kind=3, bits=64), "not finite"),
}


@pytest.mark.parametrize("pieces", ["first", "all"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_used_is_skipped_and_named_with_the_reason(root, cache, name, pieces):
    content, reason = BROKEN[name]
    (root / f"{name}.wav").write_bytes(content)
    record(root / "good.wav", 77)
    store = load(root, cache, pieces=pieces)
    assert store.arrays["samples"].unique().tolist() == [77]
    (note,) = store.notes
    assert note.startswith(f"Skipped files that cannot be read: {name}.wav (")
    assert reason in note


def test_a_folder_of_nothing_else_is_an_error_that_names_them(root, cache):
    for name, (content, _) in BROKEN.items():
        (root / f"{name}.wav").write_bytes(content)
    with pytest.raises(DataError, match=r"None of the 14 files .*empty\.wav \(empty\).* 4 more"):
        load(root, cache)
    assert not list(cache.rglob("*.safetensors"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_skipped_and_named(root, cache):
    record(root / "good.wav")
    record(root / "secret.wav")
    (root / "secret.wav").chmod(0)
    assert "secret.wav (permission denied)" in load(root, cache).notes[0]


@pytest.mark.skipif(os.name == "nt", reason="names there are no bytes")
def test_names_may_be_any_bytes(root, cache):
    named = {"good": b"b/\xff\xfe.wav", "bad": b"b/new\nline[red]\xff.wav"}
    paths = {key: Path(os.fsdecode(os.fsencode(root) + b"/" + n)) for key, n in named.items()}
    record(root / "b.wav", 77)
    (root / "b").mkdir()
    (root / "b.wav").rename(paths["good"])
    paths["bad"].write_text("no sound")
    record(root / "a" / "a.wav", 78)
    for _ in range(2):  # decoded, and from the cache
        store = load(root, cache)
        assert store.arrays["samples"][:, 0, 0].tolist() == [78, 77]
        (note,) = store.notes
        assert r"cannot be read: b/new\nline[red]\udcff.wav (format not recog" in note
        assert note.isprintable()


def test_one_file_is_a_folder_of_one(root, cache):
    path = root / "song.of"
    record(path, ramp(1500), format="WAV")
    record(root / "other.wav")
    store = load(path, cache, pieces="all")
    assert np.array_equal(store.arrays["samples"].flatten(), ramp(1500))
    assert "labels" not in store.arrays


@pytest.mark.parametrize("name", ["x.wav", "x.raw"])
def test_one_file_that_is_no_sound_is_an_error(root, cache, name):
    (root / name).write_bytes(b"text")
    with pytest.raises(
        DataError, match=rf"The file in {root} cannot be read as recordings: {name} \("
    ):
        load(root / name, cache)


def test_top_level_folders_become_labels_of_all_their_pieces(root, cache):
    record(root / "dogs" / "a.wav", 10)
    record(root / "cats" / "young" / "b.wav", np.full(1000, 20, np.int16))
    record(root / "cats" / "c.wav", 30)
    (root / "birds").mkdir()
    (root / "birds" / "d.wav").write_text("nothing that can be read")
    store = load(root, cache, pieces="all")
    assert store.label_names == ("cats", "dogs")
    assert store.arrays["labels"].tolist() == [0, 0, 0, 1]
    assert store.arrays["labels"].dtype == torch.int64
    assert store.arrays["samples"][:, 0, 0].tolist() == [30, 20, 20, 10]


def test_a_recording_beside_the_folders_means_no_labels(root, cache):
    record(root / "cats" / "a.wav")
    record(root / "b.wav")
    store = load(root, cache)
    assert store.label_names == ()
    assert "labels" not in store.arrays


def test_the_second_start_decodes_nothing_and_keeps_the_notes(root, cache, monkeypatch):
    record(root / "cats" / "a.wav")
    (root / "cats" / "bad.wav").write_text("no sound")
    first = load(root, cache)
    monkeypatch.setattr(FolderDataset, "decode_all", lambda *_: pytest.fail("decoded again"))
    second = load(root, cache)
    assert torch.equal(first.arrays["samples"], second.arrays["samples"])
    assert torch.equal(first.arrays["labels"], second.arrays["labels"])
    assert (second.notes, second.label_names) == (first.notes, first.label_names)
    assert second.notes


def test_a_changed_file_is_decoded_again(root, cache):
    record(root / "a.wav", 10)
    load(root, cache)
    record(root / "a.wav", 20)
    os.utime(root / "a.wav", ns=(1, 1))
    assert load(root, cache).arrays["samples"].unique().tolist() == [20]


def test_options_have_their_own_cache_files(root, cache):
    record(root / "a.wav")
    load(root, cache)
    assert load(root, cache, channels=2).spec.shape == (2, 500)
    assert load(root, cache, samples=256).spec.shape == (1, 256)
    assert load(root, cache, sample_rate_hz=8000).spec.units["sample_rate_hz"] == 8000
    assert len(list((cache / "audio-folder").iterdir())) == 4


def test_a_damaged_cache_file_is_made_again(root, cache):
    record(root / "a.wav", 10)
    load(root, cache)
    (path,) = cache.rglob("samples-*.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    assert load(root, cache).arrays["samples"].unique().tolist() == [10]


def test_the_users_folder_is_only_read(root, cache):
    record(root / "cats" / "a.wav")
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    load(root, cache)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before


def test_two_threads_that_prepare_at_once_decode_once(root, cache, monkeypatch):
    record(root / "a.wav")
    both_inside = threading.Barrier(2)
    calls = []
    real = FolderDataset.decode_all

    def decode_slowly(*arguments):
        calls.append(arguments)
        try:
            both_inside.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            return real(*arguments)
        raise AssertionError("two threads decoded at once")

    monkeypatch.setattr(FolderDataset, "decode_all", decode_slowly)
    threads = [threading.Thread(target=load, args=(root, cache)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1


def test_of_a_long_file_only_the_beginning_is_read(root, cache, monkeypatch):
    record(root / "a.flac", np.zeros((44_100 * 30, 2), np.int16), 44_100)
    frames = []
    real = soundfile.SoundFile.buffer_read_into

    def counted(self, buffer, dtype):
        frames.append(real(self, buffer, dtype))
        return frames[-1]

    monkeypatch.setattr(soundfile.SoundFile, "buffer_read_into", counted)
    load(root, cache)
    assert sum(frames) < 44_100 * 4
    shutil.rmtree(cache)
    load(root, cache, pieces="all")
    assert sum(frames) > 44_100 * 30


def test_no_folder_given_is_an_error_that_says_how_to_give_one(no_root):
    with pytest.raises(DataError, match="--data-root"):
        AudioFolder(AudioFolderOptions(), no_root).prepare()


def test_a_folder_without_recordings_is_an_error_that_names_it(root, cache):
    (root / "song.mid").write_text("notes, and no sound")
    with pytest.raises(DataError, match=rf"no recording in {root}.*1 \.mid\..*\.flac"):
        load(root, cache)


def test_a_cache_that_cannot_be_written_is_named(root, cache):
    record(root / "a.wav")
    cache.write_text("a file where a folder should be")
    with pytest.raises(DataError, match=f"{cache}.*AIGC_CACHE_DIR"):
        load(root, cache)


def test_an_unknown_split_is_an_error(root, cache):
    record(root / "a.wav")
    dataset = AudioFolder(AudioFolderOptions(), DataFolders(root=root, cache=cache))
    with pytest.raises(DataError, match="no split 'test'"):
        dataset.load("test")
