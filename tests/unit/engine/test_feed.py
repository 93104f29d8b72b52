"""Training from disk: the same bytes as from memory, read ahead in the pure order, and no more."""

import contextlib
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import toy_data, toy_trainer

from aigc_core import AdversarialConfig, DataError, Engine, EngineConfig
from aigc_core.engine import order
from aigc_core.engine.data import ResidentData
from aigc_core.engine.feed import STEPS_AHEAD, Feed
from aigc_core.engine.order import ShuffledOrder
from aigc_core.storage import PackedArray, PackWriter, open_pack

COUNT = 100
CPU = torch.device("cpu")
ARRAYS = {"samples": toy_data(COUNT), "labels": torch.arange(COUNT) % 3}
ROW_BYTES = 8 * 8 * 4


@pytest.fixture
def packed(tmp_path: Path) -> dict[str, Tensor]:
    """The same arrays; the samples are on disk, in several shards."""
    with PackWriter(tmp_path / "a.pack") as writer:
        for start in range(0, COUNT, 30):
            writer.append({"samples": ARRAYS["samples"][start : start + 30]})
            writer.end_shard(start)
        writer.finish({"samples": writer.array("samples"), "labels": ARRAYS["labels"]}, {})
    columns = open_pack(tmp_path / "a.pack").columns
    return {"samples": columns["samples"], "labels": columns["labels"][:]}


def engine(data: object, **settings: object) -> Engine:
    given = {"steps": 15, "batch_size": 16, "device": "cpu", "precision": "fp32", **settings}
    return Engine(toy_trainer(AdversarialConfig()), data, EngineConfig(**given))


def weights(engine: Engine) -> Tensor:
    return torch.cat([value.flatten().double() for value in engine.state().weights.values()])


def bytes_read(data: dict[str, Tensor]) -> int:
    samples = data["samples"]
    assert isinstance(samples, PackedArray)
    return samples.reader.bytes_read


@pytest.mark.parametrize("settings", [{}, {"accumulate": 4}, {"batch_size": 64}, {"seed": 3}])
def test_weights_are_those_of_data_in_memory(packed, settings) -> None:
    """15 steps of 16 are more than two epochs of 100."""
    in_memory, on_disk = engine(ARRAYS, **settings), engine(packed, **settings)
    in_memory.fit()
    on_disk.fit()
    assert on_disk.data.on_disk
    assert not in_memory.data.on_disk
    assert torch.equal(weights(on_disk), weights(in_memory))


def test_no_more_is_read_than_what_is_needed_and_what_is_ahead(packed) -> None:
    training = engine(packed)
    training.fit()
    assert bytes_read(packed) == (15 + STEPS_AHEAD) * 16 * ROW_BYTES


def test_a_training_that_resumes_ends_in_the_same_bytes(packed) -> None:
    whole = engine(packed)
    whole.fit()
    first, second = engine(packed), engine(packed)
    first.fit(until_step=7)
    second.load_state(first.state())
    second.fit()
    assert torch.equal(weights(second), weights(whole))


def test_an_engine_that_goes_back_reads_what_is_there(packed) -> None:
    """What was read ahead from elsewhere must not be taken for what is asked."""
    whole, back = engine(packed), engine(packed)
    whole.fit()
    back.fit(until_step=3)
    early = {name: value.clone() for name, value in back.state().weights.items()}
    state = back.state()
    copied = state.__class__(
        early, {k: v.clone() for k, v in state.tensors.items()}, dict(state.scalars)
    )
    back.fit()
    back.load_state(copied)
    back.fit()
    assert torch.equal(weights(back), weights(whole))


def orders(data: ResidentData) -> dict[str, ShuffledOrder]:
    return {"samples": ShuffledOrder(len(data), 0, CPU)}


