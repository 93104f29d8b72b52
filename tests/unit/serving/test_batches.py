"""Which batches give rows the bytes of a whole chunk, and what is made of that."""

import pytest
import torch
from torch import Tensor, nn
from toys import ToyGenerator

from aigc_core import LatentGenerator
from aigc_core.api.request import CheckedRequest
from aigc_core.engine import draw_chunks, joined
from aigc_core.interfaces.config import NoControls
from aigc_core.serving.batches import RowsBatcher, RowsWork, safe_sizes

CPU = torch.device("cpu")


class Exact(LatentGenerator):
    """Elementwise: its rows cannot depend on a batch."""

    latent_shape = (6,)
    sample_chunk = 8

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        self.label_count = classes
        self.scale = nn.Parameter(torch.linspace(1, 2, 6), requires_grad=False)

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        shift = 0 if condition is None else condition[:, None]
        return latents * self.scale + shift


class DependsOnSize(Exact):
    """As a kernel that is chosen by the size of a batch."""

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(latents, condition) + (1e-7 if len(latents) < 4 else 0)


class DependsOnOthers(Exact):
    """As batch normalisation that is not in evaluation mode."""

    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(latents, condition) - latents.mean(0)


class DependsOnPlace(Exact):
    def forward(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().forward(latents, condition) + torch.arange(len(latents))[:, None] * 1e-7


class FakeSampler:
    device = CPU

    def __init__(self, generator: LatentGenerator) -> None:
        self.generator = generator

    def stored(self, drawn, wanted):
        return {name: drawn[name] for name in wanted}


def asked(count: int, seed: int, **conditions: Tensor) -> CheckedRequest:
    return CheckedRequest(count, seed, ("samples",), conditions, NoControls())


def served(generator: LatentGenerator, sizes, requests: list[CheckedRequest]) -> list[Tensor]:
    batcher = RowsBatcher(FakeSampler(generator), sizes)
    works = [RowsWork(batcher, request) for request in requests]
    pieces: list[list[Tensor]] = [[] for _ in works]
    open_ = dict(enumerate(works))
    while open_:
        batcher.compute(list(open_.values()))
        for number, work in list(open_.items()):
            try:
                piece = next(work)
            except StopIteration:
                del open_[number]
                continue
            if piece is not None:
                pieces[number].append(piece["samples"])
    return [torch.cat(found) for found in pieces]


def alone(generator: LatentGenerator, request: CheckedRequest) -> Tensor:
    chunks = draw_chunks(
        generator, request.count, seed=request.seed, device=CPU, conditions=request.conditions
    )
    return joined(chunks)["samples"]


@pytest.mark.parametrize(
    ("generator", "sizes"),
    [
        (Exact(), (1, 2, 4, 8)),
        (Exact(classes=3), (1, 2, 4, 8)),
        (DependsOnSize(), (4, 8)),
        (DependsOnOthers(), ()),
        (DependsOnPlace(), ()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_the_probe_finds_which_sizes_are_safe(generator, sizes) -> None:
    assert safe_sizes(generator, CPU) == sizes


def test_the_probe_changes_nothing() -> None:
    generator = ToyGenerator().eval()
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    state = torch.get_rng_state()
    safe_sizes(generator, CPU)
    assert all(torch.equal(before[name], v) for name, v in generator.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("classes", [0, 3])
def test_requests_that_share_batches_get_the_bytes_that_each_would_get_alone(classes) -> None:
    generator = Exact(classes)
    requests = [asked(1, 0), asked(5, 1), asked(8, 0), asked(21, 2), asked(3, 3)]
    if classes:
        requests.append(asked(4, 7, label=torch.tensor([2])))
        requests.append(asked(3, 7, label=torch.tensor([2, 0, 1])))
    found = served(generator, safe_sizes(generator, CPU), requests)
    for request, samples in zip(requests, found, strict=True):
        assert torch.equal(samples, alone(generator, request))


def test_with_batch_normalisation_too() -> None:
    generator = ToyGenerator().eval()
    sizes = safe_sizes(generator, CPU)
    assert sizes, "rows of this generator do not depend on one another"
    requests = [asked(count, seed) for seed, count in enumerate([1, 2, 3, 70, 1, 64])]
    for request, samples in zip(requests, served(generator, sizes, requests), strict=True):
        assert torch.equal(samples, alone(generator, request))


def test_a_size_that_is_not_safe_would_be_noticed_here() -> None:
    """The tests above can fail: with a size that the probe left out they do."""
    generator, request = DependsOnSize(), asked(1, 0)
    (safe,) = served(generator, safe_sizes(generator, CPU), [request])
    (unsafe,) = served(generator, (1, 8), [request])
    assert torch.equal(safe, alone(generator, request))
    assert not torch.equal(unsafe, alone(generator, request))
