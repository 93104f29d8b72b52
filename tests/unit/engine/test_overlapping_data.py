"""Windows of one long tensor are samples without being written out."""

import resource

import pytest
import torch

from aigc_core.engine.data import ResidentData, _bytes, _moved

CPU = torch.device("cpu")


def test_batches_of_windows_are_what_indexing_gives() -> None:
    tokens = torch.arange(100)
    windows = tokens.unfold(0, 5, 1)  # (96, 5)
    batch = ResidentData({"samples": windows}, CPU).take(torch.tensor([0, 95, 7]))
    assert batch["samples"].tolist() == [
        [0, 1, 2, 3, 4],
        [95, 96, 97, 98, 99],
        [7, 8, 9, 10, 11],
    ]


def test_overlapping_windows_count_their_memory_once() -> None:
    tokens = torch.zeros(1000, dtype=torch.int16)
    assert _bytes(tokens.unfold(0, 100, 1)) == 2000
    assert _bytes(tokens) == 2000
    assert _bytes(tokens[:10]) == 20


def test_windows_are_moved_as_windows() -> None:
    tokens = torch.arange(50)[10:]
    windows = tokens.unfold(0, 6, 2)
    moved = _moved(windows, torch.device("meta"))
    assert moved.shape == windows.shape
    assert moved.stride() == windows.stride()
    assert moved.untyped_storage().nbytes() == windows.untyped_storage().nbytes()


def test_a_mapped_file_is_not_read_as_a_whole(tmp_path) -> None:
    path = tmp_path / "tokens"
    count = 1 << 28
    with path.open("wb") as file:
        file.truncate(2 * count)  # 512 MiB of zeros, sparse on disk
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tokens = torch.from_file(str(path), shared=False, size=count, dtype=torch.int16)
    data = ResidentData({"samples": tokens.unfold(0, 257, 1)}, CPU)
    for start in range(0, count - 300, count // 50):
        assert data.take(torch.arange(start, start + 8))["samples"].shape == (8, 257)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 50_000, f"{grown} KiB"


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.int16, torch.float32])
def test_plain_arrays_are_as_before(dtype) -> None:
    array = torch.arange(12).to(dtype).reshape(4, 3)
    assert _moved(array, CPU).equal(array)
