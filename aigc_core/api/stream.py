"""Text as it is made, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from aigc_core.api.sampler import Sampler, check_count
from aigc_core.engine import derive_seed, evaluation_mode, isolated_rng
from aigc_core.errors import ConfigError
from aigc_core.interfaces import AutoregressiveGenerator, Readable
from aigc_core.runs import Run

_UNFINISHED = "\ufffd"  # what decoding makes of half a character


def stream_text(
    run: Run | str | Path,
    *,
    prompt: str | None = None,
    tokens: int | None = None,
    seed: int = 0,
    label: str | int | None = None,
    sampling: Mapping[str, Any] | None = None,
    stop: str | None = None,
    device: str = "auto",
) -> Iterator[str]:
    """Yield a text in pieces as it is drawn from a run's newest whole checkpoint.

    Args:
        run: a run or the path of one.
        prompt: what comes before; it is not yielded. None for nothing.
        tokens: how many to draw; None for as many as a sample has.
        seed: at least 0; the same seed gives the same text.
        label: name or number of a class, for a conditional run.
        sampling: settings such as ``{"temperature": 0.8}``; see ``SamplingConfig``.
        stop: ends the text before this, where it comes.
        device: as for training.

    Raises:
        UserError: not a run, or one that makes no text; a setting or prompt that is not valid.
    """
    sampler = Sampler(run, device)
    generator, modality = sampler.generator, sampler.parts.modality
    if not isinstance(generator, AutoregressiveGenerator) or not isinstance(modality, Readable):
        raise ConfigError(f"{sampler.run.recipe} makes no text. Leave --prompt and --tokens out.")
    check_count(1, seed)
    controls = sampler.controls(prompt, tokens, sampling)
    condition = None
    if label is not None or generator.label_count:
        wanted = sampler.label_of(str(label)) if label is not None else 0
        condition = torch.tensor([wanted], device=sampler.device)
    length = controls.pop("length", None) or generator.sample_length
    seed = derive_seed(seed, "text")
    rng = torch.Generator(sampler.device).manual_seed(seed)
    found: list[int] = []
    written = ""
    with (
        torch.no_grad(),
        evaluation_mode(generator),
        isolated_rng(sampler.device, seed),
    ):
        steps = generator.stream(1, rng=rng, condition=condition, **controls)
        for number in range(length):
            found.append(int(next(steps)))
            text = modality.decode(torch.tensor(found))
            last = number == length - 1
            if stop and stop in text:
                text, last = text[: text.index(stop)], True
            ready = text if last else _certain(text, stop)
            if len(ready) > len(written):
                yield ready[len(written) :]
                written = ready
            if last:
                return


def _certain(text: str, stop: str | None) -> str:
    """Return what no later token can change: no half character, no beginning of ``stop``."""
    text = text.rstrip(_UNFINISHED)
    for size in range(min(len(stop or "") - 1, len(text)), 0, -1):
        if stop and text.endswith(stop[:size]):
            return text[:-size]
    return text
