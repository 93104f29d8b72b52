"""A torch dataset of a program's own, packed on disk."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import Dataset, IterableDataset

import aigc_core
from aigc_core import DataError
from aigc_core.engine import as_arrays
from aigc_core.storage import PackedArray, items, writer

SAMPLES = torch.arange(40 * 6, dtype=torch.uint8).view(40, 2, 3)


class Items(Dataset):
    def __init__(self, form: str = "pair", count: int = 40) -> None:
        self.form, self.count, self.read = form, count, []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> object:
        self.read.append(index)
        if index == self.count:
            raise IndexError
        sample = SAMPLES[index]
        if self.form == "uneven" and index == 5:
            return sample[:1], 0
        if self.form == "failing" and index == 5:
            raise ValueError("no such picture")
        if self.form == "lacking" and index == 5:
            return sample
        if self.form == "mapping":
            return {"samples": sample, "depth": sample.float() / 2}
        return sample if self.form == "sample" else (sample, index % 3)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(items, "SHARD_BYTES", 60)
    assert writer.SHARD_BYTES == 256_000_000


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("form", ["pair", "sample", "mapping"])
def test_a_pack_holds_what_the_engine_would_read(tmp_path, form, workers) -> None:
    expected = as_arrays(Items(form))
    found = aigc_core.pack(Items(form), tmp_path / "a.pack", workers=workers)
    again = aigc_core.load_pack(tmp_path / "a.pack")
    assert found.keys() == again.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert torch.equal(found[name], array)
        assert torch.equal(again[name], array)


def test_what_does_not_fit_stays_on_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("AIGC_DATA_MEMORY", "0.1kB")
    found = aigc_core.pack(Items("sample"), str(tmp_path / "deep" / "a.pack"))
    assert isinstance(found["samples"], PackedArray)
    assert torch.equal(found["samples"][torch.tensor([39, 2])], SAMPLES[[39, 2]])


def test_an_engine_says_how_to_pack_what_does_not_fit(monkeypatch) -> None:
    monkeypatch.setenv("AIGC_DATA_MEMORY", "0.1kB")
    with pytest.raises(DataError, match=r'aigc_core\.pack\(dataset, "Items\.pack"\)'):
        as_arrays(Items())


def test_a_finished_pack_reads_only_the_first_item_again(tmp_path) -> None:
    aigc_core.pack(Items(), tmp_path / "a.pack")
    second = Items()
    aigc_core.pack(second, tmp_path / "a.pack")
    assert second.read == [0]


def test_a_call_that_ended_early_continues(tmp_path) -> None:
    class Interrupted(Items):
        def __getitem__(self, index: int) -> object:
            if index == 25:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    with pytest.raises(KeyboardInterrupt):
        aigc_core.pack(Interrupted("sample"), tmp_path / "a.pack")
    second = Items("sample")
    found = aigc_core.pack(second, tmp_path / "a.pack")
    assert second.read == [0, *range(20, 40)]  # ten items of six bytes are a shard
    assert torch.equal(found["samples"], SAMPLES)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Items("uneven"), r"Item 5 of the dataset Items: 'samples' is U8 of the shape \(1, 3\)"),
        (Items("failing"), "Item 5 of the dataset Items: .*no such picture"),
        (Items("lacking"), r"Item 5 of the dataset Items: it has \['samples'\], and item 0 \['la"),
        (Items(count=0), "is empty"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_what_cannot_be_packed_is_a_sentence(tmp_path, dataset, message, workers) -> None:
    with pytest.raises(DataError, match=message):
        aigc_core.pack(dataset, tmp_path / "a.pack", workers=workers)
    assert not (tmp_path / "a.pack" / "index.json").exists()


def test_an_iterable_dataset_is_refused(tmp_path) -> None:
    class Endless(IterableDataset):
        def __iter__(self):
            yield torch.zeros(1)

    with pytest.raises(DataError, match="IterableDataset, whose samples have no numbers"):
        aigc_core.pack(Endless(), tmp_path / "a")


def test_a_pack_of_another_dataset_is_not_taken(tmp_path) -> None:
    aigc_core.pack(Items(), tmp_path / "a.pack")
    with pytest.raises(DataError, match="is the pack of another dataset"):
        aigc_core.pack(Items(count=39), tmp_path / "a.pack")
    with pytest.raises(DataError, match="is the pack of another dataset"):
        aigc_core.pack(Items("sample"), tmp_path / "a.pack")


def test_a_pack_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no finished pack.* Pack it again\."):
        aigc_core.load_pack(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        aigc_core.pack(Items(), tmp_path / "file" / "a.pack")