def test_each_process_reads_ahead_its_own_rows_and_no_others(packed) -> None:
    """Two processes that share batches of 16, each with two parts of 4."""
    data = ResidentData(packed, CPU)
    feed = Feed(data, orders(data), 16)
    alone = orders(data)["samples"]
    for step in range(10):
        for part in (2, 3):
            start = step * 16 + part * 4
            batch = feed.batch(start, 4)
            assert torch.equal(batch["samples"], ARRAYS["samples"][alone.indices(start, 4)])
            assert torch.equal(batch["labels"], ARRAYS["labels"][alone.indices(start, 4)])
    assert bytes_read(packed) == (10 + STEPS_AHEAD) * 8 * ROW_BYTES


def test_batches_that_nobody_takes_do_not_pile_up(packed) -> None:
    """A phase that stops being active leaves its batches."""
    data = ResidentData(packed, CPU)
    feed = Feed(data, orders(data), 32)
    for step in range(40):
        for repeat in range(2 if step < 5 else 1):
            feed.batch(step * 32 + repeat * 16, 16)
    assert len(feed._coming) <= STEPS_AHEAD


def test_large_batches_are_read_one_step_ahead(packed, monkeypatch) -> None:
    monkeypatch.setattr("aigc_core.engine.feed._BYTES_AHEAD", 16 * ROW_BYTES)
    data = ResidentData(packed, CPU)
    feed = Feed(data, orders(data), 16)
    feed.batch(0, 16)
    assert bytes_read(packed) == 2 * 16 * ROW_BYTES


def test_columns_of_another_stream_have_their_order(tmp_path, packed) -> None:
    other = torch.arange(7.0)[:, None]
    arrays = {"samples": packed["samples"], "input": other}
    data = ResidentData(arrays, CPU, streams={"input": "input"})
    feed = Feed(data, {**orders(data), "input": ShuffledOrder(7, 1, CPU)}, 8)
    expected = ShuffledOrder(7, 1, CPU)
    for step in range(5):
        assert torch.equal(feed.batch(step * 8, 8)["input"], other[expected.indices(step * 8, 8)])
    rows = torch.tensor([9, 8])
    assert data.take(rows)["input"].flatten().tolist() == [2.0, 1.0]
    assert torch.equal(data.stored("samples", rows), ARRAYS["samples"][rows])


def test_a_shard_that_disappears_is_a_sentence_and_ends_the_training(packed, tmp_path) -> None:
    training = engine(packed)
    (tmp_path / "a.pack" / "samples-00002.safetensors").unlink()
    with pytest.raises(DataError, match=r"samples-00002\.safetensors cannot be read"):
        training.fit()


def test_the_next_permutation_is_made_before_it_is_needed(monkeypatch) -> None:
    made = []
    real = ShuffledOrder._made
    monkeypatch.setattr(order, "_MADE_AHEAD", 10)
    monkeypatch.setattr(
        ShuffledOrder, "_made", lambda self, *key: made.append(key) or real(self, *key)
    )
    shuffled = ShuffledOrder(40, 0, CPU)
    shuffled.indices(0, 10)
    assert made == [(0, 0)]
    shuffled.indices(20, 10)
    shuffled._coming[1, 0].result()
    assert made == [(0, 0), (1, 0)]
    after = shuffled.indices(40, 40)
    assert made[:2] == [(0, 0), (1, 0)]
    assert torch.equal(after, ShuffledOrder(40, 0, CPU).indices(40, 40))


def test_an_order_that_is_asked_ahead_and_here_by_turns_is_made_once(monkeypatch) -> None:
    made = []
    real = ShuffledOrder._made
    monkeypatch.setattr(
        ShuffledOrder, "_made", lambda self, *key: made.append(key) or real(self, *key)
    )
    shuffled = ShuffledOrder(10, 0, CPU)
    for position in range(0, 40, 2):
        shuffled.indices(position + 6, 2)
        shuffled.indices(position, 2)
    assert made == [(epoch, 0) for epoch in range(5)]


def test_files_are_closed_with_the_last_array(packed) -> None:
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list open files")
    folder = packed["samples"].reader.segments[0].path.parent
    _ = packed["samples"][torch.arange(COUNT)]

    def still_open() -> int:
        found = 0
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found += os.readlink(f"/proc/self/fd/{name}").startswith(f"{folder}/samples")
        return found

    assert still_open() == 4
    packed.clear()
    assert still_open() == 0
