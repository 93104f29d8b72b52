"""An array on disk is used as the tensor that it would be in memory."""

import copy
import io
import multiprocessing
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from aigc_core.errors import DataError
from aigc_core.storage import (
    PackedArray,
    RowReader,
    Segment,
    array_digest,
    lazy_rows,
    packed_array,
)

WHOLE = torch.arange(60, dtype=torch.int16).view(10, 2, 3)


@pytest.fixture
def packed(tmp_path: Path) -> PackedArray:
    path = tmp_path / "rows"
    path.write_bytes(b"head" + WHOLE.numpy().tobytes())
    return PackedArray(RowReader([Segment(path, 4, 10)], (2, 3), torch.int16))


@pytest.mark.parametrize(
    "index",
    [
        3,
        -1,
        slice(None),
        slice(2, 7),
        slice(8, 2),
        slice(None, None, 3),
        slice(None, None, -1),
        torch.tensor([4, 0, -2]),
        torch.tensor([], dtype=torch.int64),
        torch.arange(10) % 2 == 0,
        (slice(None), 1),
        (slice(None), -1),
        (slice(None), 1, 2),
        (torch.tensor([1, 2]), 0),
        (3,),
        None,
        ...,
    ],
    ids=str,
)
def test_it_is_indexed_like_a_tensor(packed, index) -> None:
    if isinstance(index, slice) and (index.step or 1) < 0:
        with pytest.raises(ValueError, match="step must be greater than zero"):
            _ = WHOLE[index]
        expected = WHOLE.flip(0)
    else:
        expected = WHOLE[index]
    found = packed[index]
    assert found.shape == expected.shape
    assert torch.equal(found, expected)


def test_facts_need_no_reading(packed) -> None:
    assert isinstance(packed, Tensor)
    assert (len(packed), tuple(packed.shape), packed.dtype) == (10, (10, 2, 3), torch.int16)
    assert (packed.device.type, packed.nbytes, packed.numel()) == ("cpu", 120, 60)
    assert "PackedArray" in repr(packed)
    assert packed.reader.bytes_read == 0


@pytest.mark.parametrize("row", [10, -11])
def test_a_row_that_is_not_there_is_an_index_error(packed, row) -> None:
    with pytest.raises(IndexError):
        _ = packed[torch.tensor([0, row])]


def test_other_operations_read_it_whole(packed) -> None:
    assert torch.equal(packed.float() + 1, WHOLE.float() + 1)
    assert torch.equal(torch.cat([packed, WHOLE]), torch.cat([WHOLE, WHOLE]))
    assert packed.numpy().tolist() == packed.tolist() == WHOLE.tolist()
    assert [row.tolist() for row in packed] == WHOLE.tolist()
    assert type(packed.clone()) is Tensor
    file = io.BytesIO()
    torch.save(packed, file)
    file.seek(0)
    assert torch.equal(torch.load(file), WHOLE)
    assert torch.equal(copy.deepcopy(packed), WHOLE)


def test_what_is_larger_than_memory_is_not_read_whole(packed, monkeypatch) -> None:
    monkeypatch.setenv("AIGC_DATA_MEMORY", "100")
    with pytest.raises(DataError, match=r"0\.1 kB of an array on disk .* Ask for some of its rows"):
        packed.float()
    monkeypatch.setattr(packed_array, "_PIECE_BYTES", 100)
    with pytest.raises(DataError, match="more than the memory"):
        _ = packed[:]
    assert packed[2:4].tolist() == WHOLE[2:4].tolist()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_reads_with_threads_of_its_own(packed) -> None:
    """As a worker of a ``DataLoader`` does, after its parent has read."""
    rows = torch.arange(10)
    assert torch.equal(packed[rows], WHOLE)
    child = multiprocessing.get_context("fork").Process(target=packed.__getitem__, args=(rows,))
    child.start()
    child.join(60)
    alive = child.is_alive()
    if alive:
        child.kill()
    assert not alive
    assert child.exitcode == 0


def test_it_cannot_be_changed(packed) -> None:
    with pytest.raises(DataError, match="can only be read"):
        packed.add_(1)


def test_parts_and_rows_stay_on_disk(packed) -> None:
    part = packed[:, 1]
    some = lazy_rows(part, torch.tensor([7, 7, 1]))
    again = lazy_rows(some, torch.tensor([2, 0]))
    assert all(isinstance(array, PackedArray) for array in (part, some, again))
    assert packed.reader.bytes_read == part.reader.bytes_read == 0
    assert torch.equal(again[:], WHOLE[[1, 7], 1])
    assert again.reader.bytes_read == 2 * 3 * 2
    assert torch.equal(lazy_rows(WHOLE, torch.tensor([3])), WHOLE[[3]])


def test_windows_that_overlap_are_read_and_known_by_their_text(tmp_path) -> None:
    tokens = torch.arange(100, dtype=torch.int16)
    path = tmp_path / "tokens"
    path.write_bytes(tokens.numpy().tobytes())
    windows = tokens[10:90].unfold(0, 9, 1)
    reader = RowReader([Segment(path, 20, len(windows))], (9,), torch.int16, stride=2)
    packed = PackedArray(reader)
    assert torch.equal(packed[:], windows)
    assert torch.equal(packed[torch.tensor([71, 3])], windows[[71, 3]])
    assert array_digest(packed) == array_digest(windows)


def test_small_numbers_on_disk_become_the_type_that_is_wanted(tmp_path) -> None:
    path = tmp_path / "tokens"
    path.write_bytes(bytes(range(60)))
    reader = RowReader([Segment(path, 0, 10)], (6,), torch.uint8, dtype=torch.int16)
    found = PackedArray(reader)[torch.tensor([2])]
    assert found.dtype == torch.int16
    assert found.tolist() == [list(range(12, 18))]
