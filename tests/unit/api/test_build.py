"""What a run remembers of its data."""

import torch

from aigc_core import SampleSpec, SampleStore
from aigc_core.api.build import describe_data


def digest(samples: torch.Tensor) -> str:
    spec = SampleSpec(shape=tuple(samples.shape[1:]), dtype="int16")
    return describe_data(SampleStore({"samples": samples}, spec)).digest


def test_windows_are_known_by_the_text_they_are_cut_from() -> None:
    tokens = torch.arange(1000, dtype=torch.int16)
    before = digest(tokens[10:900].unfold(0, 65, 1))
    assert digest(tokens[10:900].clone().unfold(0, 65, 1)) == before
    assert digest(tokens[11:901].unfold(0, 65, 1)) != before
    for place in (10, 500, 899):  # the first, one between, the last
        changed = tokens.clone()
        changed[place] += 1
        assert digest(changed[10:900].unfold(0, 65, 1)) != before
    for place in (9, 900):  # before and after the windows
        changed = tokens.clone()
        changed[place] += 1
        assert digest(changed[10:900].unfold(0, 65, 1)) == before


def test_samples_that_do_not_overlap_are_known_by_their_bytes() -> None:
    samples = torch.arange(60, dtype=torch.int16).view(6, 10)
    changed = samples.clone()
    changed[3, 4] = 0
    assert digest(samples) == digest(samples.clone())
    assert digest(samples) != digest(changed)
    assert digest(samples[:, :5]) == digest(samples[:, :5].clone())
