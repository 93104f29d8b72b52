import hashlib
import io
import os
import shutil
import tarfile
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.datasets import speechcommands

from aigc_audio.datasets import _speech_commands_files as files
from aigc_audio.datasets import speech_commands
from aigc_audio.datasets.speech_commands import SpeechCommands
from aigc_audio.options import SpeechCommandsOptions
from aigc_core import DataError, DataFolders

COUNTS = {"train": 30, "validation": 10, "test": 20}
FOLDER = "speech_commands_v0.02"


def make(root: Path | None, cache: Path, **options) -> SpeechCommands:
    return SpeechCommands(SpeechCommandsOptions(**options), DataFolders(root=root, cache=cache))


def load(root, cache, split="train", **options):
    dataset = make(root, cache, **options)
    dataset.prepare()
    return dataset.load(split)


def write_tree(folder: Path) -> None:
    """A small tree in the archive's layout: a recording tells its digit, and which one it is."""
    validation, test = [], []
    for number, word in enumerate([*speech_commands.DIGIT_NAMES, "backward"]):
        (folder / word).mkdir(parents=True)
        for take in range(6):
            name = f"{word}/c0ffee{take:02d}_nohash_{take % 2}.wav"
            wave = np.full(16000 - 1000 * take, 1000 * (take + 1), np.int16)
            wave[0] = number
            soundfile.write(folder / name, wave, 16000, subtype="PCM_16")
            if take == 3:
                validation.append(name)
            elif take > 3:
                test.append(name)
    (folder / "_background_noise_").mkdir()
    soundfile.write(folder / "_background_noise_" / "running_tap.wav", np.zeros(16000), 16000)
    (folder / "validation_list.txt").write_text("".join(f"{n}\n" for n in reversed(validation)))
    (folder / "testing_list.txt").write_text("".join(f"{n}\n" for n in test))


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(SpeechCommands, "counts", COUNTS)
    write_tree(tmp_path / "data" / "SpeechCommands" / FOLDER)
    return tmp_path / "data"


@pytest.fixture
def folder(root) -> Path:
    return root / "SpeechCommands" / FOLDER


def test_the_lists_of_the_archive_make_the_splits(root, cache):
    takes = {"train": [0, 1, 2], "validation": [3], "test": [4, 5]}
    for split, wanted in takes.items():
        store = load(root, cache, split)
        samples = store.arrays["samples"]
        assert samples.shape == (COUNTS[split], 1, 16384)
        assert samples.dtype == torch.int16
        assert store.arrays["labels"].dtype == torch.int64
        assert store.arrays["labels"].bincount().tolist() == [len(wanted)] * 10
        assert torch.equal(samples[:, 0, 0].long(), store.arrays["labels"])
        levels = samples[:, 0, 1].reshape(-1, len(wanted))
        order = np.argsort(sorted(speech_commands.DIGIT_NAMES)).argsort()
        assert levels.tolist() == [[1000 * (take + 1) for take in wanted]] * len(order)
    assert store.label_names[7] == "seven"
    assert store.spec.units == {"sample_rate_hz": 16000, "duration_s": 1.024}


@pytest.mark.parametrize("samples", [256, 15_000, 16_000, 20_000])
def test_clips_are_cut_or_end_in_silence(root, cache, samples):
    clips = load(root, cache, samples=samples).arrays["samples"][:, 0]
    assert clips.shape == (30, samples)
    second = clips[1]  # the second take of one digit, 15,000 long
    assert (second[1:15_000] == 2000).all()
    assert (second[15_000:] == 0).all()


def test_clips_are_as_recorded_unless_they_are_to_be_normalized(root, cache):
    assert load(root, cache).arrays["samples"].amax(dim=(1, 2)).unique().numel() == 3
    peaks = load(root, cache, normalize="peak").arrays["samples"].amax(dim=(1, 2))
    assert peaks.unique().tolist() == [round(0.9 * 32768)]


def test_it_is_decoded_once_whatever_the_options(root, cache, monkeypatch):
    load(root, cache)
    monkeypatch.setattr(speech_commands, "read_recording", lambda path: pytest.fail("again"))
    load(root, cache, "test", samples=500, normalize="peak")
    assert len(list((cache / "speech-commands").iterdir())) == 3


def test_a_changed_file_or_list_is_read_again(root, folder, cache):
    load(root, cache)
    path = folder / "four" / "c0ffee00_nohash_0.wav"
    soundfile.write(path, np.full(99, 4, np.int16), 16000, subtype="PCM_16")
    samples = load(root, cache).arrays["samples"][:, 0]
    assert sum((clip != 0).sum() == 99 for clip in samples) == 1
    lists = [folder / name for name in ("validation_list.txt", "testing_list.txt")]
    contents = [path.read_text() for path in lists]
    for path, content in zip(lists, reversed(contents), strict=True):
        path.write_text(content)
    SpeechCommands.counts = COUNTS | {"validation": 20, "test": 10}
    assert len(load(root, cache, "validation")) == 20


