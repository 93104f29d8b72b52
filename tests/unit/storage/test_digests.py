"""Digests of arrays stand for every value, its place, its type and the array's shape."""

import pytest
import torch

from aigc_core.storage import array_digest, array_digests, digests


def test_windows_are_known_by_the_text_they_are_cut_from() -> None:
    tokens = torch.arange(1000, dtype=torch.int16)
    before = array_digest(tokens[10:900].unfold(0, 65, 1))
    assert array_digest(tokens[10:900].clone().unfold(0, 65, 1)) == before
    assert array_digest(tokens[11:901].unfold(0, 65, 1)) != before
    for place in (10, 500, 899):  # the first, one between, the last
        changed = tokens.clone()
        changed[place] += 1
        assert array_digest(changed[10:900].unfold(0, 65, 1)) != before
    for place in (9, 900):  # before and after the windows
        changed = tokens.clone()
        changed[place] += 1
        assert array_digest(changed[10:900].unfold(0, 65, 1)) == before


def test_windows_of_another_length_are_another_array() -> None:
    tokens = torch.arange(100, dtype=torch.int16)
    assert array_digest(tokens.unfold(0, 10, 1)) != array_digest(tokens.unfold(0, 11, 1))


@pytest.mark.parametrize("place", [0, 1, 29, 30, 58, 59])
def test_one_changed_value_anywhere_is_seen(monkeypatch, place) -> None:
    monkeypatch.setattr(digests, "_PIECE_BYTES", 40)  # so that there are several pieces
    samples = torch.arange(60, dtype=torch.int16).view(6, 10)
    changed = samples.clone()
    changed.view(-1)[place] += 1
    assert array_digest(samples) == array_digest(samples.clone())
    assert array_digest(samples) != array_digest(changed)


def test_the_order_of_rows_counts_across_pieces(monkeypatch) -> None:
    monkeypatch.setattr(digests, "_PIECE_BYTES", 8)
    labels = torch.tensor([0, 0, 1, 1])
    assert array_digest(labels) != array_digest(labels.flip(0))


def test_shape_and_type_count() -> None:
    zeros = torch.zeros(4, 6, dtype=torch.int16)
    assert array_digest(zeros) != array_digest(zeros.view(6, 4))
    assert array_digest(zeros) != array_digest(torch.zeros(4, 6, dtype=torch.int32)[:, :3])
    assert array_digest(zeros) != array_digest(zeros.half())


def test_how_an_array_lies_in_memory_does_not_count() -> None:
    samples = torch.arange(60).view(6, 10)
    assert array_digest(samples[:, :5]) == array_digest(samples[:, :5].clone())
    assert array_digest(samples.T) == array_digest(samples.T.contiguous())


@pytest.mark.parametrize("dtype", [torch.bool, torch.bfloat16, torch.float64, torch.complex64])
def test_every_type_has_a_digest(dtype) -> None:
    assert len(array_digest(torch.ones(3, dtype=dtype))) == 32


def test_every_array_has_its_own() -> None:
    arrays = {"samples": torch.zeros(2, 3), "labels": torch.zeros(2)}
    assert list(array_digests(arrays)) == ["labels", "samples"]
