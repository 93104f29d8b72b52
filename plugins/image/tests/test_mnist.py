import gzip
import hashlib
import json
import shutil
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from torchvision import datasets

from aigc_core import DataError, DataFolders
from aigc_image.datasets import mnist
from aigc_image.datasets.mnist import FashionMnist, KMnist, Mnist
from aigc_image.options import MnistOptions

COUNTS = {"train": 5, "test": 3}
FILES = [file for file, _ in datasets.MNIST.resources]


@pytest.fixture
def packed(tmp_path, monkeypatch) -> Path:
    """A tiny dataset in MNIST's format, which takes the place of the real ones."""
    place = tmp_path / "data" / "mnist" / "MNIST" / "raw"
    place.mkdir(parents=True)
    for split, count in (("train", 5), ("t10k", 3)):
        values = bytes(number % 256 for number in range(count * 784))
        images = struct.pack(">4i", 0x803, count, 28, 28) + values
        labels = struct.pack(">2i", 0x801, count) + bytes(range(count))
        (place / f"{split}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (place / f"{split}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    resources = [(f, hashlib.md5((place / f).read_bytes()).hexdigest()) for f in FILES]
    for dataset in (Mnist, FashionMnist, KMnist):
        monkeypatch.setattr(dataset, "counts", COUNTS)
        monkeypatch.setattr(dataset.source, "resources", resources)
        monkeypatch.setattr(dataset.source, "mirrors", ["http://127.0.0.1:9/"])  # nobody listens
    monkeypatch.setenv("no_proxy", "*")
    return place


@pytest.fixture
def root(packed, tmp_path) -> Path:
    return tmp_path / "data"


def make(root, cache, dataset=Mnist, size=28):
    return dataset(MnistOptions(size=size), DataFolders(root=root, cache=cache))


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of change of everything below a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


def test_the_users_files_are_unpacked_into_the_cache(root, cache):
    dataset = make(root, cache)
    dataset.prepare()
    store = dataset.load("train")
    assert store.arrays["samples"].shape == (5, 1, 28, 28)
    assert store.arrays["samples"].dtype == torch.uint8
    assert store.arrays["samples"].flatten()[:300].tolist() == [n % 256 for n in range(300)]
    assert store.arrays["labels"].tolist() == [0, 1, 2, 3, 4]
    assert store.arrays["labels"].dtype == torch.int64
    assert len(dataset.load("test")) == 3


def test_nothing_but_the_unpacked_files_is_left_in_the_cache(root, cache):
    make(root, cache).prepare()
    assert {path.name for path in cache.iterdir()} - {".mnist.lock"} == {"mnist"}
    assert {path.name for path in (cache / "mnist").iterdir()} == {Path(f).stem for f in FILES}


def test_the_users_folder_is_only_read(root, cache):
    before = listing(root)
    make(root, cache).prepare()
    assert listing(root) == before


def test_a_cache_in_the_users_own_folder_costs_no_file(root):
    """AIGC_CACHE_DIR may name the folder that AIGC_DATA_DIR names."""
    make(root, cache=root).prepare()
    assert all((root / "mnist" / "MNIST" / "raw" / file).is_file() for file in FILES)
    assert len(make(root, cache=root).load("test")) == 3


@pytest.mark.parametrize("place", ["mnist/MNIST/raw", "MNIST/raw", "mnist"])
def test_the_files_are_found_in_three_places(root, packed, cache, place):
    moved = root.parent / "moved"
    shutil.copytree(packed, moved / place)
    dataset = make(moved, cache)
    dataset.prepare()
    assert len(dataset.load("train")) == 5


def test_a_place_with_all_files_is_taken_before_one_without_some(root, packed, cache):
    shutil.copytree(packed, root / "MNIST" / "raw")
    (packed / FILES[0]).unlink()
    make(root, cache).prepare()
    assert (cache / "mnist").is_dir()


@pytest.mark.parametrize(
    ("dataset", "folder", "names"),
    [
        (Mnist, "mnist/MNIST/raw", ["zero", "nine"]),
        (FashionMnist, "fashion-mnist/FashionMNIST/raw", ["T-shirt/top", "Ankle boot"]),
        (KMnist, "kmnist/KMNIST/raw", ["o", "wo"]),
    ],
)
def test_every_data_set_has_its_own_folder_and_names(
    packed, tmp_path, cache, dataset, folder, names
):
    shutil.copytree(packed, tmp_path / "others" / folder)
    prepared = make(tmp_path / "others", cache, dataset)
    prepared.prepare()
    label_names = prepared.load("train").label_names
    assert len(label_names) == 10
    assert [label_names[0], label_names[-1]] == names


def test_a_complete_cache_needs_neither_files_nor_network(root, cache):
    make(root, cache).prepare()
    make(None, cache).prepare()
    make(root.parent / "nowhere", cache).prepare()


def test_a_cache_with_a_short_file_is_made_again(root, cache):
    make(root, cache).prepare()
    path = cache / "mnist" / "train-images-idx3-ubyte"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    make(root, cache).prepare()
    assert path.read_bytes() == whole


def test_a_damaged_file_is_named_with_both_checksums(root, packed, cache):
    path = packed / FILES[2]
    expected = hashlib.md5(path.read_bytes()).hexdigest()
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    found = hashlib.md5(damaged).hexdigest()
    with pytest.raises(DataError, match=f"{path}.*{found}.*{expected}.*Fetch it again"):
        make(root, cache).prepare()
    assert not (cache / "mnist").exists()


def test_a_missing_file_is_named_with_every_place_and_the_ways_out(root, packed, cache):
    (packed / FILES[3]).unlink()
    with pytest.raises(DataError) as caught:
        make(root, cache).prepare()
    message = str(caught.value)
    assert f"{packed} (without {FILES[3]})" in message
    assert f"{root / 'MNIST' / 'raw'} (none of them)" in message
    assert f"{root / 'mnist'} (none of them)" in message
    for way_out in ("--data-root", "AIGC_DATA_DIR", "--dataset digits"):
        assert way_out in message


def test_a_failed_download_names_both_ways_out(packed, cache, capfd):
    with pytest.raises(DataError) as caught:
        make(None, cache).prepare()
    message = str(caught.value)
    assert "127.0.0.1:9" in message
    assert str(Path("DIR", "mnist", "MNIST", "raw")) in message
    assert all(file in message for file in FILES)
    assert "--dataset digits" in message
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []
    assert capfd.readouterr() == ("", "")


def test_a_download_is_unpacked_into_the_cache_without_progress_bars(
    packed, cache, monkeypatch, capfd
):
    def copy(url, download_root, filename, md5):
        print("100%", file=sys.stderr)
        target = Path(download_root, filename)
        shutil.copy(packed / filename, target)
        target.with_suffix("").write_bytes(gzip.decompress(target.read_bytes()))

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", copy)
    dataset = make(None, cache)
    dataset.prepare()
    assert dataset.load("train").arrays["labels"].tolist() == [0, 1, 2, 3, 4]
    assert {path.name for path in (cache / "mnist").iterdir()} == {Path(f).stem for f in FILES}
    assert capfd.readouterr() == ("", "")


def test_a_cache_that_cannot_be_written_is_named(root, cache):
    cache.write_text("a file where a folder should be")
    with pytest.raises(DataError, match=f"{cache}.*AIGC_CACHE_DIR"):
        make(root, cache).prepare()


def test_two_threads_that_prepare_at_once_unpack_once(root, cache, monkeypatch):
    both_inside = threading.Barrier(2)
    calls = []

    def unpack_slowly(*arguments):
        calls.append(arguments)
        try:
            both_inside.wait(timeout=0.5)
        except threading.BrokenBarrierError:
            return real_unpack(*arguments)
        raise AssertionError("two threads unpacked at once")

    real_unpack = mnist.unpack
    monkeypatch.setattr(mnist, "unpack", unpack_slowly)
    threads = [threading.Thread(target=make(root, cache).prepare) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(make(root, cache).load("train")) == 5


@pytest.mark.slow
def test_processes_that_race_all_find_the_data(root, cache):
    code = """
import json, sys
from pathlib import Path
from aigc_core import DataFolders
from aigc_image.datasets.mnist import Mnist
from aigc_image.options import MnistOptions
root, cache, resources, counts = sys.argv[1:]
Mnist.source.resources, Mnist.counts = json.loads(resources), json.loads(counts)
sys.stdin.readline()  # all start at once
dataset = Mnist(MnistOptions(), DataFolders(Path(root), Path(cache)))
dataset.prepare()
assert len(dataset.load("train")) == 5
"""
    facts = [json.dumps(datasets.MNIST.resources), json.dumps(COUNTS)]
    command = [sys.executable, "-c", code, str(root), str(cache), *facts]
    racing = [subprocess.Popen(command, stdin=subprocess.PIPE) for _ in range(2)]
    for process in racing:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.close()
    assert [process.wait(timeout=120) for process in racing] == [0, 0]


def test_an_unknown_split_is_an_error_that_names_the_nearest(root, cache):
    with pytest.raises(DataError, match="Did you mean 'train'"):
        make(root, cache).load("training")


def test_loading_before_preparing_is_an_error(root, cache):
    with pytest.raises(DataError, match=r"prepare\(\)"):
        make(root, cache).load("train")


@pytest.mark.parametrize("size", [14, 64])
def test_other_sizes_are_resized(root, cache, size, monkeypatch):
    monkeypatch.setattr("aigc_image.datasets._resize._CHUNK", 2)  # 5 images: a last chunk of 1
    make(root, cache).prepare()
    original = make(root, cache).load("train").arrays["samples"]
    store = make(root, cache, size=size).load("train")
    assert store.spec.shape == (1, size, size)
    expected = torch.nn.functional.interpolate(
        original.float(), (size, size), mode="bilinear", antialias=True
    )
    assert (store.arrays["samples"].float() - expected).abs().max() <= 0.5


def test_the_real_mnist_is_whole(real_data, cache):
    before = listing(real_data / "mnist")
    dataset = make(real_data, cache)
    dataset.prepare()
    train, test = dataset.load("train"), dataset.load("test")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.arrays["labels"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert train.arrays["labels"].bincount().tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert train.arrays["samples"].float().mean().item() / 255 == pytest.approx(0.1307, abs=1e-4)
    assert listing(real_data / "mnist") == before