@pytest.mark.parametrize("place", [f"SpeechCommands/{FOLDER}", "speech-commands", FOLDER, "."])
def test_the_tree_is_found_in_four_places(folder, tmp_path, cache, place):
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved / place)
    assert len(load(moved, cache)) == 30


def test_the_users_folder_is_only_read(root, cache):
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    load(root, cache)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before


def test_a_tree_that_is_not_complete_is_an_error_with_both_counts(root, folder, cache):
    (folder / "six" / "c0ffee01_nohash_1.wav").unlink()
    with pytest.raises(DataError, match=r"29 recordings .* train split.* has 30\..*audio-folder"):
        make(root, cache).prepare()
    assert not list(cache.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("damage", "reported"),
    [
        (Path.unlink, "cannot be read: it is not there"),
        (lambda path: path.write_bytes(b""), "cannot be read: empty"),
        (lambda path: path.write_bytes(b"text"), "cannot be read: format not recognised"),
        (lambda path: soundfile.write(path, np.zeros(99), 8000), "has 8,000 Hz"),
        (
            lambda path: soundfile.write(path, np.zeros((99, 2)), 16000),
            r"has 16,000 Hz and the shape \(99, 2\)",
        ),
    ],
)
def test_a_damaged_recording_is_named(root, folder, cache, damage, reported):
    damage(folder / "two" / "c0ffee03_nohash_1.wav")  # one that a list names
    with pytest.raises(DataError, match=rf"c0ffee03_nohash_1\.wav {reported}.*Unpack http"):
        make(root, cache).prepare()


@pytest.mark.skipif(os.name == "nt", reason="names there are no bytes")
def test_a_recordings_name_may_be_any_bytes(root, folder, cache):
    path = folder / "two" / "c0ffee00_nohash_0.wav"
    path.rename(path.with_name(os.fsdecode(b"\xff\xfe_nohash_0.wav")))
    assert len(load(root, cache)) == COUNTS["train"]


@pytest.mark.parametrize("line", ["\n", "zero/no-number.wav\n", "\0\n"])
def test_a_damaged_list_is_an_error(root, folder, cache, line):
    with (folder / "testing_list.txt").open("a") as file:
        file.write(line)
    with pytest.raises(DataError, match=r"testing_list\.txt in .* is damaged"):
        make(root, cache).prepare()


def test_a_folder_without_it_names_the_places_and_the_ways_out(tmp_path, cache):
    with pytest.raises(DataError) as caught:
        make(tmp_path, cache).prepare()
    message = str(caught.value)
    assert str(tmp_path / "SpeechCommands" / FOLDER) in message
    for way_out in ("AIGC_DATA_DIR", "--dataset fsdd", "tones"):
        assert way_out in message


def test_the_archive_is_the_one_that_torchaudio_verifies():
    assert speechcommands._CHECKSUMS[files.URL] == files.SHA256


def test_the_archive_is_downloaded_verified_decoded_and_not_kept(
    root, folder, cache, tmp_path, monkeypatch
):
    packed = tmp_path / "x.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, ".")  # names begin with "./", as in the original
    asked = []

    def serve(self, request, *_, **__):
        asked.append(request.full_url)
        answer = io.BytesIO(packed.read_bytes())
        answer.status, answer.reason, answer.length = 200, "OK", packed.stat().st_size
        return answer

    monkeypatch.setattr(urllib.request.OpenerDirector, "open", serve)
    with pytest.raises(DataError, match="is damaged or another file: its SHA-256"):
        make(None, cache).prepare()
    monkeypatch.setattr(files, "SHA256", hashlib.sha256(packed.read_bytes()).hexdigest())
    for split, count in COUNTS.items():
        assert len(load(None, cache, split)) == count
    assert asked == [files.URL] * 2
    assert {p.name for p in cache.iterdir()} == {".speech-commands.lock", "speech-commands"}
    assert len(list((cache / "speech-commands").iterdir())) == 3


def test_no_network_names_both_ways_out(cache, monkeypatch):
    monkeypatch.setattr(files, "URL", "http://127.0.0.1:9/x.tar.gz")  # nobody listens
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9.*--data-root DIR.*--dataset fsdd"):
        make(None, cache).prepare()
    assert [p for p in cache.rglob("*") if p.name != ".speech-commands.lock"] == []


def test_loading_before_preparing_is_an_error(cache):
    with pytest.raises(DataError, match=r"prepare\(\)"):
        make(None, cache).load("train")


def test_an_unknown_split_is_an_error_that_names_the_nearest(cache):
    with pytest.raises(DataError, match="Did you mean 'test'"):
        make(None, cache).load("testing")
