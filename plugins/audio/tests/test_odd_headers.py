"""Sound that is longer or shorter than its header says: all that is there is used."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from aigc_audio.datasets import _containers
from aigc_audio.datasets._decode import decode
from aigc_audio.datasets.folder import AudioFolder
from aigc_audio.options import AudioFolderOptions
from aigc_core import DataError, DataFolders

RATE = 16_000
CLIP = 4_000


@pytest.fixture
def read(tmp_path):
    """Write one file and load it whole: ``(sound float (L,), notes)``."""

    def call(name: str, content: bytes, **options):
        root = tmp_path / "sound"
        root.mkdir(exist_ok=True)
        for old in root.iterdir():
            old.unlink()
        (root / name).write_bytes(content)
        settings = {"samples": CLIP, "pieces": "all"} | options
        folders = DataFolders(root=root, cache=tmp_path / "cache")
        dataset = AudioFolder(AudioFolderOptions(**settings), folders)
        dataset.prepare()
        store = dataset.load("train")
        return store.arrays["samples"][:, 0].flatten().float() / 32768, store.notes

    return call


def sine(hz: float, seconds: float = 1, rate: int = RATE) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate) / 2


def coded(sound: np.ndarray, kind: str, subtype: str = "PCM_16", rate: int = RATE) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=kind, subtype=subtype)
    return file.getvalue()


def pitch(sound: torch.Tensor) -> float:
    """The loudest frequency in Hz."""
    return (
        float(torch.fft.rfft(sound * torch.hann_window(len(sound))).abs().argmax())
        * RATE
        / len(sound)
    )


JOINABLE = [
    ("OGG", "VORBIS", "ogg"),
    ("OGG", "OPUS", "opus"),
    ("MP3", "MPEG_LAYER_III", "mp3"),
    ("FLAC", "PCM_16", "flac"),
    ("WAV", "PCM_16", "wav"),
]


@pytest.mark.parametrize(("kind", "subtype", "suffix"), JOINABLE)
def test_joined_files_are_used_to_the_end(read, kind, subtype, suffix) -> None:
    parts = [coded(sine(hz), kind, subtype) for hz in (440, 880, 1320)]
    sound, notes = read(f"a.{suffix}", b"".join(parts))
    assert len(sound) == 3 * RATE
    for number, hz in enumerate((440, 880, 1320)):
        middle = sound[number * RATE + 2000 : number * RATE + 14_000]
        assert pitch(middle) == pytest.approx(hz, abs=4)
    assert "several recordings joined; all of them are used" in notes[0]


@pytest.mark.parametrize(("kind", "subtype", "suffix"), JOINABLE)
def test_each_of_joined_recordings_has_its_own_rate(read, kind, subtype, suffix) -> None:
    first = coded(sine(440), kind, subtype)
    second = coded(sine(440, rate=8000), kind, subtype, 8000)
    sound, _ = read(f"a.{suffix}", first + second)
    assert len(sound) == 2 * RATE
    assert pitch(sound[RATE + 2000 : RATE + 14_000]) == pytest.approx(440, abs=4)


@pytest.mark.parametrize(("kind", "subtype", "suffix"), JOINABLE)
def test_an_ordinary_file_gives_no_note(read, kind, subtype, suffix) -> None:
    sound, notes = read(f"a.{suffix}", coded(sine(440), kind, subtype))
    assert len(sound) == RATE
    assert notes == ()


def xing(mp3: bytes) -> int:
    return max(mp3.find(b"Xing"), mp3.find(b"Info"))


@pytest.mark.parametrize("frames", [0, 10, 5000, 2**31])
def test_an_mp3_is_as_long_as_its_frames_whatever_its_header_counts(read, frames) -> None:
    mp3 = coded(sine(440, 20), "MP3", "MPEG_LAYER_III")
    place = xing(mp3)
    sound, notes = read("a.mp3", mp3[: place + 8] + struct.pack(">I", frames) + mp3[place + 12 :])
    assert len(sound) == 20 * RATE
    assert "longer or shorter than their header says" in notes[0]


def test_an_mp3_without_a_count_is_read_to_its_end(read) -> None:
    mp3 = coded(sine(440, 20), "MP3", "MPEG_LAYER_III")
    head = xing(mp3) - 13
    size = mp3.find(mp3[head : head + 2], head + 4) - head
    sound, notes = read("a.mp3", mp3[:head] + mp3[head + size :])
    assert abs(len(sound) - 20 * RATE) <= CLIP
    assert notes == ()


def test_tags_between_joined_mp3s_are_no_damage(read) -> None:
    one, two = (coded(sine(hz), "MP3", "MPEG_LAYER_III") for hz in (440, 880))
    id3 = b"ID3\x03\0\0" + bytes([0, 0, 2, 0]) + bytes(256)
    id3v1 = b"TAG" + bytes(125)
    ape = b"APETAGEX" + struct.pack("<IIII", 2000, 40, 0, 1 << 29) + bytes(48)
    sound, notes = read("a.mp3", id3 + one + ape + id3v1 + id3 + two + id3v1)
    assert len(sound) == 2 * RATE
    assert len(notes) == 1
    assert "joined" in notes[0]


def test_what_follows_garbage_in_an_mp3_is_used(read) -> None:
    mp3 = coded(sine(440, 20), "MP3", "MPEG_LAYER_III")
    sound, notes = read("a.mp3", mp3[:20_000] + b"\x55" * 5000 + mp3[20_000:])
    assert len(sound) >= 19.5 * RATE
    assert "cut off or damaged" in notes[0]


@pytest.mark.parametrize("total", [0, 100, 10**6, 2**36 - 1])
def test_a_flac_is_as_long_as_it_is(read, total) -> None:
    whole = np.rint(sine(440, 4) * 32767).astype(np.int16)
    flac = bytearray(coded(whole, "FLAC"))
    flac[21] = flac[21] & 0xF0 | total >> 32
    flac[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    sound, notes = read("a.flac", bytes(flac))
    assert (sound * 32768).round().short().tolist() == whole.tolist()
    assert bool(notes) == (total != 0)  # 0 means that it is not known


def wav(sound: np.ndarray, *, claimed: int, riff: int | None = None, after: bytes = b"") -> bytes:
    data = sound.astype("<i2").tobytes()
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    body = b"WAVE" + head + struct.pack("<4sI", b"data", claimed) + data + after
    return b"RIFF" + struct.pack("<I", len(body) if riff is None else riff) + body


@pytest.mark.parametrize("claimed", [0, 100, 0xFFFFFFFF, 0x7FFFFFFF, 10**6])
@pytest.mark.parametrize("riff", [None, 0, 36, 0xFFFFFFFF])
def test_a_wav_is_as_long_as_it_is(read, claimed, riff) -> None:
    whole = np.rint(sine(440) * 32767).astype(np.int16)
    sound, notes = read("a.wav", wav(whole, claimed=claimed, riff=riff))
    assert (sound * 32768).round().short().tolist() == whole.tolist()
    assert "than their header says" in notes[0]


def test_chunks_behind_the_sound_are_no_sound(read) -> None:
    whole = np.rint(sine(440) * 32767).astype(np.int16)
    after = struct.pack("<4sI", b"LIST", 26) + b"INFOISFT" + struct.pack("<I", 14) + bytes(14)
    sound, notes = read("a.wav", wav(whole, claimed=2 * RATE, after=after))
    assert (sound * 32768).round().short().tolist() == whole.tolist()
    assert notes == ()


@pytest.mark.parametrize("kind", ["FLAC", "WAV", "AIFF", "AU", "CAF", "W64", "OGG"])
def test_of_a_file_that_was_cut_off_what_is_there_is_used(read, kind) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8 * RATE)
    content = coded(noise, kind, "VORBIS" if kind == "OGG" else "PCM_16")
    sound, _ = read(f"a.{kind.lower()}", content[: len(content) * 3 // 4])
    assert 5 * RATE < len(sound) <= 6.3 * RATE
    assert float(sound[-CLIP:].abs().mean()) > 0.05 or kind == "FLAC"


def test_only_the_beginning_of_a_joined_file_is_kept_where_that_is_asked_for(read) -> None:
    parts = [coded(sine(hz, 0.1), "WAV") for hz in (440, 880)]
    sound, notes = read("a.wav", b"".join(parts), pieces="first")
    assert len(sound) == CLIP
    assert float(sound[1600:3200].abs().mean()) > 0.2
    assert "joined" in notes[0]


@pytest.mark.parametrize("scale", [2.0, 32768.0])
def test_sound_beyond_full_scale_is_said_with_a_way_out(read, scale) -> None:
    content = coded(sine(440) * 2 * scale, "WAV", "FLOAT")
    _, notes = read("a.wav", content)
    assert "go beyond full scale" in notes[0]
    assert "normalize=peak" in notes[0]
    sound, notes = read("a.wav", content, normalize="peak")
    assert notes == ()
    assert float(sound.abs().max()) == pytest.approx(0.9, abs=1e-3)


def test_channels_that_cancel_each_other_out_are_said_and_one_can_be_taken(read) -> None:
    left = sine(440)
    content = coded(np.stack([left, -left], axis=1), "WAV")
    _, notes = read("a.wav", content)
    assert "cancel each other out" in notes[0]
    for mix, sign in (("left", 1), ("right", -1)):
        sound, notes = read("a.wav", content, mix=mix)
        assert notes == ()
        assert np.abs(sound.numpy() - sign * left).max() < 1e-4


def test_silence_and_more_than_two_channels_are_said(read) -> None:
    _, notes = read("a.wav", coded(np.zeros(RATE), "WAV"))
    assert "silent" in notes[0]
    _, notes = read("a.wav", coded(np.stack([sine(440)] * 6, axis=1), "WAV"))
    assert "more than two channels" in notes[0]


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
     ("AIFF", "PCM_S8"), ("WAV", "ALAW"), ("WAV", "ULAW"), ("CAF", "ALAC_16"), ("W64", "PCM_24")],
)  # fmt: skip
def test_every_depth_has_its_own_full_scale(read, kind, subtype) -> None:
    sound, notes = read(f"a.{kind.lower()}", coded(sine(440), kind, subtype))
    assert np.abs(sound.numpy() - sine(440)).max() < 0.02
    assert notes == ()


def test_containers_without_their_library_are_counted_with_a_hint() -> None:
    from aigc_audio.datasets._decode import HINTS, SUFFIXES

    assert (".m4a" in SUFFIXES) == _containers.INSTALLED
    assert (".m4a" in HINTS) != _containers.INSTALLED


@pytest.mark.parametrize(
    ("name", "codec"), [("a.m4a", "aac"), ("a.webm", "libopus"), ("a.aac", "aac")]
)
def test_containers_are_read_with_their_library(read, tmp_path: Path, name, codec) -> None:
    av = pytest.importorskip("av")
    path = tmp_path / name
    with av.open(str(path), "w", format="adts" if name == "a.aac" else None) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        tone = sine(440, rate=48_000).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.rate = 48_000
        resampler = av.AudioResampler(
            format=stream.format, layout="mono", rate=48_000, frame_size=stream.frame_size or 960
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    sound, notes = read(name, path.read_bytes())
    assert abs(len(sound) - RATE) <= CLIP
    assert pitch(sound[2000:14_000]) == pytest.approx(440, abs=4)
    assert notes == ()


def test_a_suffix_that_lies_is_read_by_content(read) -> None:
    sound, _ = read("a.wav", coded(sine(440), "FLAC"))
    assert len(sound) == RATE


@pytest.mark.parametrize(
    "content",
    [
        b"OggS",
        b"OggS" + bytes(60),
        b"fLaC\0\0\0\x22" + bytes(34),
        b"RIFF" + bytes(40),
        b"\xff\xfb" + bytes(50),
        b"ID3\x03\0\0\0\0\0\x05hello",
        b"caff" + bytes(30),
    ],
)
def test_what_is_no_sound_is_refused(read, content) -> None:
    with pytest.raises(DataError):
        read("a.wav", content)


@pytest.mark.parametrize("form", ["AU", "CAF", "W64", "RF64", "WAV", "AIFF"])
@pytest.mark.parametrize("order", ["BIG", "LITTLE"])
def test_joined_files_of_every_uncompressed_format_are_read_to_their_end(
    tmp_path: Path, form: str, order: str
) -> None:
    tones = [np.full(3000, level, np.int16) for level in (1000, -2000, 3000)]
    data = b""
    for tone in tones:
        file = io.BytesIO()
        endian = order if form == "AU" else None
        soundfile.write(file, tone, 16000, format=form, subtype="PCM_16", endian=endian)
        data += file.getvalue()
    path = tmp_path / f"a.{form.lower()}"
    path.write_bytes(data)
    options = AudioFolderOptions(samples=3000, sample_rate_hz=16000, pieces="all")
    found = decode(path, options)
    assert found.samples.shape == (3, 1, 3000)
    assert [int(clip[0, 1500]) for clip in found.samples] == [1000, -2000, 3000]
    assert "joined" in found.remarks


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 100, 10**6])
def test_an_au_file_whose_length_is_wrong_is_read_to_its_end(tmp_path: Path, length: int) -> None:
    file = io.BytesIO()
    soundfile.write(file, np.full(3000, 1234, np.int16), 16000, format="AU", subtype="PCM_16")
    data = bytearray(file.getvalue())
    data[8:12] = length.to_bytes(4, "big")
    (tmp_path / "a.au").write_bytes(bytes(data))
    options = AudioFolderOptions(samples=3000, sample_rate_hz=16000)
    found = decode(tmp_path / "a.au", options)
    assert (found.samples == 1234).all()
    assert ("length" in found.remarks) == (length not in (0, 0xFFFFFFFF))
