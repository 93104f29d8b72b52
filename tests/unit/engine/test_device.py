"""Choosing device and precision."""

import pytest
import torch

from aigc_core.engine import choose_device, choose_precision, device
from aigc_core.errors import ConfigError


def test_auto_is_a_device_that_computes() -> None:
    assert torch.ones(1, device=choose_device("auto")).item() == 1


def test_cuda_without_a_gpu_is_reported(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"PyTorch sees none here\. Use --device auto or cpu"):
        choose_device("cuda")


def test_a_gpu_beyond_the_last_is_reported(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="'cuda:2' was asked for, and PyTorch sees 2 of them"):
        choose_device("cuda:2")


@pytest.mark.parametrize(("native", "chosen"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_follows_a_probe(monkeypatch, native: bool, chosen: str) -> None:
    monkeypatch.setattr(device, "native_bf16", lambda device: native)
    assert choose_precision("auto", torch.device("cpu")) == chosen


def test_a_precision_that_was_asked_for_is_taken(monkeypatch) -> None:
    monkeypatch.setattr(device, "native_bf16", lambda device: False)
    assert choose_precision("bf16", torch.device("cpu")) == "bf16"


@pytest.mark.parametrize("name", ["gpu", "meta", "cuda:", "cuda:x", "CPU", ""])
def test_a_name_that_is_no_device_is_reported(name: str) -> None:
    with pytest.raises(ConfigError, match="There is no device"):
        choose_device(name)
