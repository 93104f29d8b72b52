"""Drawing samples from a generator: same seed, same bytes, however many are asked for."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from aigc_core.engine.data import ResidentData
from aigc_core.engine.seeds import derive_seed, isolated_rng
from aigc_core.errors import ConfigError
from aigc_core.interfaces import ConfigModel, Generator


@contextlib.contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network and all its modules into evaluation mode, and restore each afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def draw_samples(
    generator: Generator,
    count: int,
    *,
    seed: int,
    device: torch.device,
    conditions: Mapping[str, Tensor] | None = None,
    controls: ConfigModel | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Draw samples from a network that is being trained; see ``draw_chunks``.

    The network's mode and torch's global random state are left as they were.
    """
    chunks = draw_chunks(
        generator, count, seed=seed, device=device, conditions=conditions, controls=controls
    )
    for chunk in itertools.count():
        chunk_seed = derive_seed(seed, "samples", chunk)
        with evaluation_mode(generator), isolated_rng(device, chunk_seed):
            samples = next(chunks, None)
        if samples is None:
            return
        yield samples


def draw_chunks(
    generator: Generator,
    count: int,
    *,
    seed: int,
    device: torch.device,
    conditions: Mapping[str, Tensor] | None = None,
    controls: ConfigModel | None = None,
) -> Iterator[dict[str, Tensor]]:
    """Draw samples in chunks, in float32 whatever the training's precision was.

    Chunk c is computed whole, by its own random generator, from (seed, c) alone: sample i of a
    seed does not depend on ``count``. Several threads may draw from one network at once.

    Args:
        generator: in evaluation mode.
        count: how many samples, at least 1.
        seed: of the samples.
        device: that the generator is on.
        conditions: by name, each ``(count, ...)``, or ``(1, ...)`` for the same for all. Without
            ``label``, a generator that knows classes draws each in turn.
        controls: of the generator's own kind; None for their defaults.

    Yields:
        For each of the generator's outputs ``(n, *sample_shape)`` in the model's range, on
        ``device``; n is ``sample_chunk``, and the last chunk is cut to fit.

    Raises:
        ConfigError: the generator does not give what its ``outputs`` declare.
    """
    size = generator.sample_chunk
    controls = generator.controls() if controls is None else controls
    inputs = chunk_inputs(generator, count, seed=seed, device=device, conditions=conditions)
    for start, rng, rows in inputs:
        with torch.no_grad():
            drawn = generator.sample(size, rng=rng, conditions=rows, controls=controls)
        found = by_output(generator, drawn)
        yield {name: samples[: count - start] for name, samples in found.items()}


def chunk_inputs(
    generator: Generator,
    count: int,
    *,
    seed: int,
    device: torch.device,
    conditions: Mapping[str, Tensor] | None = None,
) -> Iterator[tuple[int, torch.Generator, dict[str, Tensor]]]:
    """Yield what each chunk of samples follows from; for the arguments see ``draw_chunks``.

    Yields:
        The number of its first sample, its random generator, and the conditions of its
        ``sample_chunk`` rows.
    """
    size = generator.sample_chunk
    given = {name: value.to(device) for name, value in (conditions or {}).items()}
    if generator.label_count and "label" not in given:
        given["label"] = torch.arange(generator.label_count, device=device)  # each in turn
    for chunk, start in enumerate(range(0, count, size)):
        rng = torch.Generator(device).manual_seed(derive_seed(seed, "samples", chunk))
        places = torch.arange(start, start + size, device=device)
        yield start, rng, {name: value[places % len(value)] for name, value in given.items()}


def by_output(generator: Generator, drawn: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return what ``Generator.sample`` gave by the names of its outputs, in their order.

    Raises:
        ConfigError: it is not what they declare.
    """
    outputs, who = generator.outputs, type(generator).__name__
    if isinstance(drawn, Tensor):
        drawn = {outputs[0]: drawn}
    if set(drawn) != set(outputs):
        raise ConfigError(
            f"{who}.outputs declares {', '.join(outputs)}, and its sample gave {', '.join(drawn)}."
        )
    return {name: drawn[name] for name in outputs}


def joined(chunks: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Join chunks of named tensors along their first dimension."""
    pieces: dict[str, list[Tensor]] = {}
    for chunk in chunks:
        for name, tensor in chunk.items():
            pieces.setdefault(name, []).append(tensor)
    return {name: torch.cat(found) for name, found in pieces.items()}


def row_columns(generator: Generator) -> dict[str, str]:
    """Return the conditions that rows of the data give, by name, and the column of each.

    None for a generator that takes no more than a class or what it makes itself: it is asked for
    each class in turn, and given nothing.
    """
    made = generator.outputs
    columns = {name: c.column for name, c in generator.conditions.items() if c.column not in made}
    return columns if set(columns.values()) - {"labels"} else {}


def row_conditions(generator: Generator, data: ResidentData, rows: Tensor) -> dict[str, Tensor]:
    """Return what rows ``(B,)`` of the data would ask a generator for; see ``row_columns``."""
    columns = row_columns(generator)
    if not columns:
        return {}
    batch = data.take(rows.to(data.index_device))
    return {name: batch[column] for name, column in columns.items() if column in batch}


def interpolate_latents(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Return ``(count, *shape)`` latents on the way from one to another, both ends included.

    The way is a great circle (Shoemake 1985; White 2016, "Sampling Generative Networks"): on a
    straight line, a normal latent's length would shrink to values a generator has rarely seen.
    """
    a, b = first.flatten().double(), last.flatten().double()
    cosine = (a @ b / (a.norm() * b.norm())).clamp(-1, 1)
    angle = cosine.arccos()
    t = torch.linspace(0, 1, count, dtype=torch.float64, device=a.device)[:, None]  # (count, 1)
    if angle.sin().abs() < 1e-6:  # the same direction, or the opposite one
        mixed = (1 - t) * a + t * b
    else:
        mixed = (((1 - t) * angle).sin() * a + (t * angle).sin() * b) / angle.sin()
    return mixed.float().reshape(count, *first.shape)
